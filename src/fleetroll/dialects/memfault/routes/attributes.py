"""Rows about a device's attributes, and the one by which it sets its own."""

from fleetroll.dialects.memfault.mapping import attributes as mapping
from fleetroll.dialects.memfault.routes.parameters import DEVICE, PAGE, in_project
from fleetroll.dialects.memfault.shapes import attributes as shapes
from fleetroll.dialects.memfault.shapes.envelopes import Many
from fleetroll.service import attributes
from fleetroll.wire.dialect import Parameter, Route, nothing

ROUTES = (
    in_project(
        "GET",
        f"{DEVICE}/attributes",
        attributes.get,
        mapping.list_attributes,
        mapping.attribute_page,
        "A device's attributes, each with its definition",
        reply=Many,
        query=(*PAGE, Parameter("q", "key, with * for anything; may be repeated", "array")),
    ),
    in_project(
        "PATCH",
        f"{DEVICE}/attributes",
        attributes.put,
        mapping.set_attributes,
        nothing,
        "Set attributes, or remove them with null; a new one is defined by its first value",
        status=204,
        body=list[shapes.Attribute],
    ),
)

REPORTS = (
    Route(
        "PATCH",
        "/api/v0/attributes",
        attributes.report,
        mapping.report_attributes,
        nothing,
        "As a device: set its own attributes",
        status=204,
        body=list[shapes.Attribute],
        query=(Parameter("device_serial", "serial of the device", required=True),),
    ),
)
