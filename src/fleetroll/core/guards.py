"""Preconditions: a caller names the revision that it knows, and nothing happens if that is not the present one."""

from typing import Protocol

from msgspec import Struct

from fleetroll.core.faults import invalid, stale
from fleetroll.core.names import base36

ANY = "*"


class Revised(Protocol):
    """A record with a number and a revision."""

    @property
    def id(self) -> int: ...
    @property
    def revision(self) -> int: ...


class Guard(Struct, frozen=True):
    """The entity tags of If-Match and If-None-Match; None where the header is absent."""

    match: tuple[str, ...] | None = None
    none_match: tuple[str, ...] | None = None

    def check(self, record: Revised | None) -> None:
        """Raises Fault stale if the record as it is now (None: there is none) breaks the precondition."""
        if self.match is None and self.none_match is None:
            return
        tag = etag(record) if record else None
        if self.match is not None and not _names(self.match, tag):
            raise stale()
        if self.none_match is not None and _names(self.none_match, tag):
            raise stale("The resource exists already, or is the version you named.")


UNGUARDED = Guard()


def etag(record: Revised) -> str:
    """The strong entity tag of a record, opaque to clients. A number is never reused, so neither is a tag."""
    return f'"{base36(record.id)}.{base36(record.revision)}"'


def _names(tags: tuple[str, ...], tag: str | None) -> bool:
    return tag is not None and (ANY in tags or tag in tags)


def parse_tags(header: str, field: str) -> tuple[str, ...]:
    """The entity tags of a header (RFC 9110, 13.1). A weak tag never matches strongly, so it stays as written."""
    tags = tuple(part.strip() for part in header.split(","))
    if not all(
        part == ANY or (len(part) >= 2 and part.endswith('"') and part.lstrip("W/")[:1] == '"') for part in tags
    ):
        raise invalid("invalid_etag", f"{field} must be * or a list of quoted entity tags.", field)
    return tags
