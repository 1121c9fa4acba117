"""The broker's streams: what devices publish until it is in the store, commands, and live data for applications.

In a cluster each may be kept by several servers, its `replicas`. None stands for a broker of ours: one server.
"""

import contextlib
from datetime import datetime
from typing import Any

import msgspec
from nats.aio.client import Client

from fleetroll.bus.links import Rejected
from fleetroll.bus.permissions import COMMANDS, FAMILIES, INGEST, stream_subjects
from fleetroll.core import limits
from fleetroll.core.model import Instant, StreamPosition
from fleetroll.core.times import from_datetime, to_datetime

_SECONDS = 5.0
_NANO = 1_000_000_000
_IN_USE = 10058  # the broker's code for a stream of that name with another configuration
_NOT_FOUND = 10059


class StreamLost(Exception):
    """The broker has lost a stream, as when it was restarted without what it had stored."""


class _Error(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class _State(msgspec.Struct, frozen=True):
    bytes: int = 0
    last_seq: int = 0


class _Info(msgspec.Struct, frozen=True):
    error: _Error | None = None
    created: str = ""
    state: _State = _State()


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


async def prepare_platform(client: Client, room: int | None = None, replicas: int | None = None) -> dict[str, str]:
    """Make the platform's streams as they should be. Returns the incarnation of each.

    Of `room` bytes free on the broker's disk, if that is known, each takes at most its share and refuses more; what it
    holds already stays.
    """
    configs = {name: {**config, **await _bounds(client, name, room)} for name, config in _PLATFORM.items()}
    return {name: await _stream(client, name, config, replicas) for name, config in configs.items()}


async def _bounds(client: Client, name: str, room: int | None) -> dict[str, Any]:
    if room is None:
        return {}
    held = 0
    with contextlib.suppress(Rejected):  # there is none yet
        held = msgspec.json.decode(await request(client, f"STREAM.INFO.{name}", {}), type=_Info).state.bytes
    # A bound below what is there, or is just arriving, would drop the oldest.
    return {"max_bytes": held + max(limits.BUS_LEAST_ROOM, int(room * _SHARES[name])), "discard": "new"}


async def has_fallen_back(client: Client, stream: str, reached: StreamPosition) -> bool:
    """Whether a stream has gone back to before the last message that was read from it. Raises StreamLost.

    It may have passed that number again: then another message is there.
    """
    try:
        info = msgspec.json.decode(await request(client, f"STREAM.INFO.{stream}", {}), type=_Info)
    except Rejected as problem:
        if problem.code == _NOT_FOUND:
            raise StreamLost from problem
        raise
    if info.state.last_seq < reached.sequence:
        return True
    try:
        found = await request(client, f"STREAM.MSG.GET.{stream}", {"seq": reached.sequence})
    except Rejected:  # what is in the store is removed from the stream
        return False
    return abs(msgspec.json.decode(found, type=_Found).message.at - reached.at) > 1 if reached.at else False


async def read_from(client: Client, stream: str, name: str, sequence: int) -> None:
    """Make a new consumer of a stream, from a message on. The reader keeps track of what is read, not the broker.

    Raises StreamLost.
    """
    await _consume(client, stream, name, {"deliver_policy": "by_start_sequence", "opt_start_seq": sequence})


async def read_after(client: Client, stream: str, name: str, at: Instant) -> int:
    """As `read_from`, for what was stored after a time. Returns the number before it."""
    start = to_datetime(at + 1).isoformat()
    return await _consume(client, stream, name, {"deliver_policy": "by_start_time", "opt_start_time": start})


async def _consume(client: Client, stream: str, name: str, start: dict[str, Any]) -> int:
    """Make a consumer. Returns the number before the first that it reads. Raises StreamLost."""
    with contextlib.suppress(Rejected):  # there may be none
        await request(client, f"CONSUMER.DELETE.{stream}.{name}", {})
    consumer = {
        "name": name,
        **start,
        "ack_policy": "none",
        "inactive_threshold": 60 * _NANO,
        "mem_storage": True,
    }
    try:
        reply = await request(client, f"CONSUMER.CREATE.{stream}.{name}", {"stream_name": stream, "config": consumer})
    except Rejected as problem:
        if problem.code == _NOT_FOUND:
            raise StreamLost from problem
        raise
    return msgspec.json.decode(reply, type=_Consumer).delivered.stream_seq


async def prepare_applications(client: Client, org: str, replicas: int | None = None) -> None:
    """Make the streams that the vendor's SDK expects in an account of applications.

    They are bounded by numbers of messages: bytes that each is allowed the broker would reserve, used or not, and some
    hundred organizations would leave no room for anything.
    """
    live = {
        "subjects": stream_subjects(org),
        "storage": "file",
        "max_age": limits.BUS_LIVE_AGE * _NANO,
        "max_msgs": limits.BUS_LIVE_MESSAGES,
        "discard": "old",
    }
    if replicas is None:
        # Live data need not survive a power cut: it is in the registry. A stream with several replicas cannot be
        # asynchronous, and an asynchronous one can get no replicas.
        live["persist_mode"] = "async"
    bucket = {
        "subjects": [f"$KV.{org}.>"],
        "storage": "file",
        "max_msgs_per_subject": 1,
        "max_msgs": limits.BUS_BUCKET_KEYS,
        "max_msg_size": limits.BUS_BUCKET_VALUE,
        "discard": "new",
        "deny_delete": True,
        "allow_rollup_hdrs": True,
        "allow_direct": True,
    }
    await _stream(client, f"{org}_stream", live, replicas)
    await _stream(client, f"KV_{org}", bucket, replicas)


async def request(client: Client, verb: str, body: Any) -> bytes:
    """Ask the broker's stream API. Raises Rejected with its reason."""
    reply = await client.request(f"$JS.API.{verb}", msgspec.json.encode(body), timeout=_SECONDS)
    problem = msgspec.json.decode(reply.data, type=_Info).error
    if problem is not None:
        raise Rejected(f"{verb}: {problem.description}", problem.err_code)
    return reply.data


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


async def _stream(client: Client, name: str, config: dict[str, Any], replicas: int | None) -> str:
    body = {"name": name, "retention": "limits", "num_replicas": replicas or 1, **config}
    try:
        reply = await request(client, f"STREAM.CREATE.{name}", body)
    except Rejected as problem:
        if problem.code != _IN_USE:
            raise
        reply = await request(client, f"STREAM.UPDATE.{name}", body)
    return msgspec.json.decode(reply, type=_Info).created


_SHARES = {INGEST: limits.BUS_INGEST_SHARE, COMMANDS: limits.BUS_COMMANDS_SHARE}
# The broker drops a message whose id (`Nats-Msg-Id`) another one in the stream has had, of whatever tenant, and still
# acknowledges it. This is the shortest time that it can be told to remember ids.
_IDS = {"duplicate_window": _NANO // 10}
_PLATFORM: dict[str, dict[str, Any]] = {
    INGEST: {
        **_IDS,
        "subjects": [f"data.*.*.{family}.*.*" for family in FAMILIES],
        "storage": "file",
        "max_age": limits.BUS_INGEST_AGE * _NANO,
        "max_msg_size": limits.MAX_BUS_MESSAGE,
    },
    COMMANDS: {
        **_IDS,
        "subjects": ["command.*.*.*.*"],
        "storage": "file",
        "max_age": limits.BUS_COMMAND_AGE * _NANO,
        "max_msg_size": limits.MAX_BUS_MESSAGE,
        "max_msgs_per_subject": limits.BUS_QUEUED_COMMANDS,
    },
}
