"""Events: what happened to a device, and to whatever else is told of."""

from fleetroll.core import model, names
from fleetroll.dialects.native.mapping.paging import limit
from fleetroll.dialects.native.mapping.times import at
from fleetroll.dialects.native.shapes import timeline as shapes
from fleetroll.service import timeline
from fleetroll.wire.request import Request


def event(record: model.Event, request: Request) -> shapes.Event:
    return shapes.Event(
        record.id,
        at(record.at),
        record.type,
        record.subject,
        record.subject_id,
        record.name,
        record.actor,
        record.request,
        record.data,
    )


def history(request: Request) -> timeline.History:
    token = request.query.get("cursor")
    before = names.MAX_ID if token is None else request.resume(token, "")
    return timeline.History(request.path["ident"], before, limit(request))


def event_page(result: timeline.Events, request: Request) -> shapes.EventList:
    cursor = None if result.next is None else request.mark(result.next, "")
    return shapes.EventList([event(record, request) for record in result.events], cursor)
