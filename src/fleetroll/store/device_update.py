"""The statement that writes a device: it names the columns of what changes, and of the rest those without an index."""

import functools

# What a change always writes: columns without an index, except `updated_at`, which always changes.
_UNINDEXED = (
    "metadata", "tags", "owners", "metric_schema", "config", "extras", "identity", "metadata_times", "token_version",
    "updated_at", "revision",
)  # fmt: skip
_STORED = {
    "ident": ("ident", "ident_key", "search"),
    "name": ("name", "search"),
    "kind": ("kind",),
    "hardware_version": ("hardware_version",),
    "software": ("software", "software_version"),
    "status": ("status",),
    "activated_at": ("activated_at",),
    "cohort": ("cohort",),
    "template": ("template",),
    "dms": ("dms", "dms_folded"),
    "identity_due": ("identity_due",),
}
INDEXED = tuple(_STORED)


@functools.lru_cache(maxsize=1024)
def statement(members: tuple[str, ...]) -> str:
    """The statement that writes a device over a known revision, of whose `INDEXED` members these have changed.

    Whatever a statement names is written anew in its indexes, changed or not.
    """
    columns = dict.fromkeys((*_UNINDEXED, *(column for member in members for column in _STORED[member])))
    written = ", ".join(f"{column} = :{column}" for column in columns)
    return f"UPDATE device SET {written} WHERE org = :org AND id = :device AND revision = :known RETURNING id"
