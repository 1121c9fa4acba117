"""What a device logged, and what was done to it."""

from fleetroll.core import documents, model
from fleetroll.dialects.blynk.mapping.parameters import choice, device_number, offset_page
from fleetroll.dialects.blynk.mapping.pins import split
from fleetroll.dialects.blynk.mapping.times import ms
from fleetroll.dialects.blynk.shapes import timeline as shapes
from fleetroll.dialects.blynk.shapes.words import EVENTS
from fleetroll.service import datastreams, event_codes
from fleetroll.service.timeline import Act, Actions
from fleetroll.wire.request import Request


def past(request: Request) -> event_codes.Past:
    kind = request.query.get("eventType")
    return event_codes.Past(
        device_number(request), offset_page(request), None if kind is None else choice(EVENTS, kind, "eventType")
    )


def actions(request: Request) -> Actions:
    return Actions(device_number(request), offset_page(request))


def timeline(result: tuple[list[model.Event], int], request: Request) -> shapes.TimelinePage:
    events, total = result
    return shapes.TimelinePage([_event(event) for event in events], total)


def _event(event: model.Event) -> shapes.TimelineEvent:
    data = documents.load(event.data)
    kind = event_codes.KINDS[event.type]
    description = data.get("description") or data.get("name") or ""
    return shapes.TimelineEvent(event.id, data.get("event", 0), event.org, kind.value, description, ms(event.at))


def logs(result: tuple[list[Act], int], request: Request) -> shapes.ActionLogPage:
    acts, total = result
    return shapes.ActionLogPage([_action(act) for act in acts], total)


def _action(act: Act) -> shapes.ActionLog:
    event, data = act.event, documents.load(act.event.data)
    if event.type == datastreams.WRITTEN:
        pin, kind = split(data["pin"])
        return shapes.ActionLog(event.actor, data["value"], pin, kind, data["connected"], ms(event.at))
    changed = " ".join(data.get("changed", ()))
    return shapes.ActionLog(event.actor, f"{event.type} {changed}".rstrip(), None, None, act.connected, ms(event.at))
