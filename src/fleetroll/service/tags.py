"""Tags: the words by which devices are told apart. A tag is there as long as a device has it."""

from fleetroll.core.policy import Action
from fleetroll.service import reach
from fleetroll.service.operations import Call, Effect, operation


@operation(Action.DEVICES_READ, Effect.SCAN)
async def used(call: Call, organization: int | None) -> list[str]:
    """The tags in use in an organization in reach, the most frequent first."""
    there = await reach.organization(call, organization)
    return list((await call.records.devices.counts(there.org)).by_tag)
