"""Definitions of the members of metadata."""

from fleetroll.core import model, names
from fleetroll.core.guards import etag
from fleetroll.dialects.native.mapping.members import choice
from fleetroll.dialects.native.mapping.named import change_named
from fleetroll.dialects.native.mapping.times import at
from fleetroll.dialects.native.shapes import metadata_fields as shapes
from fleetroll.service import named
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request


def metadata_field(record: model.MetadataField, request: Request) -> Reply:
    shape = shapes.MetadataField(
        record.id,
        record.name,
        record.kind.value,
        record.description,
        record.required,
        at(record.created_at),
        at(record.updated_at),
        record.revision,
    )
    return Reply(shape, etag=etag(record))


def new_metadata_field(request: Request) -> model.MetadataField:
    body = request.body
    kind = choice(model.FieldKind, body.type, "type")
    name, description = names.label(body.name, "name"), _description(body.description)
    return model.unstored(model.MetadataField, name=name, kind=kind, description=description, required=body.required)


def change_metadata_field(request: Request) -> named.Edit:
    return change_named(request, description=_description, required=bool)


def _description(text: str | None) -> str | None:
    return None if text is None else names.paragraph(text, "description")
