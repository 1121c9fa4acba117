"""Versions of hardware. Whatever version a device is given is created here; one that devices have cannot be deleted."""

from msgspec import Struct

from fleetroll.core import names
from fleetroll.core.faults import conflict
from fleetroll.core.model import HardwareVersion, unstored
from fleetroll.core.policy import Action
from fleetroll.core.query import Comparison, Operator
from fleetroll.service.named import Named, Noun, devices_have
from fleetroll.service.operations import Call, Effect, operation


def _of(version: HardwareVersion) -> Comparison:
    return Comparison("hardware_version", Operator.EQ, version.name)


async def _require_unused(call: Call, version: HardwareVersion) -> None:
    if await devices_have(call.records, call.org, _of(version)):
        raise conflict("hardware_version_has_devices", "This hardware version has devices; give them another first.")


noun: Noun[HardwareVersion] = Noun(
    "hardware_version",
    "name",
    lambda records: records.hardware_versions,
    Action.VERSIONS_READ,
    Action.VERSIONS_WRITE,
    forget=_require_unused,
)


class Counted(Struct, frozen=True):
    """A hardware version and how many devices have it."""

    version: HardwareVersion
    devices: int


async def missing(call: Call, name: str) -> list[str]:
    """The name, if no version has it. Raises Fault invalid for one that no version may have."""
    known = await call.records.hardware_versions.get(call.org, name)
    return [] if known else [names.undotted(name, "hardware_version")]


async def make(call: Call, name: str) -> None:
    await noun.insert(call, unstored(HardwareVersion, name=name, software_type=None))


@operation(Action.VERSIONS_READ, Effect.SCAN)
async def counted(call: Call, wanted: Named) -> Counted:
    version = await noun.find(call, wanted.name)
    return Counted(version, await call.records.devices.count(call.org, _of(version)))


@operation(Action.VERSIONS_READ, Effect.SCAN)
async def all_counted(call: Call, _: None) -> list[Counted]:
    """Every version by name."""
    found = await noun.all(call)
    tally = await call.records.devices.tally(call.org, "hardware_version")
    return [Counted(version, tally.get(version.name, 0)) for version in found]
