"""Certificate authorities, and the keys of certificates."""

from msgspec import Struct

from fleetroll.core.certificates import KeyType
from fleetroll.dialects.native.shapes.numbers import Seconds
from fleetroll.wire.texts import Label, Time


class PublicKey(Struct, forbid_unknown_fields=True, frozen=True):
    """One to be generated is EC of 256, 384 or 521 bits, RSA of 2048, 3072 or 4096, or Ed25519 of 256."""

    type: KeyType = KeyType.EC
    bits: int = 256


class Authority(Struct):
    """`issues` is false for an authority of somebody else's, which only vouches for clients."""

    id: int
    name: str
    serial: str
    common_name: str
    key: PublicKey
    issues: bool
    not_before: Time
    not_after: Time
    created_at: Time
    revision: int
    certificate: str


class AuthorityList(Struct):
    authorities: list[Authority]
    next_cursor: str | None


class NewAuthority(Struct, forbid_unknown_fields=True):
    """The key is EC P-256 if left out. `certificate` in PEM takes in an authority of somebody else's instead."""

    name: Label
    key: PublicKey | None = None
    lifetime: Seconds = 20 * 365 * 86_400
    certificate: str | None = None
