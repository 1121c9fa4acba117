"""Rows about the values of a device's datastreams."""

from typing import Any

from fleetroll.dialects.blynk.mapping import datastreams as mapping
from fleetroll.dialects.blynk.routes.parameters import DEVICE, PLACE, row
from fleetroll.dialects.blynk.shapes import datastreams as shapes
from fleetroll.service import datastreams
from fleetroll.wire.dialect import Parameter, nothing

ROUTES = (
    row(
        "GET",
        "/device/datastreams",
        datastreams.values,
        mapping.stream_values,
        mapping.shown_values,
        "The latest values of a device by pin",
        DEVICE,
        Parameter("pins", "such as v1,v2; all that have a value if left out"),
        reply=dict[str, Any],
    ),
    row(
        "GET",
        "/device/datastream/history",
        datastreams.history,
        mapping.stream_past,
        mapping.stream_history,
        "The values that a device's datastream had, newest first",
        DEVICE,
        Parameter("pin", "such as v1", required=True),
        Parameter("from", "the earliest time, in milliseconds since 1970", "integer", bounds=(0, mapping.LATEST)),
        Parameter("to", "the latest time, in milliseconds since 1970", "integer", bounds=(0, mapping.LATEST)),
        *PLACE,
        reply=shapes.HistoryPage,
    ),
    row(
        "POST",
        "/device/datastream",
        datastreams.write,
        mapping.stream_write,
        nothing,
        "Write a value on behalf of a device",
        body=shapes.DataStreamWrite,
        status=204,
    ),
    row(
        "POST",
        "/device/datastreams",
        datastreams.write,
        mapping.stream_writes,
        nothing,
        "Write values on behalf of a device",
        body=shapes.DataStreamWrites,
        status=204,
    ),
    row(
        "POST",
        "/device/datastream/property",
        datastreams.set_property,
        mapping.stream_property,
        nothing,
        "Set how a datastream of a device is displayed",
        body=shapes.DataStreamProperty,
        status=204,
    ),
    row(
        "POST",
        "/device/import/batch",
        datastreams.write,
        mapping.stream_import,
        nothing,
        "Write values with their times on behalf of a device",
        body=shapes.DataStreamImport,
        status=204,
    ),
)
