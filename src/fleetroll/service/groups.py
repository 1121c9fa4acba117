"""Saved groups: a filter with a name. Members are whatever it finds at the moment of asking.

Groups form a tree: members must meet what a group asks and what all above it ask. A group has a name for people, and a
UUID for programs.
"""

from typing import Any

from msgspec import Struct, structs

from fleetroll.core import groups as rules
from fleetroll.core.faults import conflict, invalid, not_found
from fleetroll.core.groups import Lineage
from fleetroll.core.model import Group
from fleetroll.core.policy import Action
from fleetroll.core.query import Filter, Part, cut, every, matches
from fleetroll.service import devices
from fleetroll.service.named import Noun
from fleetroll.service.operations import Call, Effect, operation

_STATUS = "status"


class Planned(Struct, frozen=True):
    """A group to be made, below the one whose UUID is `parent`."""

    group: Group
    parent: str | None


class Listing(Struct, frozen=True):
    """A page of the groups that match `filter`, sorted `by` `uid` or `name`, after that of the last one seen."""

    filter: Filter | None
    by: str
    descending: bool
    limit: int
    after: str | None = None

    def sort_key(self, group: Group) -> str | None:
        """What a group is sorted by; None if it is not in the list, or on a page before."""
        read = rules.reader(group)
        key = str(read(self.by, ()))
        passed = self.after is not None and (key >= self.after if self.descending else key <= self.after)
        return None if passed or (self.filter and not matches(self.filter, read)) else key


class Members(Struct, frozen=True):
    """A page of the devices of a group, narrowed by the listing's own filter. `group` is its name or its UUID."""

    group: str
    listing: devices.Listing


class Edit(Struct, frozen=True):
    """Members to replace in the group with that UUID; a `parent` that is None stays as it is."""

    uid: str
    change: dict[str, Any]
    parent: str | None


async def _check(call: Call, group: Group) -> None:
    rules.check(group, await _all(call) if group.parent_id is not None else {})


async def _forget(call: Call, group: Group) -> None:
    """Groups below it are deleted with it."""
    for other in (await _all(call)).values():
        if other.parent_id == group.id:
            await noun.remove(call, other)


noun: Noun[Group] = Noun(
    "group",
    "name",
    lambda records: records.groups,
    Action.GROUPS_READ,
    Action.GROUPS_WRITE,
    check=_check,
    forget=_forget,
)


async def _all(call: Call) -> dict[int, Group]:
    return {group.id: group for group in await noun.all(call)}


async def _lineage(call: Call, group: Group) -> Lineage:
    return rules.lineage(group, await _all(call)) if group.parent_id is not None else Lineage(group)


async def _find(call: Call, uid: str) -> Group:
    wanted = rules.parse_uid(uid)
    found = wanted and rules.by_uid((await _all(call)).values(), wanted)
    if not found:
        raise not_found("group", uid)
    return found


# --- by name ---------------------------------------------------------------------------------------------------------


@operation(Action.DEVICES_READ, Effect.SCAN)
async def members(call: Call, wanted: Members) -> devices.Devices:
    return await _members(call, await noun.find(call, wanted.group), wanted.listing)


async def _members(call: Call, group: Group, listing: devices.Listing) -> devices.Devices:
    within = every((await _lineage(call, group)).members, listing.filter)
    return await devices.page.run(call, structs.replace(listing, filter=within))


# --- by UUID ---------------------------------------------------------------------------------------------------------


@operation(Action.GROUPS_READ, Effect.SCAN)
async def page(call: Call, wanted: Listing) -> Part[Lineage, str]:
    known = await _all(call)
    sorted_by = ((wanted.sort_key(group), group) for group in known.values())
    groups = {key: group for key, group in sorted_by if key is not None}
    found = cut(sorted(groups, reverse=wanted.descending), wanted.limit, str)
    return Part([rules.lineage(groups[key], known) for key in found.records], found.next)


@operation(Action.GROUPS_READ, Effect.SCAN)
async def get(call: Call, uid: str) -> Lineage:
    return await _lineage(call, await _find(call, uid))


@operation(Action.GROUPS_WRITE, Effect.WRITE)
async def make(call: Call, wanted: Planned) -> Lineage:
    new = wanted.group
    if new.uid is not None and rules.by_uid((await _all(call)).values(), new.uid):
        raise conflict("group_exists", "A group with this id already exists in this organization.", "id")
    if wanted.parent is not None and wanted.parent == new.uid:
        raise rules.circular()
    return await _lineage(call, await noun.insert(call, await _below(call, new, wanted.parent)))


@operation(Action.GROUPS_WRITE, Effect.WRITE)
async def edit(call: Call, wanted: Edit) -> Lineage:
    was = await _find(call, wanted.uid)
    parent_id = (await _below(call, was, wanted.parent)).parent_id
    return await _lineage(call, await noun.rewrite(call, was, {**wanted.change, "parent_id": parent_id}))


async def _below(call: Call, group: Group, parent: str | None) -> Group:
    return group if parent is None else structs.replace(group, parent_id=(await _find(call, parent)).id)


@operation(Action.GROUPS_WRITE, Effect.WRITE, relieves=True)
async def remove(call: Call, uid: str) -> None:
    """The group and all below it; devices stay."""
    await noun.remove(call, await _find(call, uid))


@operation(Action.DEVICES_READ, Effect.SCAN)
async def members_of(call: Call, wanted: Members) -> devices.Devices:
    return await _members(call, await _find(call, wanted.group), wanted.listing)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def statuses(call: Call, uid: str) -> dict[str, int]:
    """How many members there are in each status. Raises Fault invalid where a criterion is about the status."""
    found = await get.run(call, uid)
    if any(one.field == _STATUS for one in found.criteria):
        raise invalid("grouped_by_status", "A group with a criterion on status is not counted by status.", "criteria")
    return await devices.statuses.run(call, found.members)
