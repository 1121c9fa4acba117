"""Tags: the words by which devices are told apart. A tag exists while a device has it, and if it was created here.

Its number is a function of its text (`ids.text_number`), so the tags that other APIs write have one as well.
"""

from msgspec import Struct

from fleetroll.core import limits
from fleetroll.core.faults import conflict
from fleetroll.core.ids import text_number
from fleetroll.core.model import DeviceChange, Tag, unstored
from fleetroll.core.names import unique
from fleetroll.core.policy import Action
from fleetroll.core.query import Comparison, Operator
from fleetroll.service import devices, reach
from fleetroll.service.named import Noun, devices_have
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.portions import portions
from fleetroll.store.port import Records


async def _check(call: Call, new: Tag) -> None:
    if await _numbered(call, text_number(new.name)):
        raise conflict("tag_exists", "A tag with this name or number already exists.", "name")


async def _require_unused(call: Call, tag: Tag) -> None:
    if await devices_have(call.records, call.org, Comparison("tags", Operator.HAS, tag.name)):
        raise conflict("tag_has_devices", "Devices have this tag; remove it from them first.")


noun: Noun[Tag] = Noun(
    "tag",
    "name",
    lambda records: records.tags,
    Action.DEVICES_READ,
    Action.DEVICES_WRITE,
    check=_check,
    forget=_require_unused,
)


class New(Struct, frozen=True):
    """A tag to make in an organization in reach; None is the caller's."""

    name: str
    organization: int | None


class Numbered(Struct, frozen=True):
    """A tag of an organization in reach, by number; None is the caller's."""

    number: int
    organization: int | None


class Assignment(Struct, frozen=True):
    """A tag of its organization for a device in reach, both by number."""

    device: int
    tag: int


@operation(Action.DEVICES_READ, Effect.SCAN)
async def known(call: Call, organization: int | None) -> list[str]:
    """The tags of an organization in reach: those that most devices have, and then those that were made."""
    there = await reach.organization(call, organization)
    frequent = await call.records.devices.frequent_tags(there.org)
    return [*frequent, *(tag.name for tag in await noun.all(there) if tag.name not in frequent)]


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def create(call: Call, new: New) -> str:
    """Raises Fault conflict `tag_exists`."""
    there = await reach.organization(call, new.organization)
    return (await noun.insert(there, unstored(Tag, name=new.name))).name


@operation(Action.DEVICES_WRITE, Effect.WRITE, relieves=True)
async def delete(call: Call, wanted: Numbered) -> None:
    """Forget a tag that was made here. Raises Fault conflict where devices have it, not_found where none is."""
    there = await reach.organization(call, wanted.organization)
    tag = await _numbered(there, wanted.number)
    if tag is None:
        raise reach.missing("tag", wanted.number)
    await noun.remove(there, tag)


@operation(Action.DEVICES_WRITE, Effect.BATCHES)
async def assign(call: Call, wanted: Assignment) -> None:
    """Give a device a tag. Raises Fault not_found for a number that is no tag's."""
    there, _ = await reach.device(call, wanted.device)
    name = await _name(there, wanted.tag)

    async def work(records: Records) -> None:
        home, device = await reach.device(call.within(records), wanted.device)
        tags = unique([*device.tags, name], limits.MAX_TAGS, "tags")
        await devices.change(home, device, DeviceChange(tags=tags))

    await call.services.store.write(work)


@operation(Action.DEVICES_WRITE, Effect.WRITE, relieves=True)
async def withdraw(call: Call, wanted: Assignment) -> None:
    """Take a tag from a device. Raises Fault not_found for one that the device does not have."""
    there, device = await reach.device(call, wanted.device)
    left = tuple(name for name in device.tags if text_number(name) != wanted.tag)
    if left == device.tags:
        raise reach.missing("tag", wanted.tag)
    await devices.change(there, device, DeviceChange(tags=left))


async def _name(call: Call, number: int) -> str:
    """The tag of a number: one that was made here, or one that a device has."""
    if tag := await _numbered(call, number):
        return tag.name
    # There may be very many: they are looked through in portions, letting others in between, and so before the
    # transaction.
    tags = call.services.store.scan.devices.tags
    async for names in portions(lambda after, limit: tags(call.org, after, limit), str, ""):
        for name in names:
            if text_number(name) == number:
                return name
    raise reach.missing("tag", number)


async def _numbered(call: Call, number: int) -> Tag | None:
    return next((tag for tag in await noun.all(call) if text_number(tag.name) == number), None)
