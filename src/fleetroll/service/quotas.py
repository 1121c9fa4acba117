"""Quotas: how much of each noun an organization may have, counted in the transaction that makes or removes it."""

from collections.abc import Mapping

from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.service.operations import Call


def allowed(call: Call, noun: str) -> int:
    return call.principal.org.quotas.get(noun, limits.DEFAULT_QUOTAS[noun])


async def take(call: Call, noun: str, count: int) -> None:
    """Count `count` more of a noun, or fewer if negative. Raises Fault forbidden `quota_exceeded`."""
    quota = allowed(call, noun)
    if not await call.records.usage.add(call.org, noun, count, quota):
        raise exceeded(noun, quota, await used(call, noun))


async def release(call: Call, noun: str) -> None:
    """Count one less of a noun."""
    await take(call, noun, -1)


async def require(call: Call, counts: Mapping[str, int]) -> None:
    """Ensure that so many more of each noun may be made. Raises Fault forbidden `quota_exceeded`."""
    known = await call.records.usage.of(call.org)
    for noun, count in counts.items():
        quota = allowed(call, noun)
        if known.get(noun, 0) + count > quota:
            raise exceeded(noun, quota, known.get(noun, 0))


async def used(call: Call, noun: str) -> int:
    """How many of a noun the organization has."""
    return (await call.records.usage.of(call.org)).get(noun, 0)


async def remaining(call: Call, noun: str) -> int:
    """How many more there may be; negative where the quota was lowered since."""
    return allowed(call, noun) - await used(call, noun)


def exceeded(noun: str, quota: int, used: int) -> Fault:
    label = noun.replace("_", " ")
    message = f"This organization may have at most {quota} {label}; remove some or ask for a larger quota."
    return Fault(Kind.FORBIDDEN, "quota_exceeded", message, details={"quota": quota, "used": used, "noun": noun})
