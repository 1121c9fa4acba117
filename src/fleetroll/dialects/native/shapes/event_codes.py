"""Events that a template lets its devices log."""

from msgspec import Struct

from fleetroll.wire.texts import EventDescription


class Occurrence(Struct, forbid_unknown_fields=True):
    """An event to log: a code of the device's template."""

    code: str
    description: EventDescription | None = None
