"""The identity of a device: its slot, and the certificate in it."""

from msgspec import Struct

from fleetroll.core.lifecycle import Status
from fleetroll.dialects.native.shapes.certificates import Certificate
from fleetroll.wire.texts import Time


class IdentityEvent(Struct):
    at: Time
    type: str
    description: str


class Identity(Struct):
    """The slot of a device; `certificate` is the active one, if it is one of ours."""

    status: Status
    type: str
    active_version: int
    versions: dict[str, str]
    expires_at: Time | None
    events: list[IdentityEvent]
    certificate: Certificate | None


class Binding(Struct, forbid_unknown_fields=True):
    serial: str
