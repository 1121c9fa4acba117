"""Definitions of attributes, which the vendor calls custom metrics."""

from fleetroll.core import limits, model, names
from fleetroll.core.faults import invalid
from fleetroll.core.query import Part
from fleetroll.dialects.memfault.mapping.paging import cut, page_number
from fleetroll.dialects.memfault.mapping.uuids import uuid
from fleetroll.dialects.memfault.shapes import metadata_fields as shapes
from fleetroll.dialects.memfault.shapes.envelopes import One
from fleetroll.service import named
from fleetroll.wire.dialect import LongList
from fleetroll.wire.request import Request

_DATA_TYPES = {
    model.FieldKind.STRING: "STRING",
    model.FieldKind.INTEGER: "INT",
    model.FieldKind.NUMBER: "FLOAT",
    model.FieldKind.BOOLEAN: "BOOL",
    model.FieldKind.JSON: "STRING",
}
_KINDS = {name: kind for kind, name in _DATA_TYPES.items() if kind is not model.FieldKind.JSON}


def string_key(text: str, field: str = "string_key") -> str:
    return names.label(text, field, limits.MAX_NAME)


def metric_shape(
    org: int, name: str, kind: model.FieldKind, definition: model.MetadataField | None
) -> shapes.CustomMetric:
    description = definition.description if definition else None
    return shapes.CustomMetric(uuid(org, name), name, "", description or "", _DATA_TYPES[kind])


def new_metric(request: Request) -> model.MetadataField:
    body = request.body
    if body.data_type not in _KINDS:
        raise invalid("invalid_body", f"data_type must be one of {', '.join(_KINDS)}.", "data_type")
    description = names.paragraph(body.description or "", "description") or None
    return model.unstored(
        model.MetadataField,
        name=string_key(body.string_key),
        kind=_KINDS[body.data_type],
        description=description,
        required=False,
    )


def metric(record: model.MetadataField, request: Request) -> One:
    return One(metric_shape(record.org, record.name, record.kind, record))


def list_metrics(request: Request) -> named.Listing:
    page_number(request)
    return named.Listing(limits.ALL)


def metric_page(part: Part[model.MetadataField, str], request: Request) -> LongList:
    return cut(part.records, lambda field: metric_shape(field.org, field.name, field.kind, field), request)
