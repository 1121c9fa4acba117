"""The form of API keys and what is stored of them. Pure: random characters and the server key are arguments.

A token is `flr_a_<id>_<secret><checksum>`: 12 public characters that find the key, 32 secret ones (190 bits) and a
checksum that rejects typing errors without a look-up. Secret scanners find it by `TOKEN_PATTERN`.

Tokens of devices and keys of projects must be shown again, so they are derived from the server key and stored nowhere:
each names its record and a version, and a new version ends the one before.
"""

import base64
import enum
import functools
import hashlib
import hmac
import re
import zlib

from msgspec import Struct

from fleetroll.core.model import KeyKind

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX_LENGTH = 12
SECRET_LENGTH = 32
_PUBLIC = slice(6, 6 + PREFIX_LENGTH)  # after `flr_` and a letter with its `_`
_CHECKSUM_LENGTH = 6
TOKEN_PATTERN = r"flr_[aotr]_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}"  # noqa: S105  # the form of a secret, not one
_TOKEN = re.compile(TOKEN_PATTERN)
_DEVICE_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
_DEVICE_ID_BYTES = 6
_REMEMBERED = 1 << 14
_PROJECT_KEY = re.compile(r"[0-9a-f]{32}")
_ORG_ID_BYTES = 5
_GRANT = re.compile(r"flr_[tr]_")
_ORG_DIGITS, _KEY_DIGITS = 5, 7
_KIND_LETTER = {KeyKind.API: "a", KeyKind.OAUTH: "o"}
KINDS = tuple(_KIND_LETTER)
"""The kinds of keys that are shown as a token."""


class Token(Struct, frozen=True):
    """A token taken apart. `prefix` finds the key; `text` is what is hashed."""

    prefix: str
    text: str


def assemble(kind: KeyKind, prefix: str, secret: str) -> str:
    """The token made of `prefix` and `secret`, which are random characters of `ALPHABET`."""
    body = f"flr_{_KIND_LETTER[kind]}_{prefix}_{secret}"
    return body + _checksum(body)


class Grant(enum.Enum):
    """What an OAuth2 client gets for its secret: a token to call with, and one to get the next with."""

    ACCESS = "t"
    REFRESH = "r"


def assemble_grant(grant: Grant, org: int, key: int, secret: str) -> str:
    """The token issued for a key. Its public part says whose it claims to be; its digest alone is stored."""
    body = f"flr_{grant.value}_{_digits(org, _ORG_DIGITS)}{_digits(key, _KEY_DIGITS)}_{secret}"
    return body + _checksum(body)


def is_grant(text: str) -> bool:
    """Whether a text has the form of a token that was issued for a key."""
    return _GRANT.match(text) is not None


def parse_grant(grant: Grant, text: str) -> tuple[int, int] | None:
    """The organization and the key that a token claims to be issued for; None for anything else."""
    if not text.startswith(f"flr_{grant.value}_") or not _is_well_formed(text):
        return None
    public = text[_PUBLIC]
    return _number(public[:_ORG_DIGITS]), _number(public[_ORG_DIGITS:])


def is_client_id(text: str) -> bool:
    """Whether a text has the form of an OAuth2 client's id."""
    return text.startswith(f"flr_{_KIND_LETTER[KeyKind.OAUTH]}_")


def halves(token: str) -> tuple[str, str]:
    """A token as an OAuth2 client has it: client id and client secret."""
    client_id, _, secret = token.rpartition("_")
    return client_id, secret


def join(client_id: str, client_secret: str) -> str:
    """Inverse of `halves`."""
    return f"{client_id}_{client_secret}"


def parse(server_key: bytes, text: str) -> Token | None:
    """A well-formed token, or a preset key of any other form; None for a token that fails its checksum."""
    if not text.startswith("flr_"):
        return Token(preset_prefix(server_key, text), text)
    if not _is_well_formed(text):
        return None
    return Token(text[_PUBLIC], text)


def preset_prefix(server_key: bytes, text: str) -> str:
    """The public part of a key that an operator chose: it has none, so one is derived, separately from its digest."""
    return "preset:" + _keyed_digest(server_key, b"prefix", text)[:24]


def digest(server_key: bytes, text: str) -> str:
    """What is stored of a token: worthless without the server key, which lies outside the database."""
    return _keyed_digest(server_key, b"digest", text)


def is_genuine(server_key: bytes, text: str, stored: str) -> bool:
    """Whether `text` is the token whose digest is `stored`, in constant time."""
    return hmac.compare_digest(digest(server_key, text), stored)


def redact(text: str) -> str:
    """`text` with only the public part of every token in it, which is enough to find the key and revoke it."""
    return _TOKEN.sub(lambda found: f"{found[0][: _PUBLIC.stop]}_***", text) if "flr_" in text else text


def derive(server_key: bytes, purpose: str) -> bytes:
    """A 32-byte key for one purpose, so that no two uses share one."""
    return hmac.digest(server_key, b"derive:" + purpose.encode(), "sha256")


def mark(server_key: bytes) -> str:
    """What a database knows of the server key: enough to tell it from another one."""
    return derive(server_key, "mark").hex()


@functools.lru_cache(maxsize=_REMEMBERED)
def device_token(server_key: bytes, device: int, version: int) -> str:
    """The token of a device, 32 URL-safe characters: 6 bytes of its id, 18 of what only the server key can make.

    Remembered: a device shows it with every value that it sends, and pages of devices show fifty.
    """
    name = device.to_bytes(_DEVICE_ID_BYTES, "big")
    return base64.urlsafe_b64encode(name + _proof(server_key, b"device", device, version)[:18]).decode()


@functools.lru_cache(maxsize=_REMEMBERED)
def parse_device_token(text: str) -> int | None:
    """The device that a token claims to be; None for what is no token. `is_device_token` says whether it is true."""
    if not _DEVICE_TOKEN.fullmatch(text):
        return None
    return int.from_bytes(base64.urlsafe_b64decode(text)[:_DEVICE_ID_BYTES], "big")


def is_device_token(server_key: bytes, text: str, device: int, version: int) -> bool:
    """Whether `text` is the token of that device in that version, in constant time."""
    return hmac.compare_digest(text, device_token(server_key, device, version))


@functools.lru_cache(maxsize=_REMEMBERED)
def project_key(server_key: bytes, org: int, version: int) -> str:
    """The project key of an organization, 32 hex digits: 5 bytes of its id and 11 of proof. Remembered, as above."""
    return (org.to_bytes(_ORG_ID_BYTES, "big") + _proof(server_key, b"project", org, version)[:11]).hex()


def parse_project_key(text: str) -> int | None:
    """The organization that a project key claims to be of; None for what is no project key."""
    if not _PROJECT_KEY.fullmatch(text):
        return None
    return int(text[: 2 * _ORG_ID_BYTES], 16)


def is_project_key(server_key: bytes, text: str, org: int, version: int) -> bool:
    """Whether `text` is the project key of that organization in that version, in constant time."""
    return hmac.compare_digest(text, project_key(server_key, org, version))


def export_proof(server_key: bytes, order: bytes) -> str:
    """The proof that a file was ordered, 24 URL-safe characters: nobody but the server can make it."""
    return base64.urlsafe_b64encode(hmac.digest(derive(server_key, "exports"), order, "sha256")[:18]).decode()


def is_export_proof(server_key: bytes, text: str, order: bytes) -> bool:
    """Whether `text` is the proof that was given for that order, in constant time."""
    return hmac.compare_digest(text.encode(), export_proof(server_key, order).encode())


def _proof(server_key: bytes, purpose: bytes, number: int, version: int) -> bytes:
    return hmac.digest(server_key, b"%s:%d:%d" % (purpose, number, version), "sha256")


def _keyed_digest(server_key: bytes, purpose: bytes, text: str) -> str:
    return hmac.new(server_key, purpose + b":" + text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _is_well_formed(text: str) -> bool:
    body, checksum = text[:-_CHECKSUM_LENGTH], text[-_CHECKSUM_LENGTH:]
    return _TOKEN.fullmatch(text) is not None and _checksum(body) == checksum


def _checksum(body: str) -> str:
    return _digits(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)


def _digits(number: int, length: int) -> str:
    """The last `length` digits of a number in `ALPHABET`."""
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def _number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number * len(ALPHABET) + ALPHABET.index(digit)
    return number
