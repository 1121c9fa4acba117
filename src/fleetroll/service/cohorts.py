"""Cohorts: each device is in exactly one, and every organization has the default one from the start."""

from msgspec import Struct, structs

from fleetroll.core.faults import Fault, Kind, brief, conflict
from fleetroll.core.model import DEFAULT_COHORT, Cohort, Instant
from fleetroll.core.policy import Action
from fleetroll.core.query import Comparison, Operator
from fleetroll.service.named import Edit, Named, Noun, devices_have, random_slug
from fleetroll.service.operations import Call, Effect, operation


async def _require_unused(call: Call, cohort: Cohort) -> None:
    if cohort.slug == DEFAULT_COHORT:
        raise conflict("default_cohort", "The default cohort cannot be deleted.")
    if await devices_have(call.records, call.org, within(cohort.slug)):
        raise conflict("cohort_has_devices", "This cohort has devices; move them first.")


noun: Noun[Cohort] = Noun(
    "cohort", "slug", lambda records: records.cohorts, Action.COHORTS_READ, Action.COHORTS_WRITE, forget=_require_unused
)


class Counted(Struct, frozen=True):
    """A cohort and how many devices it has."""

    cohort: Cohort
    devices: int


def within(slug: str) -> Comparison:
    return Comparison("cohort", Operator.EQ, slug)


def default(org: int, at: Instant) -> Cohort:
    """The cohort that an organization begins with, to be stored in the same transaction."""
    return Cohort(0, org, DEFAULT_COHORT, DEFAULT_COHORT, at, at, 1)


async def require(call: Call, slug: str | None) -> None:
    """Raises Fault invalid `unknown_cohort` for one that is not there; a device in none is in the default one."""
    if slug is not None and await call.records.cohorts.get(call.org, slug) is None:
        message = "There is no cohort with this slug; create it first."
        raise Fault(Kind.INVALID, "unknown_cohort", message, "cohort", named=brief(slug))


@operation(Action.COHORTS_WRITE, Effect.WRITE)
async def create(call: Call, new: Cohort) -> Counted:
    """A cohort without a slug is given one."""
    slug = new.slug or random_slug(call)
    return Counted(await noun.insert(call, structs.replace(new, slug=slug)), 0)


@operation(Action.COHORTS_READ, Effect.SCAN)
async def counted(call: Call, wanted: Named) -> Counted:
    return await _counted(call, await noun.find(call, wanted.name))


@operation(Action.COHORTS_WRITE, Effect.WRITE)
async def edit(call: Call, wanted: Edit) -> Counted:
    was = await noun.find(call, wanted.name, wanted.guard)
    return await _counted(call, await noun.rewrite(call, was, wanted.of(was)))


@operation(Action.COHORTS_READ, Effect.SCAN)
async def all_counted(call: Call, _: None) -> list[Counted]:
    """Every cohort by slug."""
    found = await noun.all(call)
    tally = await call.records.devices.tally(call.org, "cohort")
    tally[DEFAULT_COHORT] = await _devices(call, DEFAULT_COHORT)
    return [Counted(cohort, tally.get(cohort.slug, 0)) for cohort in found]


async def _counted(call: Call, cohort: Cohort) -> Counted:
    return Counted(cohort, await _devices(call, cohort.slug))


async def _devices(call: Call, slug: str) -> int:
    return await call.records.devices.count(call.org, within(slug))
