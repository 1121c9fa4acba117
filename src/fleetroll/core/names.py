"""Identifier grammars and id codecs: what a name may look like, and how one integer is spelled for each vendor.

Each parser returns the value as it is stored or raises Fault invalid; after the edge nothing is checked again.
Identifiers are stored as sent and compared by their NFC form, case-sensitively (`identity_key`).
"""

import base64
import functools
import re
import unicodedata
import zlib
import zoneinfo
from collections.abc import Collection

from fleetroll.core import limits
from fleetroll.core.faults import Fault, invalid
from fleetroll.core.times import SECOND

_WORDS = re.compile(r"[a-z0-9_]+")
_SLUG = re.compile(r"[-a-zA-Z0-9_]+")
# The practical subset of RFC 5321 that the vendors' own forms accept: one @, a dotted domain, no spaces or quotes.
_EMAIL = re.compile(
    r"[^@\s\"<>(),;:\\\[\]]+@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+"
)
_PROPERTY = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{limits.MAX_PROPERTY - 1}}}")
_OWN_ZONE = "localtime"  # what a machine may call its own among them
# A zero-width joiner is how emoji families are written; it is harmless in a name, and refused in an identifier.
_JOINERS = str.maketrans("", "", "\u200d\u200c")
_PLAIN_MARKS = frozenset(" '_-.,")
_MULTILINE = str.maketrans("", "", "\n\r\t\u200d\u200c")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]  # two at a time, for every reply has some
_PAIRED = len(_PAIRS)
MAX_ID = (1 << 63) - 1
DOTS = frozenset({".", ".."})
"""What nothing may be called that has a place in paths: every URL library folds them away."""
ROOT = "default"
"""The slug of the organization that all others are below."""
ABOVE_ROOT = 0
"""What the root has in place of a parent."""
_TEMPLATE = "TMPL"
_TEMPLATE_ID = re.compile(r"TMPL[A-Za-z0-9_-]{9}")


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
    """The form in which identifiers are equal: NFC, case kept."""
    return value if value.isascii() else unicodedata.normalize("NFC", value)


def line(value: str, field: str, longest: int = limits.MAX_NAME) -> str:
    """One line of text for people: printable, 1 to `longest` characters."""
    if not 0 < len(value) <= longest:
        raise invalid("invalid_text", f"{field} must have 1 to {longest} characters.", field)
    if not (value.isprintable() or value.translate(_JOINERS).isprintable()):
        raise invalid("invalid_text", f"{field} must not contain control or formatting characters.", field)
    return value


def is_plain_name(value: str) -> bool:
    """Whether Blynk's apps can show this name: letters, digits, blanks and a few marks, but not blanks alone."""
    plain = all(letter.isalnum() or letter in _PLAIN_MARKS for letter in value)
    return plain and len(value) <= limits.MAX_PLAIN_NAME and bool(value.strip())


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
    """Which zones there are, read once: a table of the interpreter, as its properties of characters are."""
    return frozenset(zoneinfo.available_timezones()) - {_OWN_ZONE}


def time_zone(value: str, field: str) -> str:
    if not is_time_zone(value):
        raise invalid("invalid_time_zone", f"{field} is the name of a time zone, such as Europe/Berlin.", field)
    return value


def display_property(value: str) -> str:
    """How a datastream is displayed has properties, which are words."""
    if not _PROPERTY.fullmatch(value):
        message = f"A property is a letter and up to {limits.MAX_PROPERTY - 1} letters, digits and underscores."
        raise invalid("invalid_property", message, "property")
    return value


def tag_number(value: str) -> int:
    """The number of a tag, which is made of its text and fits 31 bits."""
    return zlib.crc32(value.encode()) >> 1


def tag(value: str, field: str = "tags") -> str:
    """A tag: one printable word or phrase without a comma, which separates tags in CSV cells."""
    if "," in value or value != value.strip():
        raise invalid("invalid_tag", f"{field}: a tag has no comma and no space at either end.", field)
    return line(value, field, limits.MAX_TAG)


def unique(values: "tuple[str, ...] | list[str]", longest: int, field: str) -> tuple[str, ...]:
    """The values in their order, each once; at most `longest`."""
    once = tuple(dict.fromkeys(values))
    if len(once) > longest:
        raise invalid("too_many", f"{field} must have at most {longest} entries.", field)
    return once


def slug(value: str, field: str = "slug") -> str:
    """An organization's name in paths: letters, digits, hyphen, underscore; at most 128."""
    if len(value) > limits.MAX_SLUG or not _SLUG.fullmatch(value):
        raise invalid(
            "invalid_slug", f"{field} must be 1 to {limits.MAX_SLUG} letters, digits, hyphens or underscores.", field
        )
    return value


def slugify(name: str) -> str:
    """A slug that says what a name says, with room for a number after it; there is one for every name."""
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


def base36(number: int) -> str:
    """`number` (0 or more) in digits and lower-case letters."""
    digits = ""
    while number >= _PAIRED:
        number, pair = divmod(number, _PAIRED)
        digits = _PAIRS[pair] + digits
    return (_PAIRS[number] if number >= len(_DIGITS) else _DIGITS[number]) + digits


def parse_base36(text: str) -> int | None:
    """The number of canonical base-36 text, or None: one id has one spelling."""
    if not 0 < len(text) <= 13 or not text.isascii() or text.strip(_DIGITS):
        return None
    number = int(text, 36)
    return number if number <= MAX_ID and base36(number) == text else None


def prefixed(prefix: str, number: int) -> str:
    """`dev_…`, `cus_…`: the id behind a prefix that says what it names."""
    return prefix + base36(number)


def parse_prefixed(prefix: str, text: str) -> int | None:
    """Inverse of `prefixed`; None for anything else."""
    return parse_base36(text.removeprefix(prefix)) if text.startswith(prefix) else None


def template_id(number: int) -> str:
    """`TMPL` and the number in nine base-64 digits of the URL-safe alphabet."""
    digits = base64.urlsafe_b64encode(number.to_bytes(9, "big")).decode()
    return _TEMPLATE + digits[3:]


def parse_template_id(text: str) -> int | None:
    """Inverse of `template_id`; None for anything else."""
    if not _TEMPLATE_ID.fullmatch(text):
        return None
    return int.from_bytes(base64.urlsafe_b64decode("AAA" + text[4:]), "big")


def device_hex(created_at: int, number: int) -> str:
    """24 hex digits: 8 for the creation second, 16 for the id."""
    return f"{created_at // SECOND & 0xFFFFFFFF:08x}{number:016x}"


def parse_device_hex(text: str) -> int | None:
    """The id in 24 lower-case hex digits; None for anything else."""
    if len(text) != 24 or not text.isascii() or text.strip("0123456789abcdef"):
        return None
    number = int(text[8:], 16)
    return number if number <= MAX_ID else None


def broker_org(number: int) -> str:
    """What the broker calls an organization: one word of a subject, never given to another."""
    return prefixed("org_", number)


def parse_broker_org(text: str) -> int | None:
    """Inverse of `broker_org`; None for anything else."""
    return parse_prefixed("org_", text)


def broker_groups(role: str, scopes: Collection[str]) -> set[str]:
    """What the accounts on the broker are called that a key may be in: that of its role and what it is narrowed to, and
    that of its role alone, in which keys with scopes once were.
    """
    return {role, " ".join((role, *scopes))}


def parse_broker_group(text: str) -> tuple[str, tuple[str, ...]]:
    """The role and the scopes of one of `broker_groups`."""
    role, *scopes = text.split(" ")
    return role, tuple(scopes)


def positive(text: str, field: str, highest: int) -> int:
    """A decimal integer from 1 to `highest`, without sign, space or leading zero. Raises Fault invalid."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and text[0] != "0" and int(text) <= highest):
        raise _out_of_range(field, highest)
    return int(text)


def _out_of_range(field: str, highest: int) -> Fault:
    return invalid("out_of_range", f"{field} must be a whole number from 1 to {highest}.", field)
