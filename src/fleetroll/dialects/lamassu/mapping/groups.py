"""Groups: what their members must be, in the vendor's words for it."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET

from fleetroll.core import bracketed, jsonpath, model, names
from fleetroll.core import groups as core_groups
from fleetroll.core.bracketed import FilterField, Kind
from fleetroll.core.faults import brief, invalid
from fleetroll.core.groups import Lineage
from fleetroll.core.query import Part
from fleetroll.core.spelling import Spelling
from fleetroll.core.times import to_datetime
from fleetroll.dialects.lamassu import shapes
from fleetroll.dialects.lamassu.mapping.devices import listing
from fleetroll.dialects.lamassu.mapping.fields import FIELDS
from fleetroll.dialects.lamassu.mapping.lists import bookmark, requested
from fleetroll.service import groups
from fleetroll.wire.request import Request

_FIELDS = {"id": FilterField("uid", Kind.TEXT), "name": FilterField("name", Kind.TEXT)}
_CALLED = {field.name: (name, field) for name, field in FIELDS.items()}


def new_group(request: Request) -> groups.Planned:
    body = request.body
    uid = core_groups.parse_uid(body.id or "")
    if uid is None or not body.name:
        raise invalid("invalid_group", "struct validation error", "name" if uid else "id")
    members = _group_change(body)
    group = model.unstored(
        model.Group,
        name=members["name"],
        description=members.get("description"),
        filter="",
        criteria=members.get("criteria", ()),
        parent_id=None,
        uid=uid,
    )
    return groups.Planned(group, _parent(body))


def group_change(request: Request) -> groups.Edit:
    return groups.Edit(request.path["id"], _group_change(request.body), _parent(request.body))


def _group_change(body: shapes.GroupInput) -> dict[str, Any]:
    """The members that are given; an empty one counts as not given."""
    change: dict[str, Any] = {}
    if body.name:
        change["name"] = names.label(body.name, "name")
    if body.description:
        change["description"] = names.paragraph(body.description, "description")
    if body.criteria:
        core_groups.require_few([criterion.value for criterion in body.criteria])
        change["criteria"] = tuple(_criterion(index, criterion) for index, criterion in enumerate(body.criteria))
    return change


def _parent(body: shapes.GroupInput) -> str | None:
    return body.parent_id.lower() if body.parent_id else None


def _criterion(index: int, criterion: shapes.Criterion) -> model.Criterion:
    field = FIELDS.get(criterion.field)
    at = f"at criteria index {index}"
    if field is None:
        raise invalid("invalid_criterion", f"invalid filter field '{brief(criterion.field)}' {at}", "criteria")
    if bracketed.operator(field.kind, criterion.operand) is None:
        message = f"invalid operand '{brief(criterion.operand)}' for field '{criterion.field}' {at}"
        raise invalid("invalid_criterion", message, "criteria")
    return core_groups.criterion(field.name, criterion.operand, _reworded(field.kind, criterion.value, field.words))


def _reworded(kind: Kind, value: str, words: Mapping[str, str]) -> str:
    """A value with other words for statuses; a text that has none of them stays as it was written."""
    if kind is Kind.CHOICE:
        return ",".join(words.get(word, word) for word in value.split(","))
    if kind is Kind.DOCUMENT and words:
        predicate = jsonpath.parse(value)
        reworded = jsonpath.translated(predicate, words)
        return value if reworded == predicate else jsonpath.write(reworded)
    return value


def group(spelling: Spelling) -> Callable[[Lineage, Request], shapes.Group]:
    return lambda lineage, _: _group(lineage, spelling)


def _group(lineage: Lineage, spelling: Spelling) -> shapes.Group:
    record, parent = lineage.group, lineage.parent
    return shapes.Group(
        id=core_groups.uid(record),
        name=record.name,
        description=record.description or "",
        parent_id=core_groups.uid(parent) if parent else UNSET,
        filter=record.filter or UNSET,
        criteria=[_shown(criterion, spelling) for criterion in record.criteria],
        inherited_criteria=[_shown(criterion, spelling) for criterion in lineage.inherited],
        created_at=to_datetime(record.created_at),
        updated_at=to_datetime(record.updated_at),
    )


def _shown(criterion: model.Criterion, spelling: Spelling) -> shapes.Criterion:
    name, field = _CALLED[criterion.field]
    words = spelling.statuses if field.words else {}
    return shapes.Criterion(name, criterion.operator, _reworded(field.kind, criterion.value, words))


def listed_groups(request: Request) -> groups.Listing:
    page = requested(request)
    by = "uid" if page.sort_by == "id" else "name"
    filter = bracketed.parse(page.filters, _FIELDS)
    return groups.Listing(filter, by, page.sort_mode == "desc", page.size, page.after)


def group_list(spelling: Spelling) -> Callable[[Part[Lineage, str], Request], shapes.GroupList]:
    def encode(page: Part[Lineage, str], request: Request) -> shapes.GroupList:
        return shapes.GroupList(bookmark(page.next, request), [_group(lineage, spelling) for lineage in page.records])

    return encode


def one_group(request: Request) -> str:
    return request.path["id"]


def group_members(request: Request) -> groups.Members:
    return groups.Members(request.path["id"], listing(request))
