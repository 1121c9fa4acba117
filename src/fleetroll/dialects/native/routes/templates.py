"""Rows about templates."""

from fleetroll.dialects.native.mapping import templates as mapping
from fleetroll.dialects.native.mapping.named import list_named, made, one_named
from fleetroll.dialects.native.routes.parameters import MERGE_PATCHES, PAGE
from fleetroll.dialects.native.shapes import templates as shapes
from fleetroll.service import templates
from fleetroll.wire.dialect import Route, nothing

ROUTES = (
    Route(
        "POST",
        "/v1/templates",
        templates.noun.create,
        mapping.new_template,
        made("templates", "name", mapping.template),
        "Create a template: datastreams, event codes and metafields that its devices share",
        status=201,
        body=shapes.NewTemplate,
        reply=shapes.Template,
        reply_headers=("ETag", "Location"),
        idempotent=True,
    ),
    Route(
        "GET",
        "/v1/templates",
        templates.page,
        list_named,
        mapping.template_page,
        "List templates",
        reply=shapes.TemplateList,
        query=PAGE,
    ),
    Route(
        "GET",
        "/v1/templates/{name}",
        templates.noun.get,
        one_named,
        mapping.template,
        "Read a template",
        reply=shapes.Template,
        reply_headers=("ETag",),
        guarded=True,
    ),
    Route(
        "PATCH",
        "/v1/templates/{name}",
        templates.edit,
        mapping.change_template,
        mapping.template,
        "Change a template; new datastreams reach its devices at once",
        body=shapes.TemplateChange,
        reply=shapes.Template,
        reply_headers=("ETag",),
        media_types=MERGE_PATCHES,
        guarded=True,
    ),
    Route(
        "DELETE",
        "/v1/templates/{name}",
        templates.noun.delete,
        one_named,
        nothing,
        "Delete a template without devices",
        status=204,
        guarded=True,
    ),
)
