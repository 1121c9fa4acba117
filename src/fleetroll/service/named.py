"""The five operations that every noun with a unique name has: get, page, create, edit, delete.

A noun gives its records, its permissions and the rule that a record must pass; the rest is the same for all.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Generic

from msgspec import Struct, structs

from fleetroll.core import limits
from fleetroll.core.faults import Fault, conflict, not_found, spoken, stale
from fleetroll.core.guards import UNGUARDED, Guard
from fleetroll.core.policy import Action
from fleetroll.core.query import Filter, Page, Part, Sort, cut
from fleetroll.service.operations import Call, Effect, Operation
from fleetroll.service.portions import part, whole
from fleetroll.service.quotas import release, take
from fleetroll.service.timeline import record
from fleetroll.store import port
from fleetroll.store.port import R

_SLUG_LENGTH = 8


class Named(Struct, frozen=True):
    """One record, by name."""

    name: str
    guard: Guard = UNGUARDED


class Listing(Struct, frozen=True):
    """A page of records whose name follows `after`."""

    limit: int
    after: str = ""


class Edit(Struct, frozen=True):
    """Members to replace in one record, or a pure function that derives them from the record as it is."""

    name: str
    change: dict[str, Any] | Callable[[Any], dict[str, Any]]
    guard: Guard = UNGUARDED

    def of(self, was: Any) -> dict[str, Any]:
        """The members to replace in this one."""
        return self.change(was) if callable(self.change) else self.change


Check = Callable[[Call, R], Awaitable[None]]


class Noun(Generic[R]):
    """The operations of one noun. `label` is the member that holds the unique name; `spell` says how it is stored.

    `check` raises for a record that may not be stored. `forget` raises for one that may not be deleted, and removes
    what goes with it. Records that may be large have a `weight` in bytes, which bounds a page.
    """

    def __init__(
        self,
        noun: str,
        label: str,
        records: Callable[[port.Records], port.Named[R]],
        read: Action,
        write: Action,
        check: Check[R] | None = None,
        forget: Check[R] | None = None,
        spell: Callable[[str], str] = str,
        plural: str | None = None,
        weight: Callable[[R], int] | None = None,
    ) -> None:
        self._noun = noun
        nouns = self._nouns = plural or f"{noun}s"
        self.label = label
        self._records = records
        self._check = check
        self._forget = forget
        self._spell = spell
        self._weight = weight
        self.get: Operation[Named, R] = Operation(f"{nouns}.get", read, Effect.READ, self._get)
        self.page: Operation[Listing, Part[R, str]] = Operation(f"{nouns}.page", read, Effect.SCAN, self._page)
        self.create: Operation[R, R] = Operation(f"{nouns}.create", write, Effect.WRITE, self.insert)
        self.edit: Operation[Edit, R] = Operation(f"{nouns}.edit", write, Effect.WRITE, self._edit)
        self.delete: Operation[Named, None] = Operation(
            f"{nouns}.delete", write, Effect.WRITE, self._delete, relieves=True
        )

    def name(self, record: R) -> str:
        name: str = getattr(record, self.label)
        return name

    async def find(self, call: Call, name: str, guard: Guard = UNGUARDED) -> R:
        found = await self._records(call.records).get(call.org, self._spell(name))
        if found is None:
            raise stale() if guard.match is not None else not_found(self._noun, name)
        guard.check(found)
        return found

    async def all(self, call: Call) -> list[R]:
        """Every record, by name."""
        page = self._records(call.records).page
        return await whole(lambda after, limit: page(call.org, after, limit), self.name, "")

    async def insert(self, call: Call, new: R) -> R:
        """Store a record that a caller described; number, organization and times are set here."""
        ready = structs.replace(new, org=call.org, created_at=call.at, updated_at=call.at, revision=1)
        if self._check:
            await self._check(call, ready)
        # Counted first: whoever goes on after a record that exceeds the quota must not leave it behind.
        await self._count(call, ready)
        stored = await self._records(call.records).insert(ready)
        if stored is None:
            await release(call, self._nouns)
            raise self.taken(ready)
        await record(call, f"{self._noun}.created", self._noun, stored.id, self.name(stored))
        return stored

    async def _count(self, call: Call, new: R) -> None:
        """Count one more. A name that is taken is reported as such, even where the quota is exhausted as well."""
        try:
            await take(call, self._nouns, 1)
        except Fault:
            if await self._records(call.records).get(call.org, self.name(new)):
                raise self.taken(new) from None
            raise

    async def rewrite(self, call: Call, was: R, change: dict[str, Any]) -> R:
        """Replace the members that differ; nothing is written where none does."""
        given = {name: value for name, value in change.items() if getattr(was, name) != value}
        if not given:
            return was
        now = structs.replace(was, **given, updated_at=call.at, revision=was.revision + 1)
        if self._check:
            await self._check(call, now)
        if self.label in given and await self._records(call.records).get(call.org, self.name(now)):
            raise self.taken(now)
        if not await self._records(call.records).replace(now):
            raise stale()
        await record(call, f"{self._noun}.updated", self._noun, now.id, self.name(now), {"changed": sorted(given)})
        return now

    async def _get(self, call: Call, wanted: Named) -> R:
        return await self.find(call, wanted.name)

    async def _page(self, call: Call, wanted: Listing) -> Part[R, str]:
        async def page(after: str, limit: int) -> list[R]:
            return await self._records(call.records).page(call.org, after, limit)

        if self._weight is None:
            return cut(await page(wanted.after, wanted.limit + 1), wanted.limit, self.name)
        room, most = limits.MAX_PAGE_BYTES, limits.HEAVY_AT_A_TIME
        return await part(page, self.name, wanted.after, wanted.limit, weight=self._weight, room=room, most=most)

    async def _edit(self, call: Call, wanted: Edit) -> R:
        was = await self.find(call, wanted.name, wanted.guard)
        return await self.rewrite(call, was, wanted.of(was))

    async def _delete(self, call: Call, wanted: Named) -> None:
        await self.remove(call, await self.find(call, wanted.name, wanted.guard))

    async def remove(self, call: Call, found: R) -> None:
        """Delete a record, unless something keeps it."""
        if self._forget:
            await self._forget(call, found)
        await self._records(call.records).delete(call.org, found.id)
        await release(call, self._nouns)
        await record(call, f"{self._noun}.deleted", self._noun, found.id, self.name(found))

    def taken(self, new: R) -> Fault:
        """What to raise where a name is used already."""
        message = f"This organization already has {spoken(self._noun)} {self.name(new)}."
        return conflict(f"{self._noun}_exists", message, self.label)


def random_slug(call: Call) -> str:
    """A slug for a record that is given none."""
    return call.services.random_text(_SLUG_LENGTH).lower()


async def devices_have(records: port.Records, org: int, filter: Filter) -> bool:
    """Whether devices of an organization have what the filter asks: a record that they name is not deleted."""
    return bool(await records.devices.page(org, filter, Sort(), Page(1)))
