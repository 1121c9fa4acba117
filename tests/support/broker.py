"""A real broker over a registry of plain lists, and clients with the credentials that it mints."""

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats.errors
import nkeys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from fleetroll.bus.broker import Broker
from fleetroll.bus.intake import COMMANDS_FAMILY
from fleetroll.bus.permissions import Authority
from fleetroll.bus.port import (
    Account,
    Announcement,
    AppAccount,
    Batch,
    Certificate,
    Change,
    Connection,
    ConnectionChange,
    DeviceAccount,
    Message,
    Minted,
    Request,
)
from fleetroll.bus.process import Process
from fleetroll.bus.settings import Files, Listeners, address_of, write
from fleetroll.core.model import StreamPosition
from tests.support.proxy import Wire, wired
from tests.support.waiting import PATIENCE

SERVER_KEY = b"k" * 32
ORG, DEVICE = "org_1", f"{1:024x}"


class Registry:
    """Implements `port.Registry`: what should be on the broker, and what has come from it."""

    def __init__(self) -> None:
        self.wanted: dict[str, Account] = {}
        self.waiting: list[Change] = []
        self.requests: list[Request] = []
        self.messages: list[Message] = []
        self.sequences: dict[str, int] = {}
        self.times: dict[str, int] = {}
        self.connections: set[Connection] = set()
        self.refusing = False
        self.moved = asyncio.Event()

    def want(self, public: str, account: Account | None) -> None:
        org = account.org if account is not None else self.wanted.pop(public).org if public in self.wanted else ORG
        if account is not None:
            self.wanted[public] = account
        self.waiting.append(Change(len(self.waiting) + 1, org, public, account))

    async def accounts(self) -> list[Account]:
        return list(self.wanted.values())

    async def changes(self) -> list[Change]:
        return list(self.waiting)

    async def settled(self, numbers: Sequence[int]) -> None:
        self.waiting = [change for change in self.waiting if change.number not in numbers]
        self.moved.set()

    async def answer(self, request: Request) -> bytes:
        self.requests.append(request)
        return b'{"from":"' + request.subject.encode() + b'"}'

    async def has(self, org: str, device: str) -> bool:
        devices = [one for one in self.wanted.values() if isinstance(one, DeviceAccount)]
        return any((one.org, one.device) == (org, device) for one in devices)

    async def certify(self, names: Sequence[str]) -> Certificate:
        return certificate(names, timedelta(days=90))

    async def publishing(self, orgs: Collection[str]) -> set[str]:
        return {one.org for one in self.wanted.values() if isinstance(one, DeviceAccount)} & set(orgs)

    async def ingested(self) -> dict[str, StreamPosition]:
        return {stream: StreamPosition(place, self.times[stream]) for stream, place in self.sequences.items()}

    async def rewind(self, stream: str, sequence: int) -> None:
        self.sequences[stream] = sequence

    async def go_on(self, stream: str, former: str) -> None:
        self.sequences[stream], self.times[stream] = self.sequences.pop(former), self.times.pop(former)

    async def ingest(self, batches: Sequence[Batch]) -> Sequence[Message]:
        if self.refusing:
            raise RuntimeError("the store is away")
        for batch in batches:
            assert batch.messages[0].sequence > self.sequences.get(batch.stream, 0)
            self.messages += batch.messages
            self.sequences[batch.stream] = batch.messages[-1].sequence
            self.times[batch.stream] = batch.messages[-1].at
        self.moved.set()
        return [one for batch in batches for one in batch.messages if one.family != COMMANDS_FAMILY]

    async def forget_streams(self, streams: Sequence[str]) -> None:
        for stream in streams:
            self.sequences.pop(stream, None)
            self.times.pop(stream, None)
        self.moved.set()

    async def note_connections(self, changes: Sequence[ConnectionChange]) -> list[Announcement]:
        for change in changes:
            (self.connections.add if change.connected else self.connections.discard)(change.connection)
        self.moved.set()
        return []

    async def reconcile_connections(self, connections: Sequence[Connection]) -> list[Announcement]:
        self.connections = set(connections)
        self.moved.set()
        return []

    @property
    def present_now(self) -> set[str]:
        return {one.account for one in self.connections} & self.wanted.keys()

    async def until(self, holds: Any) -> None:
        """Wait until `holds` is true of what has come."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self.moved.clear()
                await self.moved.wait()


def certificate(names: Sequence[str], life: timedelta) -> Certificate:
    """A self-signed one that began 90 days ago and has so much of its life left."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=90))
        .not_valid_after(now + life)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    kept = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"word")
    )
    return Certificate(made.public_bytes(serialization.Encoding.PEM).decode(), kept.decode(), "word")


@contextlib.asynccontextmanager
async def broker(directory: Path, registry: Any, **listeners: Any) -> AsyncIterator[Broker]:
    """A broker that serves `registry`, with its process as `process`.

    It waits for silent clients as long as the tests do: a busy machine may let none of them run for two seconds.
    """
    async with _begun(directory, registry, {"silence": PATIENCE, **listeners}) as (served, keeping):
        await first(served.up(), keeping)
        yield served


@contextlib.asynccontextmanager
async def starting(directory: Path, registry: Any, **listeners: Any) -> AsyncIterator[Broker]:
    """As `broker`, before anybody has waited for it."""
    async with _begun(directory, registry, listeners) as (served, _):
        yield served


@contextlib.asynccontextmanager
async def distant(directory: Path, registry: Any) -> AsyncIterator[tuple[Broker, Wire]]:
    """As `broker`, at the other end of a wire."""
    files = Files(directory)
    async with (
        wired(lambda: int(address_of(files).rpartition(":")[2])) as wire,
        _begun(directory, registry, {}, [f"nats://127.0.0.1:{wire.port}"]) as (served, keeping),
    ):
        await first(served.up(), keeping)
        yield served, wire


@contextlib.asynccontextmanager
async def _begun(
    directory: Path, registry: Any, listeners: dict[str, Any], urls: list[str] | None = None
) -> AsyncIterator[tuple[Broker, "asyncio.Future[None]"]]:
    authority = Authority(SERVER_KEY)
    files = Files(directory)
    started = int(time.time())
    where = Listeners(**{"nats": ("127.0.0.1", 0), **listeners})
    process = Process(files, lambda known: write(files, where, authority, started, known))
    served = Broker(authority, lambda: int(time.time()), lambda: urls or [f"nats://{address_of(files)}"], process)
    async with kept(served, registry) as keeping:
        yield served, keeping


@contextlib.asynccontextmanager
async def kept(served: Broker, registry: Any) -> AsyncIterator["asyncio.Future[None]"]:
    """Have it keep `registry`; yields that work, which goes on until the end."""
    running = [asyncio.ensure_future(work) for work in (served.serve(registry), served.stay_connected())]
    try:
        yield running[0]
    finally:
        for work in running:
            work.cancel()
        await asyncio.wait(running)


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 4 * PATIENCE))


async def first(wanted: Any, running: "asyncio.Future[Any]") -> None:
    """Await one thing unless another, which should go on, ends before it."""
    waiting = asyncio.ensure_future(wanted)
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait([waiting, running], return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        await running


def address(served: Broker, listener: str = "client") -> str:
    """Where it listens: as a URL for clients of NATS, for other listeners host and port."""
    assert served._process is not None
    found = served._process.addresses[listener]
    return f"nats://{found}" if listener == "client" else found


async def with_device(served: Broker, registry: Any, org: str = ORG, device: str = DEVICE) -> Minted:
    """What a device connects with, once the broker knows it."""
    minted = served.mint_device(org, device)
    registry.want(minted.account, DeviceAccount(minted.account, org, device))
    await settled(served, registry)
    return minted


async def with_app(served: Broker, registry: Any, org: str = ORG) -> Minted:
    """The same for an operator's application."""
    minted = served.mint_app(org, "operator", commands=True)
    registry.want(minted.account, AppAccount(org, "operator", commands=True))
    await settled(served, registry)
    return minted


async def settled(served: Broker, registry: Any) -> None:
    """Wait until the broker knows all: `settle` gives up after a while, and a busy machine may need longer."""
    await served.settle()
    await registry.until(lambda: not registry.waiting)


class _Patient(Client):
    """The library's client, which otherwise waits half a second for an answer, and five for the broker's word that it
    has stored something: a busy machine may need longer. Who expects that nothing comes says how long to wait.
    """

    async def request(self, *asked: Any, **options: Any) -> Msg:
        return await super().request(*asked, **{"timeout": PATIENCE, **options})

    async def flush(self, timeout: float = PATIENCE) -> None:  # noqa: ASYNC109  # the library's
        await super().flush(timeout)  # type: ignore[arg-type]  # it only waits for so long

    def jetstream(self, **options: Any) -> JetStreamContext:
        return super().jetstream(**{"timeout": PATIENCE, **options})


async def client(url: str, minted: Minted, **options: Any) -> Client:
    """A plain client with a credential."""
    pair = nkeys.from_seed(bytearray(minted.secret, "ascii"))

    async def quiet(_: Exception) -> None:
        pass

    given = {"allow_reconnect": False, "connect_timeout": PATIENCE, "error_cb": quiet, **options}
    connected = _Patient()
    await connected.connect(
        url,
        user_jwt_cb=minted.api_key.encode,
        signature_cb=lambda nonce: base64.b64encode(pair.sign(nonce.encode())),
        **given,
    )
    if not connected.is_connected:  # the library overlooks a refusal whose words were lost with the connection
        raise nats.errors.ConnectionClosedError
    return connected
