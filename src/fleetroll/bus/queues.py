"""Devices and their queues of commands, between walls: each is read through the platform, by its own device alone.

What the vendor's SDKs ask of the broker's stream API is asked of us, under the names that they know. A name of a
consumer begins with its device's on the platform, so nobody can take over another's.
"""

import asyncio
import re
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus import commands
from fleetroll.bus.walls import COMMANDS
from fleetroll.core import limits
from fleetroll.core.faults import Fault

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_INBOX = re.compile(r"_INBOX\.([A-Za-z0-9]{1,64})")
_POLICIES = frozenset({"all", "last", "new", "by_start_time"})
_NANO = 1_000_000_000
_GROUP = "fleetroll"


class _Wanted(msgspec.Struct, frozen=True):
    """Of a consumer's configuration, what a device may decide."""

    deliver_subject: str = ""
    deliver_policy: str = "all"
    opt_start_time: str | None = None
    ack_policy: str = "none"


class _Create(msgspec.Struct, frozen=True):
    config: _Wanted
    stream_name: str = ""


class Queues:
    """Answers over a connection as the platform."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self._client.subscribe("consumer.>", _GROUP, cb=self._consumer)
        await self._client.subscribe("account.*", _GROUP, cb=self._account)
        await self._client.subscribe("rpc.>", _GROUP, cb=self._relay)

    async def _relay(self, message: Msg) -> None:
        """A call from an application. It may wait as long as its sender does, beside all others."""
        task = asyncio.ensure_future(self._relayed(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relayed(self, message: Msg) -> None:
        _, _, env, device, name = message.subject.split(".")
        try:
            answer = await commands.ask(self._client, env, device, name, message.data, limits.BUS_LONGEST_CALL)
        except Fault:
            return  # the caller's own patience has ended before
        # Nobody listens: the sender's client knows this by the status that the broker itself would give.
        headers = {"Status": commands.NO_LISTENER} if commands.nobody_listens(answer) else None
        await self._client.publish(message.reply, answer.data, headers=headers)

    async def _account(self, message: Msg) -> None:
        """What a client asks to find out whether there are streams at all."""
        limits_ = {"max_memory": 0, "max_storage": 0, "max_streams": 0, "max_consumers": 0}
        info = {"memory": 0, "storage": 0, "streams": 1, "consumers": 0, "limits": limits_}
        await message.respond(
            msgspec.json.encode({"type": "io.nats.jetstream.api.v1.account_info_response", **info, "api": _NO_API})
        )

    async def _consumer(self, message: Msg) -> None:
        """A device would listen for a command: its consumer is made for it, delivering only to itself."""
        _, org, device, consumer, env, name = message.subject.split(".")
        try:
            given = msgspec.json.decode(message.data, type=_Create)
            config = _consumer_config(given.config, org, device, consumer, env, name)
        except (msgspec.MsgspecError, ValueError):
            await message.respond(msgspec.json.encode({"type": _CREATED, "error": _BAD_REQUEST}))
            return
        body = msgspec.json.encode({"stream_name": COMMANDS, "config": config})
        subject = f"$JS.API.CONSUMER.CREATE.{COMMANDS}.{config['name']}.{config['filter_subject']}"
        reply = await self._client.request(subject, body, timeout=5)
        await message.respond(_as_asked(reply.data, message.data, f"{org}_command_queue", consumer))


_CREATED = "io.nats.jetstream.api.v1.consumer_create_response"
_BAD_REQUEST = {"code": 400, "err_code": 10003, "description": "bad request"}
_NO_API = {"total": 0, "errors": 0}


def _consumer_config(
    wanted: _Wanted, org: str, device: str, consumer: str, env: str, name: str
) -> dict[str, Any]:  # fmt: skip
    """The consumer on the platform. Its name begins with the device, so that nobody can take over another's."""
    inbox = _INBOX.fullmatch(wanted.deliver_subject)
    if inbox is None or wanted.deliver_policy not in _POLICIES or not _NAME.fullmatch(consumer):
        raise ValueError
    start = {"opt_start_time": wanted.opt_start_time} if wanted.deliver_policy == "by_start_time" else {}
    return {
        "name": f"{device}_{consumer}",
        "deliver_subject": f"deliver.{device}.{inbox[1]}",
        "filter_subject": f"command.{org}.{env}.{device}.{name}",
        "deliver_policy": wanted.deliver_policy,
        "ack_policy": "explicit" if wanted.ack_policy != "none" else "none",
        "replay_policy": "instant",
        "inactive_threshold": limits.BUS_CONSUMER_IDLE * _NANO,
        "mem_storage": True,
        **start,
    }


def _as_asked(reply: bytes, request: bytes, stream: str, consumer: str) -> bytes:
    """The broker's reply in the names that the device has used."""
    answer = msgspec.json.decode(reply)
    if "error" not in answer:
        answer |= {"stream_name": stream, "name": consumer, "config": msgspec.json.decode(request)["config"]}
    return msgspec.json.encode(answer)
