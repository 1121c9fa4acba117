"""Rows about templates and their parts."""

from fleetroll.dialects.blynk.mapping import templates as mapping
from fleetroll.dialects.blynk.routes.parameters import NUMBERS, ORG, PLACE, row
from fleetroll.dialects.blynk.shapes import templates as shapes
from fleetroll.service import templates
from fleetroll.wire.dialect import Parameter, nothing

_TEMPLATE = Parameter("templateId", "the number of the template", "integer", required=True, bounds=NUMBERS)

ROUTES = (
    row(
        "GET",
        "/templates",
        templates.directory,
        mapping.list_templates,
        mapping.template_page,
        "List templates",
        *ORG,
        *PLACE,
        reply=shapes.TemplatePage,
    ),
    row(
        "GET",
        "/template",
        templates.by_number,
        mapping.one_template,
        mapping.template,
        "Read a template",
        _TEMPLATE,
        reply=shapes.TemplateDetails,
    ),
    row(
        "POST",
        "/template/create",
        templates.noun.create,
        mapping.new_template,
        mapping.template,
        "Create a template",
        status=201,
        body=shapes.NewTemplate,
        reply=shapes.TemplateDetails,
    ),
    row(
        "DELETE",
        "/template",
        templates.delete_by_number,
        mapping.one_template,
        nothing,
        "Delete a template without devices",
        _TEMPLATE,
        status=204,
    ),
    row(
        "GET",
        "/template/datastreams",
        templates.by_number,
        mapping.one_template,
        mapping.datastreams,
        "The datastreams of a template",
        _TEMPLATE,
        reply=list[shapes.Datastream],
    ),
    row(
        "GET",
        "/template/events",
        templates.by_number,
        mapping.one_template,
        mapping.events,
        "The event codes of a template",
        _TEMPLATE,
        reply=list[shapes.EventCode],
    ),
    row(
        "GET",
        "/template/metafields",
        templates.by_number,
        mapping.one_template,
        mapping.template_metafields,
        "The metafields of a template",
        _TEMPLATE,
        reply=list[shapes.MetaField],
    ),
)
