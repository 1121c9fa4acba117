"""What the broker asks of the service, passed on to the modules that own it. Implements `bus.port.Registry`.

No client asks for anything in here: the broker acts for itself.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence

from fleetroll.bus.port import (
    Account,
    Announcement,
    Batch,
    Certificate,
    Change,
    Connection,
    ConnectionChange,
    Message,
    Request,
)
from fleetroll.core.ids import parse_broker_org
from fleetroll.core.model import StreamPosition
from fleetroll.service import broker_accounts, connections, ingest
from fleetroll.service.authorities import certify_server
from fleetroll.service.devices import known_by_id
from fleetroll.service.operations import Services

Answer = Callable[[Request], Awaitable[bytes]]


class Registry:
    """Speaks for `services`; `respond` answers requests."""

    def __init__(self, services: Services, respond: Answer) -> None:
        self._services = services
        self._respond = respond

    async def answer(self, request: Request) -> bytes:
        return await self._respond(request)

    async def has(self, org: str, device: str) -> bool:
        number = parse_broker_org(org)
        return number is not None and await known_by_id(self._services.store.read, number, device) is not None

    async def certify(self, names: Sequence[str]) -> Certificate:
        shown = await certify_server(self._services, names)
        return Certificate(shown.chain, shown.key, shown.password)

    async def accounts(self) -> list[Account]:
        return await broker_accounts.accounts(self._services.store.bulk, self._services.clock())

    async def changes(self) -> list[Change]:
        return await broker_accounts.changes(self._services.store.read, self._services.bus, self._services.clock())

    async def settled(self, numbers: Sequence[int]) -> None:
        await self._services.store.write(lambda records: records.credentials.settle(numbers))

    async def publishing(self, orgs: Collection[str]) -> set[str]:
        return await broker_accounts.publishing(self._services.store.read, orgs)

    async def ingested(self) -> dict[str, StreamPosition]:
        return await self._services.store.read.progress.all()

    async def rewind(self, stream: str, sequence: int) -> None:
        await self._services.store.write(lambda records: ingest.rewind(records, stream, sequence))

    async def go_on(self, stream: str, former: str) -> None:
        await self._services.store.write(lambda records: ingest.go_on(records, stream, former))

    async def ingest(self, batches: Sequence[Batch]) -> list[Message]:
        return await ingest.take(self._services, batches)

    async def forget_streams(self, streams: Sequence[str]) -> None:
        if streams:
            await self._services.store.write(lambda records: records.progress.forget(streams))

    async def note_connections(self, changes: Sequence[ConnectionChange]) -> list[Announcement]:
        return await connections.note(self._services, changes)

    async def reconcile_connections(self, connected: Sequence[Connection]) -> list[Announcement]:
        return await connections.reconcile(self._services, connected)
