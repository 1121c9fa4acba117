"""The row of all that happens."""

from fleetroll.core import ids
from fleetroll.dialects.native.mapping import events as mapping
from fleetroll.dialects.native.mapping.timeline import event
from fleetroll.dialects.native.shapes.timeline import Event
from fleetroll.service import events
from fleetroll.wire.dialect import Parameter, Route, Stream

ROUTES = (
    Route(
        "GET",
        "/v1/events",
        events.follow,
        mapping.follow,
        event,
        "Every change as it happens, as server-sent events; Last-Event-ID resumes",
        reply=Event,
        query=(
            Parameter("filter", 'a filter on id, type, subject, name, actor and at, as in type = "device.*"'),
            Parameter(
                "after", "number of the last event seen; 0 for all that there are", "integer", bounds=(0, ids.MAX_ID)
            ),
            Parameter("telemetry", "whether to include readings as they arrive, as device.telemetry", "boolean"),
        ),
        stream=Stream.EVENTS,
    ),
)
