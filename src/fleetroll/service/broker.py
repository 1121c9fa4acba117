"""What the broker asks of the service: which accounts there should be, and whose requests and reports these are.

Implements `bus.port.Registry`. Nothing in here is asked by a client: the broker acts for itself.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec import Struct, structs

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
    Reached,
    Request,
)
from fleetroll.core import documents, limits, policy
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.ids import broker_org, parse_broker_group, parse_broker_org, parse_device_hex
from fleetroll.core.messages import Content, content_of, mode_of, shown
from fleetroll.core.model import Credential, Device, Instant, KnownAs, Link, NewEvent, Protocol
from fleetroll.core.policy import Action, Role
from fleetroll.core.query import Place
from fleetroll.core.times import HOUR, MILLISECOND, SECOND
from fleetroll.service import presence, telemetry
from fleetroll.service.authorities import certify_server
from fleetroll.service.devices import MOVED, known_by_id
from fleetroll.service.keyring import is_enabled
from fleetroll.service.live_readings import Live, Told
from fleetroll.service.operations import Services
from fleetroll.service.telemetry import Arrival
from fleetroll.store.port import AccountChange, Records

REPORTED = {"events": "device.event", "logs": "device.log", "commands": "device.command"}
"""The timeline's word for each family of messages but telemetry."""

REFUSED = {
    "telemetry": "device.reading_refused",
    "events": "device.event_refused",
    "logs": "device.log_refused",
}
"""The timeline's word for what cannot be kept. What applications send is for the device, and so not refused."""

TELEMETRY, LOGS = "telemetry", "logs"
_REQUEST = "broker"
_SERVER = "server"
_PAGE = 1_000
_AT_ONCE = 500
_CUT_OFF = SECOND  # within which a device's connections end with its credentials
_ROLES = {role.value: role for role in policy.GRANTABLE}
_pack = msgspec.msgpack.Encoder().encode

Answer = Callable[[Request], Awaitable[bytes]]


class Registry:
    """Speaks for `services`; `respond` answers requests."""

    def __init__(self, services: Services, respond: Answer) -> None:
        self._services = services
        self._respond = respond

    async def answer(self, request: Request) -> bytes:
        return await self._respond(request)

    # --- accounts ------------------------------------------------------------------------------------------------

    async def accounts(self) -> list[Account]:
        records = self._services.store.bulk
        standing = _Standing(records)
        groups = await records.keys.groups_of_users()
        alike = dict.fromkeys((*groups, *((org, role, ()) for org, role, _ in groups)))
        apps = [await _apps(records, standing, *group) for group in alike]
        found: list[Account] = [*apps]
        after = 0
        while page := await records.credentials.all(after, _PAGE):
            found += [_account(one) for one in page if await standing.is_enabled(one.org)]
            after = page[-1].id
        return found

    async def changes(self) -> list[Change]:
        records = self._services.store.read
        standing = _Standing(records)
        return [await self._change(standing, change) for change in await records.credentials.changes(0, _PAGE)]

    async def _change(self, standing: "_Standing", change: AccountChange) -> Change:
        records = self._services.store.read
        name, scopes = parse_broker_group(change.account)
        if role := _ROLES.get(name):
            public = self._services.bus.account_of_apps(broker_org(change.org), role.value, scopes)
            is_there = await records.organizations.get(change.org) is not None
            apps = await _apps(records, standing, change.org, role, scopes) if is_there else None
            return Change(change.number, public, apps)
        credential = await records.credentials.of_account(change.account)
        is_there = credential is not None and await standing.is_enabled(credential.org)
        return Change(change.number, change.account, _account(credential) if credential and is_there else None)

    async def settled(self, numbers: Sequence[int]) -> None:
        await self._services.store.write(lambda records: records.credentials.settle(numbers))

    async def has(self, org: str, device: str) -> bool:
        number = parse_broker_org(org)
        return number is not None and await known_by_id(self._services.store.read, number, device) is not None

    async def certify(self, names: Sequence[str]) -> Certificate:
        shown = await certify_server(self._services, names)
        return Certificate(shown.chain, shown.key, shown.password)

    # --- what is published ---------------------------------------------------------------------------------------

    async def ingested(self, stream: str) -> Reached:
        progress = self._services.store.read.progress
        return Reached(await progress.get(stream), await progress.get(_times_of(stream)))

    async def rewind(self, stream: str, place: int) -> None:
        await self._services.store.write(lambda records: records.progress.put(stream, place))

    async def ingest(self, batch: Batch) -> list[Message]:
        at, live = self._services.clock(), self._services.live

        async def work(records: Records) -> _Ingested:
            return await _ingest(records, live, batch, at)

        done = await self._services.store.write(work, bulk=True)
        await live.tell(done.told)
        return done.heard

    # --- presence ------------------------------------------------------------------------------------------------

    async def present(self, changes: Sequence[ConnectionChange]) -> list[Announcement]:
        at = self._services.clock()

        async def work(records: Records) -> list[Announcement]:
            told = [await _changed(records, change, at) for change in changes]
            return [one for one in told if one is not None]

        return await self._services.store.write(work)

    async def connected(self, connections: Sequence[Connection]) -> list[Announcement]:
        known = {(link.org, link.device, link.name) for link in await _links(self._services.store.bulk)}
        there = await self._identified(connections)
        gone = [Link(*one) for one in known - there.keys()]
        come = [ConnectionChange(there[one], connected=True) for one in there.keys() - known]
        told: list[Announcement] = []
        for first in range(0, len(gone), _AT_ONCE):
            told += await self._parted(gone[first : first + _AT_ONCE])
        for first in range(0, len(come), _AT_ONCE):
            told += await self.present(come[first : first + _AT_ONCE])
        return told

    async def _identified(self, connections: Sequence[Connection]) -> dict[tuple[int, int, str], Connection]:
        found = {}
        for one in connections:
            credential = await self._services.store.read.credentials.of_account(one.account)
            if credential is not None:
                found[credential.org, credential.device, one.name] = one
        return found

    async def _parted(self, links: Sequence[Link]) -> list[Announcement]:
        at = self._services.clock()

        async def work(records: Records) -> list[Announcement]:
            told = [await _part(records, link, at) for link in links]
            return [one for one in told if one is not None]

        return await self._services.store.write(work, bulk=True)


class _Standing:
    """Which organizations are enabled, each looked up once."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._known: dict[int, bool] = {}

    async def is_enabled(self, org: int) -> bool:
        if org not in self._known:
            found = await self._records.organizations.get(org)
            self._known[org] = found is not None and await is_enabled(self._records, found)
        return self._known[org]


def _account(credential: Credential) -> DeviceAccount:
    mqtt = credential.kind is Protocol.MQTT
    return DeviceAccount(credential.account, broker_org(credential.org), credential.public_id, mqtt)


async def _apps(
    records: Records, standing: _Standing, org: int, role: Role, scopes: tuple[str, ...] = ()
) -> AppAccount:
    """The account of a role and scopes, with whoever is revoked of the role: that without scopes once had them all."""
    users = await records.keys.users(org, role)
    revoked = frozenset(one.user for one in users if one.revoked_at is not None)
    may_command, may_follow = (policy.allows(role, scopes, one) for one in (Action.DEVICES_WRITE, Action.DEVICES_READ))
    disabled = not await standing.is_enabled(org)
    return AppAccount(broker_org(org), role.value, may_command, revoked, disabled, scopes, may_follow)


# --- what is published -----------------------------------------------------------------------------------------------


class _Read(Struct, frozen=True):
    """A message, and what is in it or why that cannot be kept."""

    message: Message
    content: Content | Fault


class _Ingested(Struct, frozen=True):
    """Readings to be told to those who follow them here, and messages as applications on the broker can read them."""

    told: list[Told]
    heard: list[Message]


async def _ingest(records: Records, live: Live, batch: Batch, at: Instant) -> _Ingested:
    """In the order in which it came. What is nobody's, or no report at all, is left out."""
    reached = await records.progress.get(batch.stream)
    if batch.messages[-1].place <= reached:
        return _Ingested([], [])
    read = [_read(message) for message in batch.messages if message.place > reached and _is_named(message)]
    taken = await _take_readings(records, [one for one in read if one.message.family == TELEMETRY], at)
    await _take_events(records, [one for one in read if one.message.family != TELEMETRY], at)
    await records.progress.put(batch.stream, batch.messages[-1].place)
    await records.progress.put(_times_of(batch.stream), batch.messages[-1].at)
    orgs = {one.org for one in taken}
    told = [told for org in orgs if live.wants(org) for told in await _told(records, org, taken)]
    return _Ingested(told, [heard for one in read if (heard := _heard(one)) is not None])


def _times_of(stream: str) -> str:
    """Under which the progress in a stream is kept by the broker's clock."""
    return f"{stream} at"


def _read(message: Message) -> _Read:
    try:
        return _Read(message, content_of(message.body, is_log=message.family == LOGS))
    except Fault as fault:
        return _Read(message, fault)


def _heard(one: _Read) -> Message | None:
    """What a device has published, in the vendor's form. What its clients cannot read they have sent again and again,
    and after a thousand of such they hear nothing.
    """
    message, content = one.message, one.content
    if isinstance(content, Fault) or message.family not in REFUSED:
        return None
    level = message.name if message.family == LOGS else None
    return structs.replace(message, body=shown(content, message.at, level=level))


def _is_named(message: Message) -> bool:
    """Whether the words that a client chooses of its subject can be kept: they may be any bytes, some thousands."""
    return all(len(word) <= limits.MAX_NAME and "\0" not in word for word in (message.env, message.name))


class _Homes:
    """Where devices are that were given away while something that they had published was on its way."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._known: dict[tuple[str, str], tuple[int, Instant] | None] = {}  # and when their connections had ended

    async def of(self, message: Message) -> int | None:
        """The organization that has the device, and so has the message; None where it is of no other than it names."""
        name = message.org, message.device
        if name not in self._known:
            self._known[name] = await self._look(message)
        known = self._known[name]
        return known[0] if known is not None and message.at <= known[1] else None

    async def device(self, message: Message) -> Device | None:
        home = await self.of(message)
        return None if home is None else await known_by_id(self._records, home, message.device)

    async def _look(self, message: Message) -> tuple[int, Instant] | None:
        org, number = parse_broker_org(message.org), parse_device_hex(message.device)
        held = await self._records.devices.token(number) if number is not None else None
        if org is None or number is None or held is None:
            return None
        moved, _ = await self._records.timeline.of_types(org, "device", number, [MOVED], Place(1))
        return (held[0], moved[0].at + _CUT_OFF) if moved else None


async def _take_events(records: Records, read: Sequence[_Read], at: Instant) -> None:
    homes = _Homes(records)
    known: dict[tuple[str, str], Device | None] = {}
    events = []
    for one in read:
        message = one.message
        name = message.org, message.device
        if name not in known:
            known[name] = await _device(records, message)
        device = known[name] or await homes.device(message)
        if device is None:
            continue
        event = _event(device, one, at)
        if isinstance(event, NewEvent):
            events.append(event)
        elif message.family in REFUSED:
            await _note(records, device.org, device.id, message, event, at)
        else:
            events.append(_unshown(device, message, event, at))
    if events:
        await records.timeline.append(events)


async def _device(records: Records, message: Message) -> Device | None:
    org = parse_broker_org(message.org)
    return None if org is None else await known_by_id(records, org, message.device)


def _event(device: Device, one: _Read, at: Instant) -> NewEvent | Fault:
    message, content = one.message, one.content
    if isinstance(content, Fault):
        return content
    try:
        data = documents.of({"name": message.name, "value": content.value, "env": message.env}, "value")
    except Fault as fault:
        return fault
    return _said(device, message, data, content.at if content.at is not None else message.at, at)


def _unshown(device: Device, message: Message, fault: Fault, at: Instant) -> NewEvent:
    """A command as it went to its device, but for what it said, which cannot be kept."""
    data = msgspec.json.encode({"name": message.name, "value": None, "env": message.env, "code": fault.code})
    return _said(device, message, msgspec.Raw(data), message.at, at)


def _said(device: Device, message: Message, data: documents.Document, said_at: Instant, at: Instant) -> NewEvent:
    type = REPORTED[message.family]
    actor = "application" if message.family == "commands" else f"device:{device.id}"
    return NewEvent(device.org, at, type, "device", device.id, device.ident, actor, _REQUEST, data, said_at)


async def _take_readings(records: Records, read: Sequence[_Read], at: Instant) -> list[Arrival]:
    """Answers those that were stored."""
    arrivals, messages = [], []
    for one in read:
        if isinstance(one.content, Fault):
            await _note_unread(records, one.message, one.content, at)
        elif (arrival := _arrival(one.message, one.content)) is not None:
            arrivals.append(arrival)
            messages.append(one.message)
    if not arrivals:
        return []
    faults = await telemetry.ingest(records, arrivals, at, _REQUEST)
    followed = await _followed(records, messages, arrivals, faults)
    again = await telemetry.ingest(records, list(followed.values()), at, _REQUEST)
    for (place, arrival), fault in zip(followed.items(), again, strict=True):
        arrivals[place], faults[place] = arrival, fault
    for message, arrival, fault in zip(messages, arrivals, faults, strict=True):
        if fault is not None:
            await _note(records, arrival.org, arrival.device, message, fault, at)
    return [arrival for arrival, fault in zip(arrivals, faults, strict=True) if fault is None]


async def _followed(
    records: Records, messages: Sequence[Message], arrivals: Sequence[Arrival], faults: Sequence[Fault | None]
) -> dict[int, Arrival]:
    """By their places, the readings of devices that were given away, for the organizations that have these."""
    homes = _Homes(records)
    found = {}
    for place, fault in enumerate(faults):
        if fault is not None and fault.kind is Kind.NOT_FOUND:
            home = await homes.of(messages[place])
            if home is not None:
                found[place] = structs.replace(arrivals[place], org=home)
    return found


async def _told(records: Records, org: int, taken: Sequence[Arrival]) -> list[Told]:
    own = [one for one in taken if one.org == org]
    named = await records.presence.reporters(org, {one.device for one in own})
    return [Told(org, one.device, named[one.device].ident, one.metric, one.at, one.value) for one in own]


def _arrival(message: Message, content: Content) -> Arrival | None:
    """None for what is nobody's."""
    org, device = parse_broker_org(message.org), parse_device_hex(message.device)
    if org is None or device is None:
        return None
    at = message.at if content.at is None else content.at
    return Arrival(org, device, message.name, content.value, at, mode_of(message.env))


async def _note_unread(records: Records, message: Message, fault: Fault, at: Instant) -> None:
    device = await _device(records, message)
    if device is not None:
        await _note(records, device.org, device.id, message, fault, at)


async def _note(records: Records, org: int, number: int, message: Message, fault: Fault, at: Instant) -> None:
    """Say in the timeline that reports of a name are refused, once an hour: a device may send the same for ever.

    Of a device that is not there any more nothing is left behind, and so nothing noted.
    """
    if fault.kind is Kind.NOT_FOUND:
        return
    family, called = message.family, "metric" if message.family == TELEMETRY else "name"
    if not await records.usage.add_today(org, number, f"refused {family} {message.name}", at // HOUR, 1):
        return
    device = await records.devices.by_id(org, number)
    if device is not None:
        said = {called: message.name, "code": fault.code, "message": fault.message}
        data = msgspec.Raw(msgspec.json.encode(said))
        entry = NewEvent(org, at, REFUSED[family], "device", device.id, device.ident, _SERVER, _REQUEST, data)
        await records.timeline.append([entry])


# --- presence --------------------------------------------------------------------------------------------------------


async def _links(records: Records) -> list[Link]:
    found: list[Link] = []
    while page := await records.presence.links(found[-1] if found else None, _PAGE):
        found += page
    return found


async def _changed(records: Records, change: ConnectionChange, at: Instant) -> Announcement | None:
    """What applications are told of a connection that was made or has ended: of a device's first, and of its last.

    That the device also speaks for itself is nothing to them: theirs is the broker.
    """
    credential = await records.credentials.of_account(change.connection.account)
    if credential is None:
        return None
    link = Link(credential.org, credential.device, change.connection.name)
    if not change.connected:
        return await _part(records, link, at)
    if not await presence.opened(records, link, at, _REQUEST):
        return None
    device = await records.devices.by_id(link.org, link.device)
    return _announcement(link.org, presence.known_as(device), at, "connected") if device is not None else None


async def _part(records: Records, link: Link, at: Instant) -> Announcement | None:
    left = await records.presence.left(link)
    if not await presence.closed(records, link, at, _REQUEST):
        return None
    device = await records.devices.by_id(link.org, link.device) if left is None else None
    known = presence.known_as(device) if device is not None else left
    return _announcement(link.org, known, at, "disconnected") if known is not None else None


def _announcement(org: int, known: KnownAs, at: Instant, event: str) -> Announcement:
    """In the vendor's words, which only its SDKs read."""
    times = {"start" if event == "connected" else "stop": at // MILLISECOND}
    body = _pack({"device_ident": known.ident, "event": event, "data": times})
    return Announcement(broker_org(org), known.env, known.public_id, body)
