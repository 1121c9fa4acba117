"""Saved groups as a tree: what a group inherits, and what its members must be."""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from fleetroll.core import bracketed, limits, names
from fleetroll.core.bracketed import FilterField, Kind
from fleetroll.core.faults import Fault, brief, invalid
from fleetroll.core.fields import device_filter
from fleetroll.core.model import Criterion, Group
from fleetroll.core.query import Filter, Read, every
from fleetroll.core.times import SECOND

_FIELDS = {
    "ident": FilterField("ident", Kind.TEXT),
    "dms": FilterField("dms", Kind.TEXT, optional=True),
    "created_at": FilterField("created_at", Kind.TIME),
    "status": FilterField("status", Kind.CHOICE),
    "tags": FilterField("tags", Kind.SET),
    "metadata": FilterField("metadata", Kind.DOCUMENT),
    "identity": FilterField("identity", Kind.DOCUMENT),
}
_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Lineage(Struct, frozen=True):
    """A group and those it inherits from, the topmost first."""

    group: Group
    above: tuple[Group, ...] = ()

    @property
    def parent(self) -> Group | None:
        return self.above[-1] if self.above else None

    @property
    def members(self) -> Filter | None:
        """What a device must be to be a member."""
        return every(*map(_asked, self.above), _asked(self.group))

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """Its own and the inherited ones."""
        return (*self.inherited, *self.group.criteria)

    @property
    def inherited(self) -> tuple[Criterion, ...]:
        return tuple(criterion for group in self.above for criterion in group.criteria)


def lineage(group: Group, groups: Mapping[int, Group]) -> Lineage:
    """A group with its ancestors.

    Raises Fault invalid `unknown_parent`, `circular_parent` or `group_too_deep`; stored groups raise none of them.
    """
    above: list[Group] = []
    parent = group.parent_id
    while parent is not None:
        found = groups.get(parent)
        if found is None:
            raise invalid("unknown_parent", "The parent group does not exist.", "parent_id")
        if parent == group.id:
            raise circular()
        above.insert(0, found)
        if len(above) >= limits.MAX_GROUP_DEPTH:
            raise invalid("group_too_deep", f"Groups have at most {limits.MAX_GROUP_DEPTH} levels.", "parent_id")
        parent = found.parent_id
    return Lineage(group, tuple(above))


def circular() -> Fault:
    return invalid("circular_parent", "A group cannot be below itself.", "parent_id")


def check(group: Group, groups: Mapping[int, Group]) -> None:
    """Raises Fault invalid for a group with an impossible criterion, or one that does not fit into the tree."""
    if len(group.criteria) > limits.MAX_PREDICATES:
        raise invalid("too_many", f"criteria must have at most {limits.MAX_PREDICATES} entries.", "criteria")
    _asked(group)
    if group.parent_id is not None:
        lineage(group, groups)
        known = {**groups, group.id: group}
        for other in groups.values():
            lineage(known[other.id], known)


def criterion(field: str, word: str, value: str) -> Criterion:
    """Raises Fault invalid for what cannot be asked of a device."""
    asked = _FIELDS.get(field)
    if asked is None:
        known = ", ".join(_FIELDS)
        raise invalid("invalid_criterion", f"Unknown field {brief(field)}; known fields are {known}.", "criteria")
    operator = bracketed.operator(asked.kind, word)
    if operator is None:
        raise invalid("invalid_criterion", f"Operator {brief(word)} does not apply to {field}.", "criteria")
    bracketed.compare(asked, operator, names.paragraph(value, "criteria", limits.MAX_FILTER))
    return Criterion(field, operator, value)


def reader(group: Group) -> Read:
    """How `query.matches` looks into a group: at its `uid` and its `name`."""
    seen = {"uid": uid(group), "name": group.name}
    return lambda field, _: seen[field]


def _asked(group: Group) -> Filter | None:
    parts = (bracketed.compare(_FIELDS[one.field], one.operator, one.value) for one in group.criteria)
    return every(device_filter(group.filter), *parts)


# --- names for programs ----------------------------------------------------------------------------------------------


def uid(group: Group) -> str:
    """The UUID that was chosen for the group, or one made of its creation time and its number."""
    return group.uid or f"{group.created_at // SECOND:08x}-0000-8000-8000-{group.id:012x}"


def parse_uid(text: str) -> str | None:
    """A UUID in the one spelling in which they are compared; None for any other text."""
    return text.lower() if _UID.fullmatch(text.lower()) else None


def by_uid(groups: Iterable[Group], wanted: str) -> Group | None:
    return next((group for group in groups if uid(group) == wanted), None)
