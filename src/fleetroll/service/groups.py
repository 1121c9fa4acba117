"""Saved groups: a filter with a name. Members are whatever it finds at the moment of asking."""

from msgspec import structs

from fleetroll.core.fields import device_filter
from fleetroll.core.model import Group
from fleetroll.core.policy import Action
from fleetroll.core.query import every
from fleetroll.service import devices
from fleetroll.service.named import Noun
from fleetroll.service.operations import Call, Effect, operation

__all__ = ["members", "noun"]


async def _check(call: Call, group: Group) -> None:
    device_filter(group.filter)


noun: Noun[Group] = Noun(
    "group", "name", lambda records: records.groups, Action.GROUPS_READ, Action.GROUPS_WRITE, check=_check
)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def members(call: Call, wanted: tuple[str, devices.Listing]) -> devices.Devices:
    """A page of the group's devices, narrowed by the listing's own filter."""
    name, listing = wanted
    group = await noun.find(call, name)
    within = every(device_filter(group.filter), listing.filter)
    return await devices.page.run(call, structs.replace(listing, filter=within))
