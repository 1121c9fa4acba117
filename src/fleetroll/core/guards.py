"""Preconditions: a caller names the revision that it knows, and nothing happens if that is not the present one.

Some records show more than what their revision covers, such as when a device was last seen. A tag has a part of its own
for that: reads compare the whole tag, writes the revision alone, or no device that keeps reporting could be changed
with a guard.
"""

import re
import zlib
from typing import Protocol

import msgspec
from msgspec import Struct

from fleetroll.core.faults import invalid, stale
from fleetroll.core.ids import base36

ANY = "*"
_TAG = re.compile(r'\*|(?:W/)?"[^"]*"')
TAGS = re.compile(rf"\s*(?:{_TAG.pattern})\s*(?:,\s*(?:{_TAG.pattern})\s*)*")


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
        if self.match is not None and not names_revision(self.match, tag):
            raise stale()
        if self.none_match is not None and names_revision(self.none_match, tag):
            raise stale("The resource already exists, or is the version that If-None-Match names.")


UNGUARDED = Guard()


def etag(record: Revised, *beside: object) -> str:
    """The strong entity tag of a record, opaque to clients. A number is never reused, so neither is a tag.

    `beside` is what is shown of the record that changes without a revision.
    """
    state = f".{base36(zlib.crc32(msgspec.json.encode(beside)))}" if any(beside) else ""
    return f'"{base36(record.id)}.{base36(record.revision)}{state}"'


def names_revision(tags: tuple[str, ...], tag: str | None) -> bool:
    """Whether one of the tags has the revision of `tag`, the present one, which is None where there is no record."""
    return tag is not None and (ANY in tags or _revision(tag) in map(_revision, tags))


def _revision(tag: str) -> str:
    return ".".join(tag.strip('"').split(".")[:2]) if tag.startswith('"') else tag


def parse_tags(header: str, field: str) -> tuple[str, ...]:
    """The entity tags of a header (RFC 9110, 13.1); a weak tag stays as written, as it never matches strongly.

    Raises Fault invalid `invalid_etag`.
    """
    if not TAGS.fullmatch(header):
        raise invalid("invalid_etag", f"{field} must be * or a list of quoted entity tags.", field)
    return tuple(_TAG.findall(header))
