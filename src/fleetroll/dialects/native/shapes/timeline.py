"""Events, and pages of them."""

from datetime import datetime

from msgspec import Struct

from fleetroll.wire.dialect import Object


class Event(Struct):
    id: int
    at: datetime
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
