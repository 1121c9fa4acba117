"""An event that is logged in the name of a device."""

from msgspec import Struct

from fleetroll.dialects.blynk.shapes.numbers import Id


class TriggerEvent(Struct, rename="camel"):
    device_id: Id
    event_code: str
    event_description: str | None = None
