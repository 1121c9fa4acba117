"""Templates, with their datastreams, event codes and metafields."""

from fleetroll.core import ids, model, names
from fleetroll.core.templates import metric, numbered
from fleetroll.dialects.blynk.mapping.parameters import choice, number, offset_page, organization_number
from fleetroll.dialects.blynk.mapping.pins import split
from fleetroll.dialects.blynk.mapping.times import ms
from fleetroll.dialects.blynk.shapes import templates as shapes
from fleetroll.dialects.blynk.shapes.words import DATASTREAMS, EVENTS, METAFIELDS, PIN_TYPES
from fleetroll.service import templates
from fleetroll.wire.request import Request

_NAMES = {kind: name for name, kind in DATASTREAMS.items()}


def list_templates(request: Request) -> templates.Directory:
    return templates.Directory(offset_page(request), organization_number(request))


def one_template(request: Request) -> int:
    return number(request, "templateId")


def template_page(result: tuple[list[model.Template], int], request: Request) -> shapes.TemplatePage:
    templates, total = result
    short = [shapes.Template(each.id, [ids.template_id(each.id)], each.org, each.name) for each in templates]
    return shapes.TemplatePage(short, total)


def template(record: model.Template, request: Request) -> shapes.TemplateDetails:
    return shapes.TemplateDetails(
        record.id,
        [ids.template_id(record.id)],
        record.org,
        record.name,
        board_type=record.board,
        connection_type=record.connection,
        description=record.description,
        logo_url=None,
        created_at=ms(record.created_at),
    )


def datastreams(record: model.Template, request: Request) -> list[shapes.Datastream]:
    return [_datastream_shape(part) for part in record.datastreams]


def _datastream_shape(part: model.Datastream) -> shapes.Datastream:
    pin, pin_type = split(part.pin)
    return shapes.Datastream(
        pin,
        _NAMES[part.kind],
        pin_type,
        part.label or metric(part),
        metric(part),
        part.unit,
        part.min,
        part.max,
        part.default,
        part.id,
        pin_type == "ANALOG",
    )


def events(record: model.Template, request: Request) -> list[shapes.EventCode]:
    return [
        shapes.EventCode(part.code, part.name, part.kind.value, part.description, part.id) for part in record.events
    ]


def template_metafields(record: model.Template, request: Request) -> list[shapes.MetaField]:
    return [
        shapes.MetaField(
            part.name,
            part.kind.value,
            part.description,
            part.hint,
            part.icon,
            part.mandatory,
            part.in_provisioning,
            list(part.options),
            part.id,
        )
        for part in record.metafields
    ]


def new_template(request: Request) -> model.Template:
    body = request.body
    for field in ("description", "board_type", "connection_type"):
        names.paragraph(getattr(body, field) or "", field)
    blank = model.unstored(
        model.Template,
        name=names.label(body.name, "name"),
        description=body.description,
        board=body.board_type,
        connection=body.connection_type,
        datastreams=tuple(_datastream(part) for part in body.datastreams),
        events=tuple(_event_code(part) for part in body.events),
        metafields=tuple(_metafield(part) for part in body.metafields),
        last_part=0,
    )
    return numbered(blank)


def _datastream(shape: shapes.Datastream) -> model.Datastream:
    return model.Datastream(
        id=0,
        pin=f"{choice(PIN_TYPES, shape.pin_type, 'pinType')}{shape.pin}",
        kind=choice(DATASTREAMS, shape.type, "type"),
        alias=shape.alias,
        label=shape.label,
        unit=shape.units,
        min=shape.min,
        max=shape.max,
        default=shape.default_value,
    )


def _event_code(shape: shapes.EventCode) -> model.EventCode:
    return model.EventCode(0, shape.event_code, shape.name, choice(EVENTS, shape.type, "type"), shape.description)


def _metafield(shape: shapes.MetaField) -> model.Metafield:
    return model.Metafield(
        id=0,
        name=shape.name,
        kind=choice(METAFIELDS, shape.type, "type"),
        description=shape.description,
        hint=shape.hint,
        icon=shape.icon,
        mandatory=shape.is_mandatory,
        in_provisioning=shape.include_in_provision,
        options=tuple(shape.options),
    )
