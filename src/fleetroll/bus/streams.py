"""Requests to the broker's stream API.

In a cluster each stream may be kept by several servers, its `replicas`. None stands for a broker of ours: one server.
"""

import contextlib
from datetime import datetime
from typing import Any

import msgspec
from nats.aio.client import Client

from fleetroll.bus.links import Rejected
from fleetroll.core import limits
from fleetroll.core.model import Instant, StreamPosition
from fleetroll.core.times import from_datetime, to_datetime

NANO = 1_000_000_000
_SECONDS = 5.0
_IN_USE = 10058  # the broker's code for a stream of that name with another configuration
_NOT_FOUND = 10059
_NO_MESSAGE = 10037


class StreamLost(Exception):
    """There is no such stream any more."""


class _Error(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct, frozen=True):
    error: _Error | None = None


class _State(msgspec.Struct, frozen=True):
    messages: int = 0
    bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0


class Held(msgspec.Struct, frozen=True):
    """A stream as the broker has it. `created` tells its incarnations apart."""

    config: dict[str, Any]
    created: str = ""
    state: _State = _State()

    @property
    def is_heavy(self) -> bool:
        """Whether it holds many bytes, or more than half of those that it may."""
        most = int(self.config.get("max_bytes", -1))
        return self.state.bytes > limits.BUS_BATCH_BYTES or 0 < most < 2 * self.state.bytes


class _Page(msgspec.Struct, frozen=True):
    total: int = 0
    limit: int = 0
    streams: list[Held] | None = None
    missing: list[str] | None = None


class Listing(msgspec.Struct, frozen=True):
    """The streams of an account by name. Those that are `away` are on servers of a cluster that do not answer."""

    held: dict[str, Held]
    away: set[str]


class _Stored(msgspec.Struct, frozen=True):
    time: datetime

    @property
    def at(self) -> Instant:
        return from_datetime(self.time)


class _Found(msgspec.Struct, frozen=True):
    message: _Stored


class _Delivered(msgspec.Struct, frozen=True):
    stream_seq: int = 0


class _Consumer(msgspec.Struct, frozen=True):
    delivered: _Delivered = _Delivered()


class _Consumers(msgspec.Struct, frozen=True):
    total: int = 0
    consumers: list[str] | None = None


async def request(client: Client, verb: str, body: Any) -> bytes:
    """Ask the broker's stream API. Raises Rejected with its reason."""
    reply = await client.request(f"$JS.API.{verb}", msgspec.json.encode(body), timeout=_SECONDS)
    problem = msgspec.json.decode(reply.data, type=_Answer).error
    if problem is not None:
        raise Rejected(f"{verb}: {problem.description}", problem.err_code)
    return reply.data


async def listed(client: Client) -> Listing:
    """All streams of an account, page by page."""
    found = Listing({}, set())
    offset, total = 0, 1
    while offset < total:
        page = msgspec.json.decode(await request(client, "STREAM.LIST", {"offset": offset}), type=_Page)
        found.held.update((one.config["name"], one) for one in page.streams or ())
        found.away.update(page.missing or ())
        offset, total = offset + max(1, page.limit), page.total
    return found


async def make(client: Client, config: dict[str, Any]) -> Held:
    """Make a stream, or give one that is there this configuration. Raises Rejected."""
    try:
        reply = await request(client, f"STREAM.CREATE.{config['name']}", config)
    except Rejected as problem:
        if problem.code != _IN_USE:
            raise
        return await update(client, config)
    return msgspec.json.decode(reply, type=Held)


async def update(client: Client, config: dict[str, Any]) -> Held:
    """Give a stream another configuration. Raises Rejected."""
    return msgspec.json.decode(await request(client, f"STREAM.UPDATE.{config['name']}", config), type=Held)


async def remove(client: Client, stream: str) -> None:
    """Remove a stream with all that is in it. Raises Rejected."""
    try:
        await request(client, f"STREAM.DELETE.{stream}", {})
    except Rejected as problem:
        if problem.code != _NOT_FOUND:
            raise


def configured(name: str, replicas: int | None, **config: Any) -> dict[str, Any]:
    """The configuration of a stream, with what all of ours have in common."""
    return {"name": name, "retention": "limits", "storage": "file", "num_replicas": replicas or 1, **config}


async def has_fallen_back(client: Client, held: Held, reached: StreamPosition) -> bool:
    """Whether a stream has gone back to before the last message that was read from it. Raises Rejected.

    It may have passed that number again: then another message is there.
    """
    if held.state.last_seq < reached.sequence:
        return True
    if reached.sequence < held.state.first_seq or not reached.at:
        return False
    at = await _stored_at(client, held, reached.sequence)
    return at is not None and abs(at - reached.at) > 1


async def has(client: Client, held: Held, reached: StreamPosition) -> bool:
    """Whether this very message is in a stream. Raises Rejected."""
    if not reached.at or not held.state.first_seq <= reached.sequence <= held.state.last_seq:
        return False
    at = await _stored_at(client, held, reached.sequence)
    return at is not None and abs(at - reached.at) <= 1


async def _stored_at(client: Client, held: Held, sequence: int) -> Instant | None:
    """When a message was stored; None if it is not there. Raises Rejected."""
    try:
        found = await request(client, f"STREAM.MSG.GET.{held.config['name']}", {"seq": sequence})
    except Rejected as problem:
        if problem.code != _NO_MESSAGE:
            raise
        return None  # what is in the store is removed from the stream
    return msgspec.json.decode(found, type=_Found).message.at


async def read_from(client: Client, stream: str, name: str, sequence: int) -> int:
    """Make a consumer that begins at a message. The reader keeps track of what is read, not the broker.

    Returns the number before that message. Raises StreamLost.
    """
    await _consume(client, stream, name, {"deliver_policy": "by_start_sequence", "opt_start_seq": sequence})
    return sequence - 1


async def read_after(client: Client, stream: str, name: str, at: Instant) -> int:
    """As `read_from`, for what was stored after a time."""
    start = to_datetime(at + 1).isoformat()
    return await _consume(client, stream, name, {"deliver_policy": "by_start_time", "opt_start_time": start})


async def _consume(client: Client, stream: str, name: str, start: dict[str, Any]) -> int:
    """Make a consumer. Returns the number before the first that it reads. Raises StreamLost."""
    # It ends by itself once nobody has asked it for anything for so long.
    consumer = {"name": name, **start, "ack_policy": "none", "inactive_threshold": 60 * NANO, "mem_storage": True}
    try:
        reply = await request(client, f"CONSUMER.CREATE.{stream}.{name}", {"stream_name": stream, "config": consumer})
    except Rejected as problem:
        if problem.code == _NOT_FOUND:
            raise StreamLost from problem
        raise
    return msgspec.json.decode(reply, type=_Consumer).delivered.stream_seq


async def consumers(client: Client, stream: str) -> list[str]:
    """The names of a stream's consumers; none if there is no such stream yet. Raises Rejected."""
    found: list[str] = []
    while True:
        try:
            page = msgspec.json.decode(
                await request(client, f"CONSUMER.NAMES.{stream}", {"offset": len(found)}), type=_Consumers
            )
        except Rejected as problem:
            if problem.code == _NOT_FOUND:
                return []
            raise
        found += page.consumers or []
        if not page.consumers or len(found) >= page.total:
            return found


async def forget_before(client: Client, stream: str, sequence: int) -> None:
    """Remove what the store has by now: all before `sequence`."""
    with contextlib.suppress(Rejected):
        await request(client, f"STREAM.PURGE.{stream}", {"seq": sequence})
