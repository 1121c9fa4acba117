"""Following all that happens."""

from fleetroll.core import ids, names
from fleetroll.core.fields import EVENT_FIELDS
from fleetroll.core.filtering import parse_filter
from fleetroll.service import events
from fleetroll.wire.request import Request


def follow(request: Request) -> events.Follow:
    header, parameter = request.last_event_id, request.query.get("after")
    last, source = (header, "Last-Event-ID") if header else (parameter, "after")
    after = None if last is None else names.whole(last, source, 0, ids.MAX_ID)
    filter = parse_filter(request.query.get("filter") or "", EVENT_FIELDS)
    return events.Follow(after, filter, request.query.flag("telemetry"))
