"""The server's own connections to the broker, as the platform or the system: how they are made, and made again."""

import asyncio
import base64
import contextlib
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.protocol import parser

from fleetroll.bus.keypairs import Kind, Pair
from fleetroll.bus.permissions import user_token

logger = logging.getLogger("fleetroll.broker")

# Less than any client's: a client that is back before us finds nobody to answer it, and the vendor's SDKs ask
# only once.
_RECONNECT_SECONDS = 0.05
_PENDING = 64 << 20
# Of those who have something to be written. One who found no place among them would wait for as long as the broker
# stands still, and for ever if the connection is lost meanwhile.
_ANY_NUMBER = 0
# That a message waits to be written. The library forgets who waits for that, if the connection is lost meanwhile.
_WRITE_SECONDS = 2.0
# The broker's ping is queued behind all that it has for us, and reading that may take longer than it waits for the
# pong. It does not ping clients that ping by themselves, so we do, well within the shortest silence that it can be set
# to.
_PING_SECONDS = 0.2
_MOST_UNANSWERED_PINGS = 150
TROUBLE = (nats.errors.Error, TimeoutError, OSError)


class Rejected(Exception):
    """The broker refused what we asked. `code` is its own error code, or 0."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


FAILURE = (*TROUBLE, Rejected)
"""Whatever keeps the broker from doing what we ask: trouble on the way, or its refusal."""

# Any tenant's client may choose parts of a subject, of any bytes but those that are white space to the broker. To the
# library's own patterns more bytes are white space, and a line with one of those is a protocol error.
parser.MSG_RE = re.compile(rb"\AMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)\r\n")
parser.HMSG_RE = re.compile(rb"\AHMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)[ \t]+(\d+)\r\n")


_SENDER = "Nats-Request-Info"


class _Link(Client):
    """The library's client, hardened against hostile messages.

    By itself, it stops reading for good at a subject that is not UTF-8, or at malformed headers. And it would pass on
    what a sender says of its own identity; here only the broker is believed.
    """

    async def _process_headers(self, headers: Any) -> Any:
        try:
            found = await super()._process_headers(headers)
        except Exception:  # noqa: BLE001  # whatever hostile bytes make it raise; the message must still be counted
            return None
        if found and _SENDER in found:
            found[_SENDER] = _told_by_broker(bytes(headers))
        return found

    def _build_message(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Any) -> Any:
        try:
            return super()._build_message(sid, subject, reply, data, headers)
        except UnicodeDecodeError:
            return super()._build_message(sid, subject.decode(errors="replace").encode(), reply, data, headers)


def _told_by_broker(headers: bytes) -> str:
    """What the broker says of the sender; empty if that cannot be told from what the sender says.

    The broker removes a header of that name in one spelling only, and writes its own as one line after all others. It
    does not make sure that the line before has ended: what it appends to half a line becomes part of that line.
    """
    *_, last, rest, end = (b"", b"", b"", *headers.split(b"\r\n"))
    name, _, value = last.partition(b": ")
    return value.decode(errors="replace") if name == _SENDER.encode() and not rest and not end else ""


class Sender(msgspec.Struct, frozen=True):
    """What the broker says of a sender in another account: that account, and the user where it is a shared one."""

    acc: str = ""
    user: str = ""


def sender(message: Msg) -> Sender:
    """Who sent a message; empty, which is nobody, if it came from our own account."""
    try:
        return msgspec.json.decode((message.headers or {}).get(_SENDER, ""), type=Sender)
    except msgspec.MsgspecError:
        return Sender()


async def _nothing(*_: object) -> None:
    pass


async def connect(
    urls: list[str],
    account: Pair,
    name: str,
    *,
    disconnected: Callable[[], Awaitable[None]] = _nothing,
    reconnected: Callable[[], Awaitable[None]] = _nothing,
    failed: Callable[[Exception], Awaitable[None]] = _nothing,
    patience: int | None = -1,
) -> Client:
    """A connection as a user of `account` that may do everything in it. `urls` are tried in their order.

    `patience` is the number of attempts to reconnect; -1 is for ever, and with None a lost connection stays lost.
    """
    user = Pair(Kind.USER, secrets.token_bytes(32))

    def identity() -> bytes:
        return user_token(account, user.public, name, int(time.time())).encode()

    async def note(problem: Exception) -> None:
        logger.debug("connection %s: %s", name, problem)
        if not client.is_connected:
            await failed(problem)

    client = _Link()
    await client.connect(
        urls,
        name=f"fleetroll {name}",
        user_jwt_cb=identity,
        signature_cb=lambda nonce: base64.b64encode(user.sign(nonce.encode())),
        error_cb=note,
        disconnected_cb=disconnected,
        reconnected_cb=reconnected,
        allow_reconnect=True,  # otherwise, a server that says nothing would end this before the next one is tried
        max_reconnect_attempts=1 if patience is None else patience,
        reconnect_time_wait=_RECONNECT_SECONDS,  # type: ignore[arg-type]  # it only sleeps for so long
        no_echo=True,
        connect_timeout=2,
        ping_interval=_PING_SECONDS,  # type: ignore[arg-type]  # likewise
        max_outstanding_pings=_MOST_UNANSWERED_PINGS,
        pending_size=_PENDING,
        flusher_queue_size=_ANY_NUMBER,
        flush_timeout=_WRITE_SECONDS,
        dont_randomize=True,
    )
    # Once connected: who loses a server goes to any other, so that not all go to the same.
    client.options |= {"allow_reconnect": patience is not None, "dont_randomize": False}
    return client


def servers(client: Client) -> list[str]:
    """The servers that a connection knows: those that it was given, and of a cluster those that it was told of."""
    return [one.geturl() for one in client.servers]


def other_servers(client: Client) -> list[str]:
    """As `servers`, other than the one that we are connected to."""
    own = client.connected_url
    return [one.geturl() for one in client.servers if own is not None and one.netloc != own.netloc]


async def close(client: Client | None) -> None:
    if client is not None:
        with contextlib.suppress(Exception):  # it may be gone already, or never have been there
            await asyncio.wait_for(client.close(), 2)


async def reply_status(client: Client, subject: str, headers: Mapping[str, str]) -> None:
    """Reply with a status and no message, as the broker itself does.

    `Status` and its `Description` make up the first line, where clients look for them. The client library can read that
    form, but not write it.
    """
    first = " ".join(("NATS/1.0", headers["Status"], headers.get("Description", ""))).strip()
    others = [f"{name}: {value}" for name, value in headers.items() if name not in {"Status", "Description"}]
    text = "\r\n".join((first, *others, "", "")).encode()
    await client._send_command(b"HPUB %b %d %d\r\n%b\r\n" % (subject.encode(), len(text), len(text), text))
    await client._flush_pending()


async def publish_all(client: Client, messages: Iterable[tuple[str, bytes]], *, written: bool = False) -> None:
    """Publish bodies under subjects that are known to be well-formed, if the broker is there.

    They are written together, because the library would wake its writer for each one. With `written`, this returns only
    when they have been written, or that takes too long: whoever publishes a lot does so in portions, and what else is
    to be sent over the connection gets its turn in between.
    """
    lines = (b"PUB %b %d\r\n%b\r\n" % (subject.encode(), len(body), body) for subject, body in messages)
    await _send(client, lines, written=written)


async def request_all(client: Client, requests: Iterable[tuple[str, bytes, str]]) -> None:
    """As `publish_all`, each with a subject for replies."""
    lines = (
        b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply.encode(), len(body), body)
        for subject, body, reply in requests
    )
    await _send(client, lines)


async def _send(client: Client, lines: Iterable[bytes], *, written: bool = False) -> None:
    if client.is_connected:
        await client._send_command(b"".join(lines))
        await client._flush_pending(force_flush=written)
        if is_cancelled():  # the library ends its waiting then, but does not say why
            raise asyncio.CancelledError


def is_cancelled() -> bool:
    """Whether the running task was cancelled.

    Loops must ask: `wait_for`, as the client library uses it, can lose a cancellation that comes together with what it
    waits for.
    """
    task = asyncio.current_task()
    return task is not None and bool(task.cancelling())


async def until_cancelled() -> None:
    """Wait until the running task is cancelled, or raise at once if its cancellation was lost."""
    if not is_cancelled():
        await asyncio.Event().wait()
    raise asyncio.CancelledError


def is_connected(client: Client | None) -> bool:
    return client is not None and client.is_connected
