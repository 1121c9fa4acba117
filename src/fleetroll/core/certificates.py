"""Certificates and the authorities that issue them, as records: no X.509 here, which is `pki`'s alone.

A certificate is valid from `not_before` up to `not_after`, unless it was revoked. Whether it is expired is never
stored: it is asked of the clock.
"""

import enum

from msgspec import Struct

from fleetroll.core.faults import invalid
from fleetroll.core.model import Instant


class KeyType(enum.Enum):
    """Key algorithms."""

    EC = "EC"
    RSA = "RSA"
    ED25519 = "Ed25519"


class KeyKind(Struct, frozen=True):
    """An algorithm and the size of its key."""

    type: KeyType = KeyType.EC
    bits: int = 256


_GENERATED = {KeyType.EC: (256, 384, 521), KeyType.RSA: (2048, 3072, 4096), KeyType.ED25519: (256,)}


def check_generated(kind: KeyKind, field: str = "key") -> None:
    """Raises Fault invalid `invalid_key_kind` for keys that are not generated here."""
    if kind.bits not in _GENERATED[kind.type]:
        raise invalid(
            "invalid_key_kind", "A generated key must be RSA 2048, 3072 or 4096, EC 256, 384 or 521, or Ed25519.", field
        )


class Reason(enum.Enum):
    """Why a certificate is no longer good; the numbers are those of RFC 5280, 5.3.1."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    CA_COMPROMISE = 2
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    CERTIFICATE_HOLD = 6
    PRIVILEGE_WITHDRAWN = 9
    AA_COMPROMISE = 10


class State(enum.Enum):
    """What became of a certificate."""

    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


class Tally(Struct, frozen=True):
    """How many certificates an authority has issued, and how many of them were revoked or have expired unrevoked."""

    issued: int
    revoked: int
    expired: int


class Authority(Struct, frozen=True):
    """A certificate authority. Without `sealed_key` it is somebody else's: it vouches for clients and signs nothing."""

    id: int
    org: int
    name: str
    serial: str
    certificate: bytes
    sealed_key: bytes | None
    not_before: Instant
    not_after: Instant
    created_at: Instant
    updated_at: Instant
    revision: int

    def state(self, now: Instant) -> State:
        """The state of its certificate; a revocation by somebody else is not known here."""
        return State.EXPIRED if now >= self.not_after else State.ACTIVE


class Revocation(Struct, frozen=True):
    """An entry of an authority's revocation list. `id` is the certificate's."""

    id: int
    serial: str
    at: Instant
    reason: Reason


class Edition(Struct, frozen=True):
    """Which of an authority's revocation lists one is: its CRL number, when it was signed, and a digest of its entries.

    Numbers rise even when the clock goes back (RFC 5280, 5.2.3), or clients would take a new list for an old one.
    """

    number: int = 0
    at: Instant = 0
    content: str = ""

    def next(self, at: Instant, content: str) -> "Edition":
        return Edition(max(at, self.number + 1), at, content)


class SignedList(Struct, frozen=True):
    """What an authority has revoked, as a CRL in DER."""

    der: bytes
    edition: Edition

    @property
    def tag(self) -> str:
        """Its entity tag: weak, as each process signs the same list for itself."""
        return f'W/"{self.edition.number}"'


class Certificate(Struct, frozen=True):
    """A certificate that one of our authorities issued, for a device and through a DMS where there were any."""

    id: int
    org: int
    serial: str
    authority: int
    device: int | None
    dms: str | None
    common_name: str
    der: bytes
    not_before: Instant
    not_after: Instant
    created_at: Instant
    revoked_at: Instant | None = None
    reason: Reason | None = None

    def state(self, now: Instant) -> State:
        if self.revoked_at is not None:
            return State.REVOKED
        return State.EXPIRED if now >= self.not_after else State.ACTIVE

    @property
    def may_be_revoked(self) -> bool:
        """Whether it is not revoked, or only on hold and could come back."""
        return self.reason in {None, Reason.CERTIFICATE_HOLD}

    def may_be_good(self, now: Instant) -> bool:
        """Whether it is good, or only on hold and could become so again."""
        return now < self.not_after and self.may_be_revoked
