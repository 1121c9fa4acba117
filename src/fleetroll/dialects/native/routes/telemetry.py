"""Rows that write and read the readings of a device."""

from fleetroll.core import limits
from fleetroll.dialects.native.mapping import telemetry as mapping
from fleetroll.dialects.native.routes.parameters import CURSOR
from fleetroll.dialects.native.shapes import telemetry as shapes
from fleetroll.service import telemetry
from fleetroll.wire.dialect import Parameter, Route

ROUTES = (
    Route(
        "POST",
        "/v1/devices/{ident}/telemetry",
        telemetry.write,
        mapping.new_readings,
        mapping.written,
        "Store readings of a device",
        body=shapes.NewReadings,
        reply=shapes.Written,
    ),
    Route(
        "GET",
        "/v1/devices/{ident}/telemetry",
        telemetry.read,
        mapping.read_telemetry,
        mapping.shown_telemetry,
        "The last readings of a device; with `metric`, those of one; with `interval`, its aggregates",
        reply=shapes.Telemetry,
        query=(
            Parameter("metric", "the metric; if left out, the last reading of each is shown"),
            Parameter(
                "from", "the earliest time, RFC 3339; with `interval`, by default 1000 intervals before `to`, or now"
            ),
            Parameter("to", "the time that all readings are before, RFC 3339"),
            Parameter("order", "asc (default) or desc, of readings", choices=("asc", "desc")),
            Parameter(
                "limit",
                "maximum number of readings per page, 1 to 10000; 1000 if left out",
                "integer",
                bounds=(1, limits.MAX_RANGE),
            ),
            CURSOR,
            Parameter("interval", "aggregate by intervals such as 15m, in ms, s, m, h, d or w"),
            Parameter("aggregate", "with `interval`, some of mean, min, max, count, sum, first, last, median, stddev"),
        ),
    ),
)
