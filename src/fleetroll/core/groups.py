"""Saved groups as a tree: what a group inherits, and what its members must be."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from fleetroll.core import bracketed, identity, limits, names
from fleetroll.core.bracketed import FilterField, Kind
from fleetroll.core.faults import Fault, brief, invalid
from fleetroll.core.fields import device_filter
from fleetroll.core.model import Criterion, Group
from fleetroll.core.query import Filter, Read, every
from fleetroll.core.times import SECOND

FIELDS = {
    "ident": FilterField("ident", Kind.TEXT),
    "dms": FilterField("dms", Kind.TEXT, optional=True),
    "created_at": FilterField("created_at", Kind.TIME),
    "status": FilterField("status", Kind.CHOICE),
    "tags": FilterField("tags", Kind.SET),
    "metadata": FilterField("metadata", Kind.DOCUMENT),
    "identity": FilterField("identity", Kind.DOCUMENT, hidden=identity.INTERNAL),
}
_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Lineage(Struct, frozen=True):
    """A group and those it inherits from, the topmost first."""

    group: Group
    ancestors: tuple[Group, ...] = ()

    @property
    def parent(self) -> Group | None:
        return self.ancestors[-1] if self.ancestors else None

    @property
    def members(self) -> Filter | None:
        """What a device must be to be a member."""
        return every(*map(_filter_of, self.ancestors), _filter_of(self.group))

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """Its own and the inherited ones."""
        return (*self.inherited, *self.group.criteria)

    @property
    def inherited(self) -> tuple[Criterion, ...]:
        return tuple(itertools.chain.from_iterable(group.criteria for group in self.ancestors))


def lineage(group: Group, groups: Mapping[int, Group]) -> Lineage:
    """A group with its ancestors.

    Raises Fault invalid `unknown_parent`, `circular_parent` or `group_too_deep`; stored groups raise none of them.
    """
    ancestors: list[Group] = []
    parent_id = group.parent_id
    while parent_id is not None:
        parent = groups.get(parent_id)
        if parent is None:
            raise invalid("unknown_parent", "The parent group does not exist.", "parent_id")
        if parent_id == group.id:
            raise circular()
        ancestors.insert(0, parent)
        if len(ancestors) >= limits.MAX_GROUP_DEPTH:
            raise invalid("group_too_deep", f"Groups have at most {limits.MAX_GROUP_DEPTH} levels.", "parent_id")
        parent_id = parent.parent_id
    return Lineage(group, tuple(ancestors))


def circular() -> Fault:
    return invalid("circular_parent", "A group cannot be below itself.", "parent_id")


def check(group: Group, groups: Mapping[int, Group]) -> None:
    """Raises Fault invalid for a group with an impossible criterion, or one that does not fit into the tree."""
    require_few([criterion.value for criterion in group.criteria])
    _filter_of(group)
    if group.parent_id is not None:
        lineage(group, groups)
        # Those below it become deeper with it.
        changed = {**groups, group.id: group}
        for other in groups:
            lineage(changed[other], changed)


def require_few(values: Sequence[str]) -> None:
    """Raises Fault invalid for more criteria than a filter may have parts, or longer ones than it may be.

    Asked before any of them is read: a predicate or a pattern takes milliseconds.
    """
    if len(values) > limits.MAX_PREDICATES:
        raise invalid("too_many", f"criteria must have at most {limits.MAX_PREDICATES} entries.", "criteria")
    if sum(map(len, values)) > limits.MAX_FILTER:
        message = f"criteria must have values of at most {limits.MAX_FILTER} characters together."
        raise invalid("invalid_text", message, "criteria")
    bracketed.require_few_patterns(values)


def criterion(field: str, word: str, value: str) -> Criterion:
    """A condition on devices, with the canonical name of its operator.

    Raises Fault invalid `invalid_criterion`, or as `bracketed.compare` does for a value that its field cannot have.
    """
    filter_field = FIELDS.get(field)
    if filter_field is None:
        known = ", ".join(FIELDS)
        raise invalid("invalid_criterion", f"Unknown field {brief(field)}; known fields are {known}.", "criteria")
    operator = bracketed.operator(filter_field.kind, word)
    if operator is None:
        raise invalid("invalid_criterion", f"Operator {brief(word)} does not apply to {field}.", "criteria")
    bracketed.compare(filter_field, operator, names.paragraph(value, "criteria", limits.MAX_FILTER))
    return Criterion(field, operator, value)


def reader(group: Group) -> Read:
    """How `query.matches` looks into a group: at its `uid` and its `name`."""
    seen = {"uid": uid(group), "name": group.name}
    return lambda field, _: seen[field]


def _filter_of(group: Group) -> Filter | None:
    """What the group itself asks of its members. Raises Fault invalid."""
    criteria = (bracketed.compare(FIELDS[each.field], each.operator, each.value) for each in group.criteria)
    return every(device_filter(group.filter), *criteria)


# --- names for programs ----------------------------------------------------------------------------------------------


def uid(group: Group) -> str:
    """The UUID that was chosen for the group, or one made of its creation time and its number."""
    return group.uid or f"{group.created_at // SECOND:08x}-0000-8000-8000-{group.id:012x}"


def parse_uid(text: str) -> str | None:
    """A UUID in the one spelling in which they are compared; None for any other text."""
    return text.lower() if _UID.fullmatch(text.lower()) else None


def by_uid(groups: Iterable[Group], text: str) -> Group | None:
    """The group that has this UUID, in the spelling of `parse_uid`."""
    return next((group for group in groups if uid(group) == text), None)
