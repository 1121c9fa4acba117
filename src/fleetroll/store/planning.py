"""How devices are found: which condition leads to them, and whether they are walked past or gathered and sorted.

Where the engine finds that out by itself, the statement leaves it to the engine.
"""

from collections.abc import Sequence
from operator import itemgetter

from fleetroll.core.query import Comparison, Filter, Sort
from fleetroll.store import frequencies, select
from fleetroll.store.connection import Connection, count_by
from fleetroll.store.select import UNPLANNED, Plan
from fleetroll.store.syntax import Syntax

# Gathering a device, which is looked up and sorted, costs as much as walking past so many: 30 where the index covers
# these (`select.is_covered`), two where they are looked up as well.
_GATHERING = {False: 2, True: 30}
# The same, where the devices that are gathered are found through tallies.
_JOINING = 15


class Planner:
    """Plans for statements, by how many devices there are of what they ask."""

    def __init__(self, connection: Connection, syntax: Syntax) -> None:
        self._connection = connection
        self._syntax = syntax

    async def page(self, org: int, filter: Filter | None, sort: Sort, limit: int) -> Plan:
        """The plan of a page: walk the index of its order, or sort what a rare condition finds."""
        if sort.field == "id":
            return Plan(await self._driver(org, filter))
        wanted = select.drivers(self._syntax, filter) if self._syntax.frequencies and not sort.path else []
        if not wanted:
            return UNPLANNED
        driver, devices = await self._rarest(org, wanted)
        walked = limit * await count_by(self._connection, select.count(self._syntax, org, None)) // max(devices, 1)
        is_rare = devices < frequencies.MOST and devices * _GATHERING[False] < walked
        return Plan(driver, gathered=True) if is_rare else UNPLANNED

    async def slice(self, org: int, filter: Filter | None, sort: Sort, end: int, matching: int, total: int) -> Plan:
        """The plan of a page by offset that ends at the place `end` among the `matching` devices, of `total` in all.

        Walking there passes `total / matching` devices for each that matches.
        """
        if sort.field == "id" and (driver := select.alone(self._syntax, filter)):
            return Plan(driver)
        walked = end * total // matching
        is_joined = select.is_joined(self._syntax, filter)
        if is_joined and sort.field == "id":
            gathering = end * _JOINING  # of each tally, no more than the first `end` are read
        else:
            gathering = matching * _GATHERING[select.is_covered(filter, sort)]
        if gathering >= walked:
            return UNPLANNED
        return Plan(None if is_joined else await self._driver(org, filter), gathered=True)

    async def count(self, org: int, filter: Filter | None) -> Plan:
        """The plan of a count, for what the tallies do not have."""
        return UNPLANNED if select.is_tallied(filter) else Plan(await self._driver(org, filter))

    async def _driver(self, org: int, filter: Filter | None) -> Comparison | None:
        """Which of several conditions leads to the fewest devices, where the engine does not find that out itself."""
        wanted = select.drivers(self._syntax, filter) if self._syntax.frequencies else []
        return (await self._rarest(org, wanted))[0] if len(wanted) > 1 else None

    async def _rarest(self, org: int, wanted: Sequence[Comparison]) -> tuple[Comparison, int]:
        counted = [(part, await self._frequency(org, part)) for part in wanted]
        return min(counted, key=itemgetter(1))

    async def _frequency(self, org: int, part: Comparison) -> int:
        known = self._syntax.frequencies
        assert known is not None
        devices = known.get(org, part)
        if devices is None:
            devices = await count_by(self._connection, select.up_to(self._syntax, org, part, frequencies.MOST))
            known.put(org, part, devices)
        return devices
