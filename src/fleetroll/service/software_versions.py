"""Versions of software: whatever a device is said to run is noted here, by type and version; one in use stays."""

from collections.abc import AsyncIterator

from msgspec import Struct

from fleetroll.core import names
from fleetroll.core.documents import Document
from fleetroll.core.faults import conflict, not_found
from fleetroll.core.model import DEFAULT_SOFTWARE_TYPE, Instant, SoftwareVersion
from fleetroll.core.policy import Action
from fleetroll.core.query import And, Comparison, Filter, Not, OffsetPage, Operator, Or, Part, Slice, cut
from fleetroll.core.software import type_and_version
from fleetroll.service.named import devices_have
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.portions import portions
from fleetroll.service.quotas import release, take
from fleetroll.service.timeline import record

_TYPE = ("type",)


class Named(Struct, frozen=True):
    """One version, by its type and itself."""

    type: str
    version: str


class Listing(Struct, frozen=True):
    """A page of versions that follow a type and version."""

    limit: int
    after: tuple[str, str]


class Type(Struct, frozen=True):
    """A type of software: how many versions it has, since when it is known, and the version that became known last."""

    name: str
    versions: int = 0
    created_at: Instant = 0
    latest: SoftwareVersion | None = None


class OfType(Struct, frozen=True):
    """A page of the versions of a type, by offset."""

    type: str
    page: OffsetPage


async def missing(call: Call, software: Document) -> list[tuple[str, str]]:
    """The type and version that a device's software names, if they are not noted yet. Raises Fault invalid."""
    name = type_and_version(software)
    if name is None or await call.records.software_versions.get(call.org, *name):
        return []
    type, version = name
    return [(names.undotted(type, "software.type"), names.undotted(version, "software.version"))]


async def make(call: Call, name: tuple[str, str]) -> None:
    """Note a type and version."""
    await take(call, "software_versions", 1)
    stored = await call.records.software_versions.insert(SoftwareVersion(0, call.org, *name, call.at))
    if stored is None:  # another came first
        await release(call, "software_versions")
    else:
        await record(call, "software_version.created", "software_version", stored.id, " ".join(name))


@operation(Action.VERSIONS_READ, Effect.SCAN)
async def page(call: Call, wanted: Listing) -> Part[SoftwareVersion, tuple[str, str]]:
    """Versions by type and version."""
    found = await call.records.software_versions.page(call.org, wanted.after, wanted.limit + 1)
    return cut(found, wanted.limit, lambda last: (last.type, last.version))


@operation(Action.VERSIONS_READ, Effect.SCAN)
async def types(call: Call, page: OffsetPage) -> Slice[Type]:
    """A page of the types by name: those that versions have, and the default one, which needs none."""
    found = {DEFAULT_SOFTWARE_TYPE: Type(DEFAULT_SOFTWARE_TYPE)}
    async for some in _portions(call, ""):
        for version in some:
            found[version.type] = _with(found.get(version.type) or Type(version.type), version)
    return page.cut([found[name] for name in sorted(found)])


def _with(known: Type, version: SoftwareVersion) -> Type:
    first = min(known.created_at, version.created_at) if known.latest else version.created_at
    latest = version if known.latest is None or known.latest.id < version.id else known.latest
    return Type(known.name, known.versions + 1, first, latest)


@operation(Action.VERSIONS_READ, Effect.SCAN)
async def of_type(call: Call, wanted: OfType) -> Slice[SoftwareVersion]:
    found: list[SoftwareVersion] = []
    async for some in _portions(call, wanted.type):
        found += [one for one in some if one.type == wanted.type]
        if some[-1].type != wanted.type:
            break
    return wanted.page.cut(found)


def _portions(call: Call, type: str) -> AsyncIterator[list[SoftwareVersion]]:
    """Every version from that type on, by type and version."""
    page = call.records.software_versions.page
    return portions(
        lambda after, limit: page(call.org, after, limit), lambda last: (last.type, last.version), (type, "")
    )


@operation(Action.VERSIONS_WRITE, Effect.WRITE, relieves=True)
async def delete(call: Call, wanted: Named) -> None:
    """Forget one. Raises Fault not_found, and conflict `software_version_has_devices`."""
    found = await get.run(call, wanted)
    if await devices_have(call.records, call.org, _of(found)):
        raise conflict("software_version_has_devices", "Devices run this software version; delete it when none does.")
    await call.records.software_versions.delete(call.org, found.id)
    await release(call, "software_versions")
    await record(call, "software_version.deleted", "software_version", found.id, f"{found.type} {found.version}")


def _of(version: SoftwareVersion) -> Filter:
    of_type: Filter = Comparison("software", Operator.EQ, version.type, _TYPE)
    if version.type == DEFAULT_SOFTWARE_TYPE:  # which is that of software without one as well
        unnamed = Not(Comparison("software", Operator.EXISTS, None, _TYPE))
        empty = (Comparison("software", Operator.EQ, nothing, _TYPE) for nothing in ("", None))
        of_type = Or((of_type, unnamed, *empty))
    return And((Comparison("software_version", Operator.EQ, version.version), of_type))


@operation(Action.VERSIONS_READ, Effect.READ)
async def get(call: Call, wanted: Named) -> SoftwareVersion:
    """Raises Fault not_found."""
    found = await call.records.software_versions.get(call.org, wanted.type, wanted.version)
    if found is None:
        raise not_found("software_version", wanted.version)
    return found
