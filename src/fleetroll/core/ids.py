"""Id codecs: how one integer is spelled for each vendor and for the broker, and read back.

An inverse returns None for whatever is not the one spelling of an id.
"""

import base64
import re
import zlib
from collections.abc import Collection
from typing import NamedTuple

from fleetroll.core.times import SECOND

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]  # two digits at a time, as every reply has ids
_PAIRED = len(_PAIRS)
MAX_ID = (1 << 63) - 1
_TEMPLATE = "TMPL"
_TEMPLATE_ID = re.compile(r"TMPL[A-Za-z0-9_-]{9}")


def base36(number: int) -> str:
    """`number` (0 or more) in digits and lower-case letters."""
    digits = ""
    while number >= _PAIRED:
        number, pair = divmod(number, _PAIRED)
        digits = _PAIRS[pair] + digits
    return (_PAIRS[number] if number >= len(_DIGITS) else _DIGITS[number]) + digits


def parse_base36(text: str) -> int | None:
    """The number of canonical base-36 text, or None: one id has one spelling."""
    if not 0 < len(text) <= 13 or text.strip(_DIGITS):
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
    if len(text) != 24 or text.strip("0123456789abcdef"):
        return None
    number = int(text[8:], 16)
    return number if number <= MAX_ID else None


def broker_org(number: int) -> str:
    """What the broker calls an organization: one token of a subject, never given to another."""
    return prefixed("org_", number)


def parse_broker_org(text: str) -> int | None:
    """Inverse of `broker_org`; None for anything else."""
    return parse_prefixed("org_", text)


def broker_groups(role: str, scopes: Collection[str]) -> set[str]:
    """The names of the broker's accounts that a key may be in.

    They are that of its role and scopes, and that of its role alone, where keys with scopes used to be.
    """
    return {role, " ".join((role, *scopes))}


class BrokerGroup(NamedTuple):
    """What the keys in an account of the broker have in common: the name of their role, and their scopes."""

    role: str
    scopes: tuple[str, ...]


def parse_broker_group(text: str) -> BrokerGroup:
    """What one of `broker_groups` stands for."""
    role, *scopes = text.split(" ")
    return BrokerGroup(role, tuple(scopes))


def text_number(value: str) -> int:
    """The number of something that is known by its text alone, such as a tag: a 31-bit hash of that."""
    return zlib.crc32(value.encode()) >> 1
