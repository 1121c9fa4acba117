"""Certificates: shown, listed, revoked and restored."""

from datetime import datetime

from msgspec import Struct

from fleetroll.core.certificates import State
from fleetroll.dialects.native.shapes.authorities import PublicKey
from fleetroll.dialects.native.shapes.words import RevocationReason


class Certificate(Struct):
    serial: str
    common_name: str
    device_id: int | None
    dms: str | None
    authority: str
    key: PublicKey
    state: State
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None
    reason: str | None
    created_at: datetime
    certificate: str


class CertificateList(Struct):
    certificates: list[Certificate]
    next_cursor: str | None


class Revocation(Struct, forbid_unknown_fields=True):
    reason: RevocationReason = "unspecified"
