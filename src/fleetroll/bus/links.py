"""Connections of the server's own to the broker: one as the platform, one as the system, both made again for ever."""

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
from fleetroll.bus.walls import user_token

logger = logging.getLogger("fleetroll.broker")

# Shorter than any client's: whoever is back before us finds nobody who answers, and the vendor's SDKs ask only once.
_PAUSE = 0.05
_PENDING = 64 << 20
# The broker asks whether we are there behind all that it has for us, and that may take longer to read than it waits
# for an answer. Who says so unasked, well within the shortest silence that it can be told to allow, is not asked.
_SIGN_SECONDS = 0.2
_UNANSWERED_SIGNS = 150
TROUBLE = (nats.errors.Error, TimeoutError, OSError)


class Rejected(Exception):
    """The broker answered, and did not do what we asked. `code` is its own for why, where it has one."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


FAILURE = (*TROUBLE, Rejected)
"""Whatever keeps the broker from doing what we ask: trouble on the way, or that it will not."""

# Any tenant's client chooses words of a subject, of whatever is no blank to the broker. The library takes more for a
# blank, and such a line then for none of the protocol.
parser.MSG_RE = re.compile(rb"\AMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)\r\n")
parser.HMSG_RE = re.compile(rb"\AHMSG[ \t]+([^ \t\r\n]+)[ \t]+(\d+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)[ \t]+(\d+)\r\n")


_SENDER = "Nats-Request-Info"


class _Link(Client):
    """As the library's, which stops to read for ever at a subject that is no UTF-8, and at headers of no form.

    Nor does it take a sender's word for who that is.
    """

    async def _process_headers(self, headers: Any) -> Any:
        try:
            found = await super()._process_headers(headers)
        except Exception:  # noqa: BLE001  # whatever it makes of hostile bytes; the message itself must be counted
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
    """What the broker says of the sender; empty if it cannot be told from what the sender says.

    The broker takes away one header of that name, in one spelling, and writes its own behind all others, as one line.
    But it does not see to it that those before end: what it appends to half a line is a part of that.
    """
    *_, last, rest, end = (b"", b"", b"", *headers.split(b"\r\n"))
    name, _, value = last.partition(b": ")
    return value.decode(errors="replace") if name == _SENDER.encode() and not rest and not end else ""


class Sender(msgspec.Struct, frozen=True):
    """What the broker says of whoever sent something through a wall: the account, and where it is shared, the user."""

    acc: str = ""
    user: str = ""


def sender(message: Msg) -> Sender:
    """Nobody, for what did not come through a wall."""
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
    lost: Callable[[], Awaitable[None]] = _nothing,
    found: Callable[[], Awaitable[None]] = _nothing,
    failed: Callable[[Exception], Awaitable[None]] = _nothing,
    patience: int | None = -1,
) -> Client:
    """A connection as a user of `account` that may do everything in it. `patience` counts attempts; -1 is for ever, and
    with None a connection that is lost is not made again.
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
        disconnected_cb=lost,
        reconnected_cb=found,
        allow_reconnect=patience is not None,
        max_reconnect_attempts=1 if patience is None else patience,
        reconnect_time_wait=_PAUSE,  # type: ignore[arg-type]  # it only sleeps for so long
        no_echo=True,
        connect_timeout=2,
        ping_interval=_SIGN_SECONDS,  # type: ignore[arg-type]  # likewise
        max_outstanding_pings=_UNANSWERED_SIGNS,
        pending_size=_PENDING,
    )
    return client


def other_servers(client: Client) -> list[str]:
    """Those of the cluster, as far as it has told, that the connection is not to."""
    own = client.connected_url
    return [one.geturl() for one in client.servers if own is not None and one.netloc != own.netloc]


async def close(client: Client | None) -> None:
    if client is not None:
        with contextlib.suppress(Exception):  # it may be gone already, or never have been there
            await asyncio.wait_for(client.close(), 2)


async def reply_status(client: Client, subject: str, headers: Mapping[str, str]) -> None:
    """Reply with a status and no message, as the broker itself does: `Status` and its `Description` make up the first
    line, where clients look for them. The client library can read that form, and cannot write it.
    """
    first = " ".join(("NATS/1.0", headers["Status"], headers.get("Description", ""))).strip()
    others = [f"{name}: {value}" for name, value in headers.items() if name not in {"Status", "Description"}]
    text = "\r\n".join((first, *others, "", "")).encode()
    await client._send_command(b"HPUB %b %d %d\r\n%b\r\n" % (subject.encode(), len(text), len(text), text))
    await client._flush_pending()


async def publish_all(client: Client, messages: Iterable[tuple[str, bytes]]) -> None:
    """Publish bodies under subjects that the broker itself has told us, if it is there.

    At once: of each alone the library would wake its writer anew.
    """
    if client.is_connected:
        lines = (b"PUB %b %d\r\n%b\r\n" % (subject.encode(), len(body), body) for subject, body in messages)
        await client._send_command(b"".join(lines))
        await client._flush_pending()


def goes_on() -> bool:
    """False once the running task was cancelled. To be asked by loops: `wait_for`, as the client library uses it, can
    lose a cancellation that comes together with what it waits for.
    """
    task = asyncio.current_task()
    return task is None or not task.cancelling()


async def until_cancelled() -> None:
    """Wait until the running task is cancelled, or go at once where that was lost."""
    if goes_on():
        await asyncio.Event().wait()
    raise asyncio.CancelledError


def is_connected(client: Client | None) -> bool:
    return client is not None and client.is_connected
