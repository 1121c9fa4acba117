"""Devices and applications that a broker is measured with: plain NATS clients, in a process of their own.

`python -m bench.crowd` takes a command a line on standard input and answers each with a line; `Crowd` is its other end.
Like the load generator it runs at a low priority.
"""

import asyncio
import base64
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
import nats
import nkeys
import uvloop
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

_NICE = 10
_AT_ONCE = 32
_ALL = 1 << 30
_PATIENCE = 120.0

T = TypeVar("T")


class Credential(Struct, frozen=True):
    """What `POST …/credentials` and `POST /v1/keys` show once."""

    api_key: str
    secret: str

    @property
    def owner(self) -> tuple[str, str]:
        """The organization and, for a device, its own name on the broker, from where the vendor's SDKs read them."""
        body = self.api_key.split(".")[1]
        said = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["nats"]["org_data"]
        return said["org_id"], said["api_key_id"]


class Connect(Struct, frozen=True, tag=True):
    """More clients, one for each credential; answers the seconds until all were connected."""

    url: str
    credentials: list[Credential]


class Leave(Struct, frozen=True, tag=True):
    """The first `count` clients close their connections."""

    count: int


class Get(Struct, frozen=True, tag=True):
    """Requests for devices over some seconds, `depth` at a time from each client; answers `Answered`."""

    idents: list[str]
    seconds: float
    depth: int


class Report(Struct, frozen=True, tag=True):
    """Readings of each device, numbered from 0 to `count`: of metrics m0, m1, … in turn, one a millisecond from `since`
    on, `depth` of them under way at a time. Answers the seconds until the last one was acknowledged.
    """

    count: int
    metrics: int
    since: int
    depth: int = 1


Command = Connect | Leave | Get | Report


class Answered(Struct, frozen=True):
    """Times are milliseconds; `busy` is this process's share of one core."""

    per_second: float
    p50: float
    p99: float
    busy: float


class Crowd:
    """A process with clients."""

    def __enter__(self) -> "Crowd":
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, "-m", "bench.crowd"], stdin=pipe, stdout=pipe)
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:  # which closes its input, whereupon it ends
            pass

    def connect(self, url: str, credentials: list[Credential]) -> float:
        return self._do(Connect(url, credentials), float)

    def leave(self, count: int = _ALL) -> None:
        self._do(Leave(count), float)

    def get(self, idents: list[str], seconds: float, depth: int) -> Answered:
        return self._do(Get(idents, seconds, depth), Answered)

    def report(self, report: Report) -> float:
        return self._do(report, float)

    def _do(self, command: Command, type: type[T]) -> T:
        asked, answers = self._process.stdin, self._process.stdout
        if asked is not None:
            asked.write(msgspec.json.encode(command) + b"\n")
            asked.flush()
        line = answers.readline() if answers is not None else b""
        if not line:
            raise RuntimeError(f"the crowd's process has ended at {command.__class__.__name__}")
        return msgspec.json.decode(line, type=type)


# --- inside the process ----------------------------------------------------------------------------------------------


class _Talk:
    """One client that keeps some messages under way, each of which must be answered before another takes its place."""

    def __init__(self, client: Client, messages: Iterator[tuple[str, bytes]], accepted: bytes) -> None:
        self._client = client
        self._messages = messages
        self._accepted = accepted
        self._asked_at: dict[str, float] = {}
        self._numbers = itertools.count()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.times: list[float] = []

    async def run(self, depth: int) -> None:
        """Until the last message is answered."""
        self._inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._take)
        for _ in range(depth):
            await self._send()
        await asyncio.wait_for(self._done, _PATIENCE)
        await subscription.unsubscribe()

    async def _send(self) -> None:
        message = next(self._messages, None)
        if message is not None:
            reply = f"{self._inbox}.{next(self._numbers)}"
            self._asked_at[reply] = time.perf_counter()
            await self._client.publish(*message, reply=reply)
        elif not self._asked_at and not self._done.done():
            self._done.set_result(None)

    async def _take(self, message: Msg) -> None:
        self.times.append(time.perf_counter() - self._asked_at.pop(message.subject))
        if self._accepted in message.data:
            await self._send()
        elif not self._done.done():
            self._done.set_exception(RuntimeError(f"refused: {message.data[:300]!r} {message.headers}"))


class _Clients:
    def __init__(self) -> None:
        self._clients: list[tuple[Client, Credential]] = []

    async def do(self, command: Command) -> object:
        match command:
            case Connect():
                return await self._timed(self._connect(command))
            case Leave():
                return await self._timed(self._leave(command))
            case Report():
                return await self._timed(self._report(command))
            case Get():
                return await self._get(command)

    async def _timed(self, work: Any) -> float:
        began = time.perf_counter()
        await work
        return time.perf_counter() - began

    async def _connect(self, command: Connect) -> None:
        for first in range(0, len(command.credentials), _AT_ONCE):
            some = command.credentials[first : first + _AT_ONCE]
            clients = await asyncio.gather(*(_client(command.url, one) for one in some))
            self._clients += zip(clients, some, strict=True)

    async def _leave(self, command: Leave) -> None:
        leaving, self._clients = self._clients[: command.count], self._clients[command.count :]
        await asyncio.gather(*(client.close() for client, _ in leaving))

    async def _report(self, command: Report) -> None:
        await self._talk(lambda credential: _readings(credential, command), b'"stream"', command.depth)

    async def _get(self, command: Get) -> Answered:
        began, spent = time.perf_counter(), time.process_time()
        idents, until = itertools.cycle(command.idents), began + command.seconds
        talks = await self._talk(
            lambda credential: _requests(credential, idents, until), b"DEVICE_GET_SUCCESS", command.depth
        )
        took = time.perf_counter() - began
        times = sorted(time for talk in talks for time in talk.times)
        p50, p99 = (times[int((len(times) - 1) * share)] * 1000 for share in (0.5, 0.99))
        return Answered(len(times) / took, p50, p99, (time.process_time() - spent) / took)

    async def _talk(
        self, messages: Callable[[Credential], Iterator[tuple[str, bytes]]], accepted: bytes, depth: int
    ) -> list[_Talk]:
        talks = [_Talk(client, messages(credential), accepted) for client, credential in self._clients]
        await asyncio.gather(*(talk.run(depth) for talk in talks))
        return talks


def _readings(credential: Credential, report: Report) -> Iterator[tuple[str, bytes]]:
    org, device = credential.owner
    for number in range(report.count):
        body = msgspec.msgpack.encode({"value": number, "timestamp": report.since + number})
        yield f"{org}.production.telemetry.{device}.m{number % report.metrics}", body


def _requests(credential: Credential, idents: Iterator[str], until: float) -> Iterator[tuple[str, bytes]]:
    subject = f"api.iot.devices.{credential.owner[0]}.get"
    while time.perf_counter() < until:
        yield subject, msgspec.json.encode({"ident": next(idents)})


async def _client(url: str, credential: Credential) -> Client:
    pair = nkeys.from_seed(bytearray(credential.secret, "ascii"))
    return await nats.connect(
        url,
        user_jwt_cb=credential.api_key.encode,
        signature_cb=lambda nonce: base64.b64encode(pair.sign(nonce.encode())),
        allow_reconnect=False,
        connect_timeout=30,
    )


async def _main() -> None:
    os.nice(_NICE)
    clients, loop = _Clients(), asyncio.get_running_loop()
    decode = msgspec.json.Decoder(Command).decode
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        answer = await clients.do(decode(line))
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()
    os._exit(0)  # a thousand connections need no farewell


if __name__ == "__main__":
    uvloop.run(_main())
