"""An event that is logged in the name of a device."""

from typing import Annotated

from msgspec import Meta, Struct

from fleetroll.dialects.blynk.shapes.numbers import Id
from fleetroll.wire.texts import EventDescription

LONGEST_EVENT = 1024


class TriggerEvent(Struct, rename="camel"):
    device_id: Id
    event_code: Annotated[str, Meta(extra_json_schema={"maxLength": LONGEST_EVENT})]
    event_description: EventDescription | None = None
