"""Following all that happens."""

from fleetroll.core import names
from fleetroll.core.fields import EVENT_FIELDS
from fleetroll.core.filtering import parse_filter
from fleetroll.service import events
from fleetroll.wire.request import Request

_LAST = "Last-Event-ID"


def follow(request: Request) -> events.Follow:
    asked = request.query.get("after")
    after, at = _place(request.last_event_id) if request.last_event_id else (_number(asked, "after"), None)
    filter = parse_filter(request.query.get("filter") or "", EVENT_FIELDS)
    return events.Follow(after, filter, request.query.flag("telemetry"), at)


def _place(text: str) -> tuple[int | None, int | None]:
    """The number and the time of the last event, as the stream says them, or its number alone."""
    number, is_timed, at = text.partition("@")
    return _number(number, _LAST), names.positive(at, _LAST, names.MAX_ID) if is_timed else None


def _number(text: str | None, field: str) -> int | None:
    return None if text is None else 0 if text == "0" else names.positive(text, field, names.MAX_ID)
