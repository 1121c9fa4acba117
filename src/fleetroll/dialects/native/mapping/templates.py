"""Templates: the datastreams, event codes and metafields that devices share."""

from typing import Any

from msgspec import UNSET, structs

from fleetroll.core import ids, limits, model, names, templates
from fleetroll.core.guards import etag
from fleetroll.core.query import Part
from fleetroll.dialects.native.mapping.members import texts
from fleetroll.dialects.native.mapping.paging import mark
from fleetroll.dialects.native.mapping.times import at
from fleetroll.dialects.native.shapes import templates as shapes
from fleetroll.service import templates as service_templates
from fleetroll.wire.dialect import LongList, Reply
from fleetroll.wire.request import Request


def template(record: model.Template, request: Request) -> Reply:
    return Reply(_shape(record), etag=etag(record))


def _shape(record: model.Template) -> shapes.Template:
    return shapes.Template(
        record.id,
        ids.template_id(record.id),
        record.name,
        record.description,
        record.board,
        record.connection,
        [shapes.Datastream(type=part.kind, **_shared(shapes.Datastream, part)) for part in record.datastreams],
        [shapes.EventCode(type=part.kind, **_shared(shapes.EventCode, part)) for part in record.events],
        [shapes.Metafield(type=part.kind, **_shared(shapes.Metafield, part)) for part in record.metafields],
        at(record.created_at),
        at(record.updated_at),
        record.revision,
    )


def _shared(shape: Any, part: Any) -> dict[str, Any]:
    """The members of a part that have the same name in its shape."""
    return {name: value for name, value in structs.asdict(part).items() if name in shape.__struct_fields__}


def new_template(request: Request) -> model.Template:
    body = request.body
    members = {"name": None, "description": None, "board": None, "connection": None, **_template_members(body)}
    blank = model.unstored(model.Template, **members, last_part=0)
    return templates.numbered(blank)


def change_template(request: Request) -> service_templates.Edit:
    return service_templates.Edit(request.path["name"], _template_members(request.body), request.guard)


def _template_members(body: shapes.NewTemplate | shapes.TemplateChange) -> dict[str, Any]:
    changes = {name: value for name, value in structs.asdict(body).items() if value is not UNSET}
    members = {**texts(((name, changes[name]) for name in changes if name not in _PARTS), limits.MAX_TEXT)}
    if "name" in members:
        members["name"] = names.label(members["name"], "name")
    for name, record in _PARTS.items():
        if name in changes:
            members[name] = tuple(_part(record, part) for part in changes[name])
    return members


_PARTS: dict[str, Any] = {
    "datastreams": model.Datastream,
    "events": model.EventCode,
    "metafields": model.Metafield,
}


def _part(record: Any, shape: Any) -> Any:
    members = structs.asdict(shape)
    members["kind"] = members.pop("type")
    if "pin" in members:
        members["pin"] = members["pin"].lower()
    return record(**{name: tuple(value) if isinstance(value, list) else value for name, value in members.items()})


def template_page(result: Part[model.Template, str], request: Request) -> LongList:
    cursor = mark(result.next, request)
    return LongList(result.records, _shape, lambda shown: shapes.TemplateList(shown, cursor))
