"""Events, and pages of them."""

from msgspec import Struct

from fleetroll.wire.dialect import Object
from fleetroll.wire.texts import Time


class Event(Struct):
    id: int
    at: Time
    type: str
    subject: str
    subject_id: int
    name: str
    actor: str
    request_id: str
    data: Object


class EventList(Struct):
    events: list[Event]
    next_cursor: str | None
