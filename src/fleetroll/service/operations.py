"""What a use case is, and the one place that runs them: permission first, then the records that its effect allows.

A use case is a coroutine over a `Call` and one input value. It reads and writes records of `call.org` alone and
knows nothing of HTTP, of SQL or of a vendor. Routes name these operations; nothing else is reachable from outside.
"""

import enum
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, cast

from msgspec import Struct, field, structs

from fleetroll.bus.port import Bus
from fleetroll.core import policy
from fleetroll.core.certificates import SignedList
from fleetroll.core.faults import not_found
from fleetroll.core.model import Cohort, Instant, MetadataField, Organization, Principal
from fleetroll.core.policy import Action
from fleetroll.pki.port import Pki
from fleetroll.service.applications import Applications
from fleetroll.service.keyring import Keyring
from fleetroll.service.live_readings import Live
from fleetroll.service.new_authorities import NewAuthorities
from fleetroll.service.publisher import Publisher
from fleetroll.service.read_cache import ReadCache
from fleetroll.store.port import Records, Store

Input = TypeVar("Input")
Output = TypeVar("Output")
T = TypeVar("T")


# What processes tell each other after an operation: which of the things that they remember may be outdated.
_IDENTITIES, _DEFINITIONS = "identities", "definitions"
_CHANGED = {
    Action.KEYS_WRITE: _IDENTITIES,
    Action.ORGANIZATIONS_WRITE: _IDENTITIES,
    Action.FIELDS_WRITE: _DEFINITIONS,
    Action.COHORTS_WRITE: _DEFINITIONS,
}


class Effect(enum.Enum):
    """How an operation meets the store."""

    __hash__ = object.__hash__  # as in policy

    READ = "read"  # looks up single records
    SCAN = "scan"  # pages and counts
    WRITE = "write"  # one transaction
    BULK = "bulk"  # one transaction of up to a thousand devices, which would hold up the event loop
    BATCHES = "batches"  # transactions that the operation opens itself
    STREAM = "stream"  # pages that the operation reads itself


WRITES = frozenset({Effect.WRITE, Effect.BULK, Effect.BATCHES})
_TRANSACTIONS = frozenset({Effect.WRITE, Effect.BULK})


class Call:
    """One use of an operation: who asks, when, under which request id, and the records within reach."""

    __slots__ = ("at", "principal", "records", "request", "services")

    def __init__(self, principal: Principal, at: Instant, request: str, records: Records, services: "Services") -> None:
        self.principal = principal
        self.at = at
        self.request = request
        self.records = records
        self.services = services

    @property
    def org(self) -> int:
        return self.principal.org.id

    def within(self, records: Records) -> "Call":
        """The same call, made now, over the records of a transaction of its own."""
        return Call(self.principal, self.services.clock(), self.request, records, self.services)

    async def require_organization(self) -> None:
        """Raises Fault not_found where the organization was deleted since the caller was let in.

        What is written for it would be lost unseen.
        """
        if await self.records.organizations.get(self.org) is None:
            raise not_found("organization", self.principal.org.slug)

    def beside(self, org: Organization) -> "Call":
        """The same call and transaction, in another organization that the caller may act in."""
        return Call(self.principal.acting_in(org), self.at, self.request, self.records, self.services)


class Operation(Struct, Generic[Input, Output], frozen=True):
    """A use case with its permission.

    - `name` is the noun and the verb, as in logs and metrics.
    - `settles`: it answers when the broker, if there is one, has been told what changed, and admits nobody whom it must
      not. What its transaction wrote does not decide that: repeating a revocation that is under way writes nothing, and
      must not be answered earlier.
    - `defines`: it may create definitions on the side.
    - `relieves`: it removes something, and works on a full disk too.
    - `prepare` does beforehand what is too much for one transaction, in as many as it needs, and returns the input for
      the last one.
    """

    name: str
    action: Action
    effect: Effect
    run: Callable[[Call, Input], Awaitable[Output]]
    settles: bool = False
    defines: bool = False
    relieves: bool = False
    prepare: Callable[[Call, Input], Awaitable[Input]] | None = None

    def answering(self, run: Callable[[Call, Input], Awaitable[T]]) -> "Operation[Input, T]":
        """The same use case, performed by `run`, which makes its result of this one's."""
        return cast("Operation[Input, T]", structs.replace(self, run=run))


def operation(
    action: Action,
    effect: Effect,
    *,
    settles: bool = False,
    defines: bool = False,
    relieves: bool = False,
    prepare: Callable[[Call, Any], Awaitable[Any]] | None = None,
) -> Callable[[Callable[[Call, Input], Awaitable[Output]]], Operation[Input, Output]]:
    """Make a use case of a coroutine function; it is named after its module and itself."""

    def wrap(run: Callable[[Call, Input], Awaitable[Output]]) -> Operation[Input, Output]:
        noun = run.__module__.rpartition(".")[2]
        return Operation(f"{noun}.{run.__name__}", action, effect, run, settles, defines, relieves, prepare)

    return wrap


class Services(Struct, frozen=True):
    """What operations share, given by main: the store, the clock, randomness, the server's secret, the broker.

    `server_authority` is the certificate of the authority that issued the server certificate which the operator
    brought. `presents_own`: a listener shows one that the root organization's authority issued instead.
    """

    store: Store
    clock: Callable[[], Instant]
    random_text: Callable[[int], str]
    server_key: bytes
    publisher: Publisher
    keyring: Keyring
    definitions: ReadCache[int, list[MetadataField]]
    cohorts: ReadCache[tuple[int, str], Cohort]
    revocation_lists: ReadCache[int, SignedList]
    pki: Pki
    bus: Bus
    live: Live
    applications: Applications
    server_authority: bytes | None = None
    presents_own: bool = False
    new_authorities: NewAuthorities = field(default_factory=NewAuthorities)

    async def perform(
        self,
        operation: Operation[Input, Output],
        principal: Principal,
        value: Input,
        request: str,
        finish: Callable[[Output], T],
        first: Callable[[Records], Awaitable[T | None]] | None = None,
        last: Callable[[Records, T], Awaitable[None]] | None = None,
    ) -> T:
        """Run an operation for a principal, and answer what `finish` makes of its result, within the same transaction.

        `first` may answer in its place, and `last` keeps the answer, likewise within the transaction. Raises Fault
        forbidden before anything is read or written, and whatever the operation raises.
        """
        policy.require(principal.key.role, principal.key.scopes, operation.action)
        effect = operation.effect
        if effect not in _TRANSACTIONS:
            records = self.store.scan if effect is Effect.SCAN else self.store.read
            call = Call(principal, self.clock(), request, records, self)
            return finish(await operation.run(call, value))

        async def work(records: Records) -> T:
            if first is not None and (answer := await first(records)) is not None:
                return answer
            call = Call(principal, self.clock(), request, records, self)
            if principal.org.parent is not None:  # nobody deletes the one at the root
                await call.require_organization()
            answer = finish(await operation.run(call, value))
            if last is not None:
                await last(records, answer)
            return answer

        if operation.prepare is not None and (first is None or await first(self.store.read) is None):
            value = await operation.prepare(Call(principal, self.clock(), request, self.store.read, self), value)
        topic = _DEFINITIONS if operation.defines else _CHANGED.get(operation.action)
        try:
            answer = await self.store.write(work, bulk=effect is Effect.BULK, news=topic, relieves=operation.relieves)
        finally:
            if topic is not None:
                self.forget(topic)
        if operation.settles:
            await self.bus.settle()
        return answer

    def forget(self, topic: str | None) -> None:
        """Drop what is remembered of records that somebody may have changed; None is all topics."""
        if topic in {_IDENTITIES, None}:
            self.keyring.forget()
            self.applications.forget()
        if topic in {_DEFINITIONS, None}:
            self.definitions.clear()
            self.cohorts.clear()
