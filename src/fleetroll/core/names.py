"""Identifier grammars: what a name may look like. How numbers are spelled is in `ids`.

Each parser returns the value as it is stored or raises Fault invalid; after the edge nothing is checked again.
Identifiers are stored as sent and compared by their NFC form, case-sensitively (`identity_key`).
"""

import functools
import re
import unicodedata
import zoneinfo
from collections.abc import Callable, Iterable

from fleetroll.core import limits
from fleetroll.core.faults import invalid
from fleetroll.core.model import DEFAULT_COHORT

_WORDS = re.compile(r"[a-z0-9_]+")
SLUG = re.compile(r"[-a-zA-Z0-9_]+")
# The practical subset of RFC 5321 that the vendors' own forms accept: one @, a dotted domain, no spaces or quotes.
_EMAIL = re.compile(
    r"[^@\s\"<>(),;:\\\[\]]+@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+"
)
PROPERTY = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{limits.MAX_PROPERTY - 1}}}")
_OWN_ZONE = "localtime"  # what some machines call their own zone
# A zero-width joiner is how emoji families are written; it is harmless in a name, and refused in an identifier.
_JOINERS = str.maketrans("", "", "\u200d\u200c")
_PLAIN_MARKS = frozenset(" '_-.,")
_MULTILINE = str.maketrans("", "", "\n\r\t\u200d\u200c")
LONGEST_SPELLING = 4 * limits.MAX_IDENT
"""The longest spelling of any identifier or name: no character of one, folded or not, is made of more than four."""
DOTS = frozenset({".", ".."})
"""Names that nothing in a path may have: every URL library removes them."""
ROOT = "default"
"""The slug of the organization that all others are below."""
ABOVE_ROOT = 0
"""What the root has in place of a parent."""


def ident(value: str, field: str = "ident") -> str:
    """A device identifier: 1 to 256 printable characters, no space at either end, not `.` or `..`."""
    if not 0 < len(value) <= limits.MAX_IDENT:
        raise invalid("invalid_ident", f"{field} must have 1 to {limits.MAX_IDENT} characters.", field)
    if not value.isprintable() or value[0] == " " or value[-1] == " " or value in DOTS:
        raise invalid(
            "invalid_ident", f"{field} must be printable text with no space at either end, and not . or ..", field
        )
    return value


def identity_key(value: str) -> str:
    """The form in which identifiers are equal: NFC, case kept.

    A text that can be no spelling of an identifier stays as it is: composing takes the square of its length.
    """
    is_plain = value.isascii() or len(value) > LONGEST_SPELLING
    return value if is_plain else unicodedata.normalize("NFC", value)


def line(value: str, field: str, longest: int = limits.MAX_NAME) -> str:
    """One line of text for people: printable, 1 to `longest` characters."""
    if not 0 < len(value) <= longest:
        raise invalid("invalid_text", f"{field} must have 1 to {longest} characters.", field)
    if not (value.isprintable() or value.translate(_JOINERS).isprintable()):
        raise invalid("invalid_text", f"{field} must not contain control or formatting characters.", field)
    return value


def is_plain_name(value: str) -> bool:
    """Whether Blynk's apps can show this name: letters, digits, blanks and a few marks, but not blanks alone."""
    if len(value) > limits.MAX_PLAIN_NAME or not value.strip():
        return False
    return all(letter.isalnum() or letter in _PLAIN_MARKS for letter in value)


def label(value: str, field: str, longest: int = limits.MAX_NAME) -> str:
    """A line that names a thing in paths."""
    return line(undotted(value, field), field, longest)


def undotted(value: str, field: str) -> str:
    """A text that can be a part of a path, so not `.` or `..`."""
    if value in DOTS:
        raise invalid("invalid_text", f"{field} must not be . or ..", field)
    return value


def paragraph(value: str, field: str, longest: int = limits.MAX_TEXT) -> str:
    """Free text of several lines, up to `longest` characters; tab and line ends are the only controls."""
    if len(value) > longest:
        raise invalid("invalid_text", f"{field} must have at most {longest} characters.", field)
    if not value.translate(_MULTILINE).isprintable():
        raise invalid("invalid_text", f"{field} must not contain control or formatting characters.", field)
    return value


def is_time_zone(value: str) -> bool:
    """Whether the tz database has a zone of this name."""
    return value in _time_zones()


@functools.cache
def _time_zones() -> frozenset[str]:
    """The names of all zones, read once: constant data, like Unicode's properties of characters."""
    return frozenset(zoneinfo.available_timezones()) - {_OWN_ZONE}


def time_zone(value: str, field: str) -> str:
    """The name of a zone of the tz database. Raises Fault invalid `invalid_time_zone`."""
    if not is_time_zone(value):
        raise invalid("invalid_time_zone", f"{field} must be the name of a time zone, such as Europe/Berlin.", field)
    return value


def display_property(value: str) -> str:
    """The name of a property of how a datastream is displayed: one word."""
    if not PROPERTY.fullmatch(value):
        message = f"A property must be a letter and up to {limits.MAX_PROPERTY - 1} letters, digits and underscores."
        raise invalid("invalid_property", message, "property")
    return value


def tag(value: str, field: str = "tags") -> str:
    """A tag: one printable word or phrase without a comma, which separates tags in CSV cells."""
    if "," in value or value != value.strip():
        raise invalid("invalid_tag", f"{field}: a tag must have no comma, and no space at either end.", field)
    if not 0 < len(value) <= limits.MAX_TAG:
        raise invalid("invalid_text", f"{field}: a tag must have 1 to {limits.MAX_TAG} characters.", field)
    return line(value, field, limits.MAX_TAG)


def unique(values: Iterable[str], longest: int, field: str, read: Callable[[str], str] = str) -> tuple[str, ...]:
    """The values in their order, each once and as `read` gives it; at most `longest`, and no more of them are read."""
    seen: set[str] = set()
    results: dict[str, None] = {}
    for value in values:
        if value in seen:
            continue
        seen.add(value)
        results[read(value)] = None
        if len(results) > longest:
            raise invalid("too_many", f"{field} must have at most {longest} entries.", field)
    return tuple(results)


def path_segment(value: str, field: str) -> str:
    """The name of a DMS or an authority: letters, digits and `._-`, at least one of the first two; at most 64."""
    longest, letters = limits.MAX_AUTHORITY_NAME, value.replace(".", "").replace("_", "").replace("-", "")
    if len(value) > longest or not value.isascii() or not letters.isalnum():
        message = f"{field} must be 1 to {longest} letters, digits, dots, hyphens or underscores."
        raise invalid("invalid_name", message, field)
    return value


def slug(value: str, field: str = "slug") -> str:
    """An organization's name in paths: letters, digits, hyphen, underscore; at most 128."""
    if len(value) > limits.MAX_SLUG or not SLUG.fullmatch(value):
        raise invalid(
            "invalid_slug", f"{field} must be 1 to {limits.MAX_SLUG} letters, digits, hyphens or underscores.", field
        )
    return value


def cohort(value: str | None) -> str | None:
    """A device's cohort as it is stored: None for the default one, whether it is named or left out."""
    return None if value in {None, DEFAULT_COHORT} else slug(value, "cohort")


def slugify(name: str) -> str:
    """A slug made of a name, with room for a number after it; never empty."""
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join(_WORDS.findall(text))[: limits.MAX_SLUG - 3].strip("-") or "organization"


def email(value: str, field: str = "email") -> str:
    """An e-mail address, trimmed and lower-cased. Raises Fault invalid `invalid_email`."""
    address = parse_email(value)
    if address is None:
        raise invalid("invalid_email", f"{field} must be an e-mail address.", field)
    return address


def parse_email(value: str) -> str | None:
    """As `email`; None for anything else."""
    address = value.strip().lower()
    if len(address) > limits.MAX_EMAIL or not address.isprintable() or not _EMAIL.fullmatch(address):
        return None
    return address


def owner_ref(value: str, field: str = "ref") -> str:
    """An owner's reference: an e-mail address, or any other line of text, which is as opaque as a client's own ids."""
    return label(owner_key(value), field, limits.MAX_EMAIL)


def owner_key(value: str) -> str:
    """The form in which owners' references are equal, and stored: addresses in lower case, all others as they are."""
    return parse_email(value) or value.strip()


def positive(text: str, field: str, highest: int) -> int:
    """A decimal integer from 1 to `highest`, as `whole`."""
    return whole(text, field, 1, highest)


def whole(text: str, field: str, lowest: int, highest: int) -> int:
    """A decimal integer within bounds, without sign, space or leading zero. Raises Fault invalid."""
    is_decimal = text.isascii() and text.isdigit() and len(text) <= 19 and (text[0] != "0" or text == "0")
    if not (is_decimal and lowest <= int(text) <= highest):
        raise invalid("out_of_range", f"{field} must be a whole number from {lowest} to {highest}.", field)
    return int(text)
