"""Certificates: shown, listed, revoked and restored."""

from msgspec import Struct

from fleetroll.core.certificates import State
from fleetroll.dialects.native.shapes.authorities import PublicKey
from fleetroll.dialects.native.shapes.words import RevocationReason
from fleetroll.wire.texts import Time


class Certificate(Struct):
    serial: str
    common_name: str
    device_id: int | None
    dms: str | None
    authority: str
    key: PublicKey
    state: State
    not_before: Time
    not_after: Time
    revoked_at: Time | None
    reason: str | None
    created_at: Time
    certificate: str


class CertificateList(Struct):
    certificates: list[Certificate]
    next_cursor: str | None


class Revocation(Struct, forbid_unknown_fields=True):
    reason: RevocationReason = "unspecified"
