"""What a caller reaches by number: records of its own organization and of all below it; and what a device has.

What belongs to another organization and what never existed are refused in the same words, as numbers can be tried.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from msgspec import Struct

from fleetroll.core.faults import Fault, Kind, not_found
from fleetroll.core.model import Device
from fleetroll.core.query import OffsetPage
from fleetroll.service import quotas
from fleetroll.service.operations import Call
from fleetroll.store.port import R, Reachable, Records

T = TypeVar("T")

_ATTEMPTS = 10  # to find a device, which may be transferred after its organization was looked up


class Numbered(Struct, frozen=True):
    """One record, by number."""

    id: int


def missing(noun: str, number: int | None = None) -> Fault:
    """The same for what never existed and what is somebody else's."""
    details = {} if number is None else {"number": number}
    return Fault(Kind.NOT_FOUND, f"{noun}_not_found", f"There is no such {noun}.", details=details)


async def organization(call: Call, number: int | None, *, noun: str = "organization") -> Call:
    """The call, acting in an organization in reach; None is the caller's. Raises Fault not_found `<noun>_not_found`."""
    if number is None or number == call.org:
        return call
    found = await call.records.organizations.get(number)
    if found is None or call.org not in found.lineage:
        raise missing(noun, number)
    return call.beside(found)


async def device(call: Call, number: int) -> tuple[Call, Device]:
    """A device in reach, and the call acting where it is. Raises Fault not_found `device_not_found`."""
    for _ in range(_ATTEMPTS):
        there = await _home(call, number)
        if there is None:
            break
        if found := await call.records.devices.by_id(there.org, number):
            return there, found
    raise missing("device", number)


async def of_device(call: Call, number: int, read: Callable[[Call, Device], Awaitable[T]]) -> T:
    """What `read` finds of a device in reach; it is read again if it was transferred meanwhile, with all it has.

    Raises Fault not_found `device_not_found`, and whatever `read` raises.
    """
    for _ in range(_ATTEMPTS):
        there, found = await device(call, number)
        result = await read(there, found)
        if await there.records.devices.by_id(there.org, number):
            return result
    raise missing("device", number)


async def of_named(call: Call, ident: str, read: Callable[[Device], Awaitable[T]]) -> T:
    """What `read` finds of a device of the caller's organization, by identifier.

    Raises Fault not_found, also where the device was transferred meanwhile, with all it has.
    """
    found = await read(await named(call, ident))
    await named(call, ident)
    return found


async def named(call: Call, ident: str) -> Device:
    """The device of the caller's organization with that identifier. Raises Fault not_found."""
    device = await call.records.devices.get(call.org, ident)
    if device is None:
        raise not_found("device", ident)
    return device


async def _home(call: Call, number: int) -> Call | None:
    """The call, acting where the device is; None where that is out of reach."""
    held = await call.records.devices.token(number)
    org = await call.records.organizations.get(held.org) if held else None
    return None if org is None or call.org not in org.lineage else call.beside(org)


async def record(call: Call, records_of: Callable[[Records], Reachable[R]], noun: str, number: int) -> tuple[Call, R]:
    """A named record in reach, and the call acting where it is. Raises Fault not_found `<noun>_not_found`."""
    records = records_of(call.records)
    home = await records.home(call.org, number)
    org = await call.records.organizations.get(home) if home is not None else None
    found = await records.by_id(org.id, number) if org else None
    if org is None or found is None:
        raise missing(noun, number)
    return call.beside(org), found


async def used(call: Call, noun: str, *, below: bool) -> dict[int, int]:
    """How many of a noun the call's organization has, by its number; with `below`, also each one below it."""
    if below:
        return await call.records.usage.below(call.org, noun)
    return {call.org: await quotas.used(call, noun)}


async def across(
    counts: Mapping[int, int], page: OffsetPage, take: Callable[[int, OffsetPage], Awaitable[list[T]]]
) -> list[T]:
    """A page of what several organizations have, one after the other; `counts` says how many each of them has."""
    found: list[T] = []
    start = page.offset
    for org, count in counts.items():
        if start < count and len(found) < page.limit:
            found += await take(org, OffsetPage(page.limit - len(found), start))
        start = max(0, start - count)
    return found
