"""Devices' queues of commands, between accounts: each is read through the platform, by its own device alone.

What the vendor's SDKs ask of the broker's stream API comes to us, under the names that they know. Only messages are
asked of the broker itself, and acknowledged to it: it lets no client forward such a request, not even us. The broker
cannot tell from part of a name whose consumer it is, so a name must be one that nobody can guess: we choose it, and
tell it to its device alone. Any account can use it, so a consumer ends with the credential that it was made with.
"""

import asyncio
import base64
import contextlib
import hashlib
import re
import secrets
from collections.abc import Collection
from functools import partial
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus import commands, links, streams
from fleetroll.bus.consumers import Consumers
from fleetroll.bus.permissions import COMMANDS, Authority
from fleetroll.bus.port import Registry
from fleetroll.bus.replies import Replies
from fleetroll.bus.rooms import TOO_MANY, Room
from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_INBOX = re.compile(r"_INBOX\.([A-Za-z0-9]{1,64})")
_POLICIES = frozenset({"all", "last", "new", "by_start_time", "by_start_sequence"})
_GROUP = "fleetroll"
_CREATED = "io.nats.jetstream.api.v1.consumer_create_response"
_BAD_REQUEST = {"code": 400, "err_code": 10003, "description": "bad request"}
_TOO_MANY_CONSUMERS = {"code": 400, "err_code": 10026, "description": "maximum consumers limit reached"}
_ENDED = f"$JS.EVENT.ADVISORY.CONSUMER.DELETED.{COMMANDS}.*"
_AWAY = msgspec.json.encode(
    {"error": {"code": 503, "err_code": 10008, "description": "JetStream system temporarily unavailable"}}
)
_REPLY_SECONDS = 4.0  # clients wait for five
_NO_API = {"total": 0, "errors": 0}
_SECRET_BYTES, _SECRET_LENGTH = 16, 22  # the length in base64
_MARK_BYTES, _MARK_LENGTH = 6, 8  # likewise
_ENDED_AT_ONCE = 64
_NEVER = "0001-01-01T00:00:00Z"


class _Wanted(msgspec.Struct, frozen=True):
    """What a device may decide of a consumer's configuration. One without `deliver_subject` is a pull consumer."""

    deliver_subject: str = ""
    deliver_policy: str = "all"
    opt_start_time: str | None = None
    opt_start_seq: int | None = None
    ack_policy: str = "none"


class _Create(msgspec.Struct, frozen=True):
    config: _Wanted
    stream_name: str = ""


class Queues:
    """Answers over a connection as the platform."""

    def __init__(self, client: Client, authority: Authority, registry: Registry, replies: Replies) -> None:
        self._client = client
        self._authority = authority
        self._registry = registry
        self._replies = replies
        self._asking = asyncio.Semaphore(limits.BUS_QUESTIONS)
        self._consumers = Consumers()
        # Two rooms: calls wait for a device, questions perhaps for a broker that has lost them.
        self._questions = Room("questions about commands", replies, (_AWAY, None), _tenant)
        self._calls = Room("calls", replies, TOO_MANY, _tenant)

    async def start(self) -> None:
        served = {
            "consumer.>": partial(self._questions.admit, self._consumer),
            "queue.>": partial(self._questions.admit, self._queue),
            "account.*": partial(self._questions.admit, self._account),
            "rpc.>": partial(self._calls.admit, self._relay),
        }
        await self._client.subscribe(_ENDED, cb=self._note_end)
        for subject, answer in served.items():
            await self._client.subscribe(subject, _GROUP, cb=answer)

    async def end(self, accounts: Collection[str]) -> None:
        """Remove the consumers whose names were told to accounts that are gone. Raises links.FAILURE."""
        marks = {_mark(account) for account in accounts}
        issued = [name for name in await streams.consumers(self._client, COMMANDS) if _mark_of(name) in marks]
        for first in range(0, len(issued), _ENDED_AT_ONCE):
            await asyncio.gather(*map(self._end, issued[first : first + _ENDED_AT_ONCE]))

    async def _end(self, name: str) -> None:
        with contextlib.suppress(links.Rejected):  # it has ended by itself
            await streams.request(self._client, f"CONSUMER.DELETE.{COMMANDS}.{name}", {})

    def forget_consumers(self) -> None:
        """The broker was away: it may have told nobody which consumers have ended."""
        self._consumers.clear()

    async def _note_end(self, message: Msg) -> None:
        self._consumers.remove(message.subject.rpartition(".")[2])

    async def _ask(self, subject: str, body: bytes) -> bytes:
        """The broker's answer about streams; if it gives none, an error in its own form."""
        try:
            async with self._asking:
                return (await self._client.request(subject, body, timeout=_REPLY_SECONDS)).data
        except links.TROUBLE:
            return _AWAY

    async def _relay(self, message: Msg) -> None:
        """A call from an application. It may wait as long as its sender does."""
        try:
            answer = await self._called(message)
        except Fault as fault:
            if fault.kind is not Kind.UNAVAILABLE:
                return  # the caller has given up by then
            answer = None
        if answer is None or commands.nobody_listens(answer):
            await self._replies.send(message.reply, b"", {"Status": commands.NO_LISTENER})
        else:
            await self._replies.send(message.reply, answer.data)

    async def _called(self, message: Msg) -> Msg | None:
        """The reply to a call; None where the device is not the organization's."""
        _, org, env, device, name = message.subject.split(".")
        # The sender's account shows which organization asks; the device that it names may be another's.
        if not await self._registry.has(org, device):
            return None
        return await commands.ask(self._client, env, device, name, message.data, limits.BUS_LONGEST_CALL)

    async def _account(self, message: Msg) -> None:
        """Answer a client that asks whether there are streams at all."""
        bounds = dict.fromkeys(("max_memory", "max_storage", "max_streams", "max_consumers"), 0)
        info = {"memory": 0, "storage": 0, "streams": 1, "consumers": 0, "limits": bounds}
        await self._replies.send(
            message.reply,
            msgspec.json.encode({"type": "io.nats.jetstream.api.v1.account_info_response", **info, "api": _NO_API}),
        )

    async def _consumer(self, message: Msg) -> None:
        """A device wants to listen for a command: make its consumer, which delivers to it alone."""
        _, org, device, consumer, env, command = message.subject.split(".")
        try:
            # All of it is decoded, not only what counts: the reply repeats it.
            requested = msgspec.json.decode(message.data)
            given = msgspec.convert(requested, _Create)
            name = self._name(given.config, device, consumer, links.sender(message).acc)
            config = {"name": name, **_config(given.config, f"command.{org}.{env}.{device}.{command}", device)}
        except (msgspec.MsgspecError, ValueError, RecursionError):
            await self._replies.send(message.reply, msgspec.json.encode({"type": _CREATED, "error": _BAD_REQUEST}))
            return
        reply = await self._make(org, device, config)
        name_shown = consumer if given.config.deliver_subject else name
        await self._replies.send(
            message.reply, _as_requested(reply, f"{org}_command_queue", name_shown, requested["config"])
        )

    async def _make(self, org: str, device: str, config: dict[str, Any]) -> bytes:
        """The broker's answer. It bounds only the consumers of all together; those of each are bounded here."""
        name = config["name"]
        is_new = name not in self._consumers
        if not self._consumers.add(org, device, name):
            return msgspec.json.encode({"type": _CREATED, "error": _TOO_MANY_CONSUMERS})
        subject = f"$JS.API.CONSUMER.CREATE.{COMMANDS}.{name}.{config['filter_subject']}"
        reply = await self._ask(subject, msgspec.json.encode({"stream_name": COMMANDS, "config": config}))
        if is_new and "error" in msgspec.json.decode(reply):
            self._consumers.remove(name)
        return reply

    def _name(self, wanted: _Wanted, device: str, consumer: str, account: str) -> str:
        """The name of the consumer on the platform. Raises ValueError."""
        if not _NAME.fullmatch(consumer):
            raise ValueError
        of_device = f"{device}_{consumer}"
        if wanted.deliver_subject:
            return self._authority.consumer(of_device)
        # The device is told this name, and whoever knows it can read: so no other consumer ever has the same.
        return f"{of_device}_{_mark(account)}{secrets.token_urlsafe(_SECRET_BYTES)}"

    async def _queue(self, message: Msg) -> None:
        """Another question about a device's own consumer, or about the stream that it believes to be its own."""
        _, org, device, verb, consumer = message.subject.split(".")
        stream, own = f"{org}_command_queue", f"{device}_"
        name = consumer if consumer.startswith(own) else self._authority.consumer(own + consumer)
        if not _NAME.fullmatch(consumer):
            await self._replies.send(message.reply, msgspec.json.encode({"error": _BAD_REQUEST}))
        elif verb == "stream":
            await self._replies.send(message.reply, msgspec.json.encode(_stream_info(org, stream)))
        else:
            subject = f"$JS.API.CONSUMER.{verb.upper()}.{COMMANDS}.{name}"
            reply = await self._ask(subject, b"")
            await self._replies.send(message.reply, _as_requested(reply, stream, consumer))


def _tenant(message: Msg) -> str:
    """The organization that a subject names, or the device if it names none."""
    return message.subject.split(".")[1]


def _mark(account: str) -> str:
    """What marks the names that were told to an account."""
    return base64.urlsafe_b64encode(hashlib.blake2b(account.encode(), digest_size=_MARK_BYTES).digest()).decode()


def _mark_of(name: str) -> str:
    return name[-_SECRET_LENGTH - _MARK_LENGTH : -_SECRET_LENGTH]


def _config(wanted: _Wanted, filter_subject: str, device: str) -> dict[str, Any]:
    """The consumer on the platform, without its name. Raises ValueError."""
    if wanted.deliver_policy not in _POLICIES:
        raise ValueError
    return {
        "filter_subject": filter_subject,
        "deliver_policy": wanted.deliver_policy,
        "ack_policy": "explicit" if wanted.ack_policy != "none" else "none",
        "replay_policy": "instant",
        "inactive_threshold": limits.BUS_CONSUMER_IDLE * streams.NANO,
        "mem_storage": True,
        **_delivery(wanted, device),
        **_start(wanted),
    }


def _delivery(wanted: _Wanted, device: str) -> dict[str, Any]:
    if not wanted.deliver_subject:
        return {}
    inbox = _INBOX.fullmatch(wanted.deliver_subject)
    if inbox is None:
        raise ValueError
    return {"deliver_subject": f"deliver.{device}.{inbox[1]}"}


def _start(wanted: _Wanted) -> dict[str, Any]:
    given = {"by_start_time": "opt_start_time", "by_start_sequence": "opt_start_seq"}.get(wanted.deliver_policy)
    return {} if given is None else {given: getattr(wanted, given)}


def _as_requested(reply: bytes, stream: str, consumer: str, config: dict[str, Any] | None = None) -> bytes:
    """The broker's reply in the names that the device knows."""
    answer = msgspec.json.decode(reply)
    if "stream_name" in answer:
        answer |= {"stream_name": stream, "name": consumer, "config": config or {"name": consumer}}
    return msgspec.json.encode(answer)


def _stream_info(org: str, stream: str) -> dict[str, Any]:
    """What the stream of an organization's commands would be, if each had one. It tells no numbers."""
    config = {"name": stream, "subjects": [f"{org}.*.command.queue.>"], "retention": "limits", "storage": "file"}
    state = dict.fromkeys(("messages", "bytes", "first_seq", "last_seq", "consumer_count"), 0)
    return {
        "type": "io.nats.jetstream.api.v1.stream_info_response",
        "config": {**config, "num_replicas": 1, "max_msgs_per_subject": limits.BUS_QUEUED_COMMANDS},
        "state": {**state, "first_ts": _NEVER, "last_ts": _NEVER},
        "created": _NEVER,
    }
