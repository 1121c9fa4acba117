"""Saved groups, and the devices that one finds."""

from msgspec import structs

from fleetroll.core import groups as core_groups
from fleetroll.core import limits, model, names
from fleetroll.core.guards import etag
from fleetroll.dialects.native.mapping.devices import listing
from fleetroll.dialects.native.mapping.members import texts
from fleetroll.dialects.native.mapping.times import at
from fleetroll.dialects.native.shapes import groups as shapes
from fleetroll.service import groups, named
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request


def group_members(request: Request) -> groups.Members:
    return groups.Members(request.path["name"], listing(request))


def group(record: model.Group, request: Request) -> Reply:
    shape = shapes.Group(
        record.id,
        record.name,
        record.description,
        record.filter,
        [shapes.Criterion(criterion.field, criterion.operator, criterion.value) for criterion in record.criteria],
        record.parent_id,
        at(record.created_at),
        at(record.updated_at),
        record.revision,
    )
    return Reply(shape, etag=etag(record))


def new_group(request: Request) -> model.Group:
    body = request.body
    description = None if body.description is None else names.paragraph(body.description, "description")
    name, criteria = names.label(body.name, "name"), _criteria(body.criteria)
    return model.unstored(
        model.Group,
        name=name,
        description=description,
        filter=body.filter,
        criteria=criteria,
        parent_id=body.parent_id,
        uid=None,
    )


def change_group(request: Request) -> named.Edit:
    change = texts(structs.asdict(request.body).items(), limits.MAX_TEXT)
    if "criteria" in change:
        change["criteria"] = _criteria(change["criteria"])
    return named.Edit(request.path["name"], change, request.guard)


def _criteria(criteria: list[shapes.Criterion]) -> tuple[model.Criterion, ...]:
    core_groups.require_few([criterion.value for criterion in criteria])
    return tuple(core_groups.criterion(criterion.field, criterion.operator, criterion.value) for criterion in criteria)
