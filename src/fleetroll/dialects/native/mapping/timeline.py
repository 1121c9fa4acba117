"""Events: what happened to a device, and to whatever else has events."""

from fleetroll.core import ids, model
from fleetroll.core.query import Part
from fleetroll.dialects.native.mapping.paging import limit, mark, resume
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
    before = resume(request) or ids.MAX_ID
    return timeline.History(request.path["ident"], before, limit(request))


def event_page(result: Part[model.Event, int], request: Request) -> shapes.EventList:
    return shapes.EventList([event(record, request) for record in result.records], mark(result.next, request))
