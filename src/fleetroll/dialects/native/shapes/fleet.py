"""Many devices at once: rows of an import, changes by a filter, and what became of each."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from fleetroll.dialects.native.shapes.devices import DeviceInput, NewDevice
from fleetroll.wire.texts import TagName, Time


class ImportedDevice(NewDevice, forbid_unknown_fields=True, kw_only=True):
    """A device of an import, with what another server knew of it and nobody can set otherwise.

    `metadata_members` are set in its metadata, whose others stay. `last_seen`, which exports have, means the same as
    `seen_at`. `activated_at` counts for a device that has none. A new device whose `status` is DECOMMISSIONED is so
    from the beginning; any other status says nothing.
    """

    last_seen: Time | UnsetType | None = UNSET
    activated_at: Time | UnsetType | None = UNSET
    description: str | UnsetType = UNSET
    seen_at: Time | UnsetType = UNSET
    metadata_members: dict[str, Any] | UnsetType = UNSET


class RowError(Struct, omit_defaults=True):
    code: str
    message: str
    field: str | None = None


class RowResult(Struct, omit_defaults=True):
    """What became of one row or device: created, updated, unchanged, deleted or failed."""

    outcome: str
    ident: str | None = None
    line: int = 0
    error: RowError | None = None


class BulkUpdate(Struct, forbid_unknown_fields=True):
    """`filter` says which devices; an empty one must be meant, so it is refused unless `all` is true.

    `set` replaces each of the members that it has as a whole; `ident`, `dms` and read-only ones are rejected here.
    """

    set: DeviceInput
    filter: str = ""
    all: bool = False
    dry_run: bool = False


class BulkTag(Struct, forbid_unknown_fields=True):
    add: list[TagName] = []
    remove: list[TagName] = []
    filter: str = ""
    all: bool = False
    dry_run: bool = False


class BulkDelete(Struct, forbid_unknown_fields=True):
    filter: str = ""
    all: bool = False
    dry_run: bool = False


# What the cells of a column hold, where it is not plain text.
JSON_COLUMNS = frozenset({"software", "metadata", "schema", "config", "extras"})
LIST_COLUMNS = frozenset({"tags", "owners"})
NUMBER_COLUMNS = frozenset({"template"})
