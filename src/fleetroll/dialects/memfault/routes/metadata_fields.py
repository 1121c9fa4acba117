"""Rows about definitions of attributes."""

from fleetroll.dialects.memfault.mapping import metadata_fields as mapping
from fleetroll.dialects.memfault.routes.parameters import PAGE, PROJECT, in_project
from fleetroll.dialects.memfault.shapes import metadata_fields as shapes
from fleetroll.dialects.memfault.shapes.envelopes import Many, One
from fleetroll.service import attributes, metadata_fields

ROUTES = (
    in_project(
        "POST",
        f"{PROJECT}/custom-metrics",
        attributes.define,
        mapping.new_metric,
        mapping.metric,
        "Define an attribute",
        body=shapes.NewCustomMetric,
        reply=One,
    ),
    in_project(
        "GET",
        f"{PROJECT}/custom-metrics",
        metadata_fields.noun.page,
        mapping.list_metrics,
        mapping.metric_page,
        "List the definitions of attributes",
        reply=Many,
        query=PAGE,
    ),
)
