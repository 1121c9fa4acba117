"""The reference store: `store.port` in plain dictionaries, written from the port's own words and from nothing else.

Every engine is compared with it. Filters mean what `core.query.matches` says. A transaction works on the tables
themselves, and a raise puts back the copies that were taken before it.
"""

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct, field, structs

from fleetroll.core import limits, readings
from fleetroll.core.certificates import Authority, Certificate, Edition, Reason, Revocation, Tally
from fleetroll.core.dms import Dms
from fleetroll.core.faults import conflict, page_too_large
from fleetroll.core.fields import canonical, reader, sort_value
from fleetroll.core.ids import broker_groups
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import (
    DEFAULT_COHORT,
    Bucket,
    Cohort,
    Counts,
    Credential,
    Device,
    Event,
    Group,
    HardwareVersion,
    Instant,
    Key,
    KeyKind,
    KnownAs,
    Link,
    MetadataField,
    NewDevice,
    NewEvent,
    Organization,
    Owner,
    Reading,
    Reporter,
    SeriesKey,
    SoftwareVersion,
    Span,
    StreamPosition,
    Tag,
    Template,
)
from fleetroll.core.names import identity_key
from fleetroll.core.policy import Role
from fleetroll.core.query import Filter, OffsetPage, Page, Slice, Sort, matches
from fleetroll.store import port
from fleetroll.store.port import (
    AccountChange,
    AuthorityCertificate,
    DeviceRef,
    Draft,
    Identity,
    KeyGroup,
    KeyUser,
    Mailbox,
    Purged,
    R,
    Replay,
    TokenOwner,
)

T = TypeVar("T")
LIFE = ("device.identity_changed", "device.decommissioned")


class StoredKey(Struct, frozen=True):
    """A key with what identifies it."""

    key: Key
    prefix: str
    digest: str


class StoredReading(Struct, frozen=True):
    """A reading with its tenant."""

    org: int
    reading: Reading


class Tables(Struct):
    """All there is, each record by its number. `given` holds the highest number of each table, so none is reused."""

    organizations: dict[int, Organization] = field(default_factory=dict)
    keys: dict[int, StoredKey] = field(default_factory=dict)
    tokens: dict[str, tuple[int, bool]] = field(default_factory=dict)
    devices: dict[int, Device] = field(default_factory=dict)
    owners: dict[int, Owner] = field(default_factory=dict)
    tags: dict[int, Tag] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    metadata_fields: dict[int, MetadataField] = field(default_factory=dict)
    dms: dict[int, Dms] = field(default_factory=dict)
    authorities: dict[int, Authority] = field(default_factory=dict)
    editions: dict[int, Edition] = field(default_factory=dict)
    certificates: dict[int, Certificate] = field(default_factory=dict)
    revocations: dict[int, Certificate] = field(default_factory=dict)
    templates: dict[int, Template] = field(default_factory=dict)
    cohorts: dict[int, Cohort] = field(default_factory=dict)
    hardware_versions: dict[int, HardwareVersion] = field(default_factory=dict)
    software_versions: dict[int, SoftwareVersion] = field(default_factory=dict)
    mailboxes: dict[int, Mailbox] = field(default_factory=dict)
    chunks: dict[str, tuple[int, int, int, int, bytes]] = field(default_factory=dict)
    timeline: dict[int, Event] = field(default_factory=dict)
    readings: dict[str, dict[int, StoredReading]] = field(default_factory=dict)
    forgotten: dict[str, int] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    linked_since: dict[str, int] = field(default_factory=dict)
    left: dict[str, KnownAs] = field(default_factory=dict)
    linked: dict[int, bool] = field(default_factory=dict)
    today: dict[str, tuple[int, int]] = field(default_factory=dict)
    credentials: dict[int, Credential] = field(default_factory=dict)
    account_changes: dict[int, AccountChange] = field(default_factory=dict)
    progress: dict[str, StreamPosition] = field(default_factory=dict)
    usage: dict[int, dict[str, int]] = field(default_factory=dict)
    replays: dict[str, Replay] = field(default_factory=dict)
    leases: dict[str, port.Lease] = field(default_factory=dict)
    server_key: dict[int, str] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)

    def number(self, table: str) -> int:
        self.given[table] = self.given.get(table, 0) + 1
        return self.given[table]

    def copies(self) -> dict[str, dict[Any, Any]]:
        # Records are frozen and inner dictionaries are replaced, never changed, so one level is enough.
        return {name: dict(getattr(self, name)) for name in self.__struct_fields__}

    def restore(self, copies: dict[str, dict[Any, Any]]) -> None:
        for name, table in copies.items():
            setattr(self, name, table)


class Organizations:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, org: int) -> Organization | None:
        return self._tables.organizations.get(org)

    async def child(self, org: int, slug: str) -> Organization | None:
        return next((one for one in self._below(org) if one.slug == slug), None)

    async def children(self, org: int, after: str, limit: int) -> list[Organization]:
        found = sorted(self._below(org), key=lambda one: one.slug)
        return [one for one in found if one.slug > after][:limit]

    async def children_at(self, org: int, limit: int, skip: int) -> list[Organization]:
        return sorted(self._below(org), key=lambda one: one.id)[skip:][:limit]

    async def names_below(self, org: int) -> list[tuple[int, str]]:
        return [(one.id, one.name) for _, one in sorted(self._tables.organizations.items()) if org in one.lineage]

    async def insert(self, new: Organization) -> Organization | None:
        if any(one.parent == new.parent and one.slug == new.slug for one in self._tables.organizations.values()):
            return None
        number = self._tables.number("organizations")
        stored = structs.replace(new, id=number, lineage=(*new.lineage[:-1], number))
        self._tables.organizations[number] = stored
        return stored

    async def replace(self, changed: Organization) -> bool:
        return _replace(self._tables.organizations, changed)

    async def delete(self, org: int) -> None:
        tables = self._tables
        tables.organizations.pop(org, None)
        tables.usage.pop(org, None)
        tables.tokens = {name: one for name, one in tables.tokens.items() if not name.startswith(f"{org} ")}
        tables.keys = {number: one for number, one in tables.keys.items() if one.key.org != org}
        tables.timeline = {number: event for number, event in tables.timeline.items() if event.org != org}
        for named in (
            tables.cohorts,
            tables.tags,
            tables.hardware_versions,
            tables.software_versions,
            tables.owners,
            tables.templates,
        ):
            for number in [number for number, one in named.items() if one.org == org]:
                del named[number]

    def _below(self, org: int) -> list[Organization]:
        return [one for one in self._tables.organizations.values() if one.parent == org]


class Keys:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def identify(self, prefix: str) -> Identity | None:
        for one in self._tables.keys.values():
            if one.prefix == prefix and (org := self._tables.organizations.get(one.key.org)):
                return Identity(one.key, one.digest, org)
        return None

    async def get(self, org: int, key: int) -> Key | None:
        found = self._tables.keys.get(key)
        return found.key if found and found.key.org == org else None

    async def page(self, org: int, after: int, limit: int) -> list[Key]:
        found = [one.key for number, one in sorted(self._tables.keys.items()) if number > after]
        return [key for key in found if key.org == org][:limit]

    async def insert(self, new: Key, prefix: str, digest: str) -> Key:
        stored = structs.replace(new, id=self._tables.number("keys"))
        self._tables.keys[stored.id] = StoredKey(stored, prefix, digest)
        return stored

    async def revoke(self, org: int, key: int, at: Instant) -> bool:
        found = await self.get(org, key)
        if found is None or found.revoked_at is not None:
            return False
        self._change(key, revoked_at=at)
        return True

    async def touch(self, used: Mapping[int, Instant]) -> None:
        for key, at in used.items():
            known = self._tables.keys.get(key)
            if known and (known.key.last_used_at is None or known.key.last_used_at < at):
                self._change(key, last_used_at=at)

    async def users(self, org: int, role: Role) -> list[KeyUser]:
        found = [one for one in self._presented() if (one.key.org, one.key.role) == (org, role)]
        return [KeyUser(one.prefix, one.key.created_at, one.key.revoked_at) for one in found]

    async def valid_groups(self, org: int, at: Instant) -> list[KeyGroup]:
        found = [one.key for one in self._presented() if one.key.org == org and one.key.revoked_at is None]
        valid = [key for key in found if key.expires_at is None or key.expires_at > at]
        return list({KeyGroup(org, key.role, key.scopes): None for key in valid})

    async def groups_of_users(self) -> list[KeyGroup]:
        return list({KeyGroup(one.key.org, one.key.role, one.key.scopes): None for one in self._presented()})

    def _presented(self) -> list[StoredKey]:
        return [one for _, one in sorted(self._tables.keys.items()) if one.key.kind is KeyKind.NATS]

    def _change(self, key: int, **members: Instant) -> None:
        known = self._tables.keys[key]
        self._tables.keys[key] = structs.replace(known, key=structs.replace(known.key, **members))


class Credentials:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def identify(self, user: str) -> Credential | None:
        return next((one for one in self._tables.credentials.values() if one.user == user), None)

    async def of_account(self, account: str) -> Credential | None:
        return next((one for one in self._tables.credentials.values() if one.account == account), None)

    async def all(self, after: int, limit: int) -> list[Credential]:
        return [one for number, one in sorted(self._tables.credentials.items()) if number > after][:limit]

    async def of_device(self, org: int, device: int) -> list[Credential]:
        return [
            one for one in await self.all(0, len(self._tables.credentials)) if (one.org, one.device) == (org, device)
        ]

    async def insert(self, new: Credential) -> Credential:
        stored = structs.replace(new, id=self._tables.number("credentials"))
        self._tables.credentials[stored.id] = stored
        await self.note(new.org, new.account)
        return stored

    async def delete(self, org: int, device: int, credential: int) -> bool:
        found = [one for one in await self.of_device(org, device) if one.id == credential]
        return await self._remove(found) > 0

    async def forget(self, org: int, device: int) -> int:
        return await self._remove(await self.of_device(org, device))

    async def _remove(self, found: list[Credential]) -> int:
        for one in found:
            del self._tables.credentials[one.id]
            await self.note(one.org, one.account)
        return len(found)

    async def note(self, org: int, account: str) -> None:
        number = self._tables.number("account_changes")
        self._tables.account_changes[number] = AccountChange(number, org, account)

    async def changes(self, after: int, limit: int) -> list[AccountChange]:
        return [one for number, one in sorted(self._tables.account_changes.items()) if number > after][:limit]

    async def note_below(self, org: int) -> None:
        below = {one.id for one in self._tables.organizations.values() if org in one.lineage}
        devices = [one for one in await self.all(0, len(self._tables.credentials)) if one.org in below]
        keys = [one.key for one in self._tables.keys.values() if one.key.org in below and one.key.kind is KeyKind.NATS]
        roles = {(key.org, name) for key in keys for name in broker_groups(key.role.value, key.scopes)}
        for place, account in [*((one.org, one.account) for one in devices), *sorted(roles)]:
            await self.note(place, account)

    async def has_any(self, org: int) -> bool:
        return any(one.org == org for one in self._tables.credentials.values())

    async def settle(self, numbers: Collection[int]) -> None:
        for number in numbers:
            self._tables.account_changes.pop(number, None)


class Progress:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def all(self) -> dict[str, StreamPosition]:
        return dict(self._tables.progress)

    async def of(self, streams: Collection[str]) -> dict[str, StreamPosition]:
        return {stream: self._tables.progress.get(stream, StreamPosition()) for stream in streams}

    async def put(self, reached: Mapping[str, StreamPosition]) -> None:
        self._tables.progress.update(reached)

    async def forget(self, streams: Collection[str]) -> None:
        for stream in streams:
            self._tables.progress.pop(stream, None)


class Tokens:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, org: int, key: int, digest: str) -> Instant | None:
        expires_at, refreshes = self._tables.tokens.get(f"{org} {key} {digest}", (None, False))
        return None if refreshes else expires_at

    async def insert(self, org: int, key: int, digest: str, expires_at: Instant, *, refreshes: bool) -> None:
        self._tables.tokens[f"{org} {key} {digest}"] = (expires_at, refreshes)

    async def take(self, org: int, key: int, digest: str) -> Instant | None:
        name = f"{org} {key} {digest}"
        _, refreshes = self._tables.tokens.get(name, (None, False))
        return self._tables.tokens.pop(name)[0] if refreshes else None

    async def purge(self, org: int, key: int, before: Instant) -> int:
        mine = {name: one for name, one in self._tables.tokens.items() if name.startswith(f"{org} {key} ")}
        for name in [name for name, (expires_at, _) in mine.items() if expires_at < before]:
            del self._tables.tokens[name]
            del mine[name]
        return len(mine)

    async def end(self, org: int, key: int) -> None:
        kept = {name: one for name, one in self._tables.tokens.items() if not name.startswith(f"{org} {key} ")}
        self._tables.tokens = kept


class Devices:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, org: int, ident: str) -> Device | None:
        return (await self.by_idents(org, [ident])).get(identity_key(ident))

    async def by_id(self, org: int, device: int) -> Device | None:
        found = self._tables.devices.get(device)
        return found if found and found.org == org else None

    async def activated(self, org: int, since: Instant, limit: int) -> list[Device]:
        found = [device for device in self._of(org) if device.activated_at is not None and device.activated_at >= since]
        return sorted(found, key=lambda device: (device.activated_at or 0, device.id), reverse=True)[:limit]

    async def token(self, device: int) -> TokenOwner | None:
        found = self._tables.devices.get(device)
        return TokenOwner(found.org, found.token_version, found.status) if found else None

    async def by_idents(self, org: int, idents: Collection[str]) -> dict[str, Device]:
        wanted = {identity_key(ident) for ident in idents}
        known = {identity_key(device.ident): device for device in self._of(org)}
        return {key: device for key, device in known.items() if key in wanted}

    async def insert(self, org: int, new: NewDevice, at: Instant) -> Device | None:
        if await self.get(org, new.ident):
            return None
        device = Device(
            id=self._tables.number("devices"),
            org=org,
            status=Status.NO_IDENTITY,
            connected=False,
            last_seen=None,
            activated_at=None,
            created_at=at,
            updated_at=at,
            revision=1,
            **structs.asdict(new),
        )
        self._tables.devices[device.id] = device
        return device

    def draft(self, new: NewDevice) -> Draft:
        return Draft(new, "", None)

    async def insert_drafts(self, org: int, new: Sequence[Draft], at: Instant) -> list[Device]:
        return await self.insert_many(org, [one.device for one in new], at)

    async def insert_many(self, org: int, new: Sequence[NewDevice], at: Instant) -> list[Device]:
        inserted = [await self.insert(org, one, at) for one in new]
        return [device for device in inserted if device]

    async def replace(self, was: Device, now: Device) -> bool:
        if not await self._is_present(was):
            return False
        other = await self.get(was.org, now.ident)
        if other and other.id != was.id:
            raise conflict("ident_taken", "Another device already has this identifier.", "ident")
        known = self._tables.devices[was.id]
        self._tables.devices[was.id] = _present_as(known, now)
        return True

    async def delete(self, was: Device) -> bool:
        return await self._is_present(was) and bool(self._tables.devices.pop(was.id))

    async def move(self, was: Device, now: Device) -> bool:
        if not await self._is_present(was):
            return False
        known = self._tables.devices[was.id]
        self._tables.devices[was.id] = _present_as(known, now)
        return True

    async def due(self, at: Instant, limit: int) -> list[Device]:
        found = [
            one for one in self._tables.devices.values() if one.identity_due is not None and one.identity_due <= at
        ]
        return sorted(found, key=lambda one: one.identity_due or 0)[:limit]

    async def after(self, device: int, limit: int) -> list[Device]:
        return [one for number, one in sorted(self._tables.devices.items()) if number > device][:limit]

    async def age(self, was: Device, now: Device) -> bool:
        if not await self._is_present(was):
            return False
        aged = {name: getattr(now, name) for name in ("status", "identity", "identity_due", "updated_at", "revision")}
        self._tables.devices[was.id] = structs.replace(self._tables.devices[was.id], **aged)
        return True

    async def page(
        self, org: int, filter: Filter | None, sort: Sort, page: Page, room: int | None = None
    ) -> list[Device]:
        found = self._found(org, filter)
        if page.after is not None:
            found = [device for device in found if _follows(device, sort, page.after)]
        present = [device for device in found if sort_value(device, sort.field, sort.path) is not None]
        absent = [device for device in found if sort_value(device, sort.field, sort.path) is None]
        present.sort(key=lambda device: (sort_value(device, sort.field, sort.path), device.id), reverse=sort.descending)
        absent.sort(key=lambda device: device.id, reverse=sort.descending)
        found = [*present, *absent][: page.limit]
        if room is None:
            return found
        return found[: max(2, 1 + sum(weight <= room for weight in itertools.accumulate(map(_weight, found))))]

    async def walk(
        self, org: int, filter: Filter | None, fitting: Callable[[Sequence[Device]], int]
    ) -> AsyncIterator[list[Device]]:
        after, most = 0, 1
        while found := await self.page(org, filter, Sort(), Page(most, (None, after))):
            yield found
            after, most = found[-1].id, fitting(found)

    async def slice(
        self, org: int, filter: Filter | None, sort: Sort, start: int, limit: int, total: int
    ) -> Slice[Device]:
        found = sorted(self._found(org, filter), key=lambda device: device.id, reverse=sort.descending)
        for key in (*reversed(sort.then), sort):  # each keeps the order of those before, where it finds no difference
            found = _sorted(found, key)
        part = found[start : start + limit]
        if sum(map(_weight, part)) > limits.MAX_NUMBERED_PAGE_BYTES:
            raise page_too_large()
        return Slice(part, len(found))

    async def tally(self, org: int, field: str) -> dict[str, int]:
        asked = (device.cohort if field == "cohort" else reader(device)(field, ()) for device in self._of(org))
        return _tally(str(word) for word in asked if word is not None)

    async def frequent_tags(self, org: int) -> dict[str, int]:
        return _frequent((tag for device in self._of(org) for tag in device.tags), limits.MAX_COUNTED_TAGS)

    async def tags(self, org: int, after: str, limit: int) -> list[str]:
        return sorted({tag for device in self._of(org) for tag in device.tags if tag > after})[:limit]

    async def count(self, org: int, filter: Filter | None) -> int:
        return len(self._found(org, filter))

    async def statuses(self, org: int, filter: Filter | None) -> dict[str, int]:
        return _tally(device.status.value for device in self._found(org, filter))

    async def counts(self, org: int) -> Counts:
        devices = self._of(org)
        connected = sum(device.connected for device in devices)
        return Counts(
            len(devices),
            _tally(device.status.value for device in devices),
            dict(sorted(_frequent((device.kind or "" for device in devices), limits.MAX_COUNTED_KINDS).items())),
            await self.frequent_tags(org),
            {"true": connected, "false": len(devices) - connected},
            _tally(device.cohort or DEFAULT_COHORT for device in devices),
        )

    async def _is_present(self, was: Device) -> bool:
        present = await self.by_id(was.org, was.id)
        return present is not None and present.revision == was.revision

    def _of(self, org: int) -> list[Device]:
        return [device for device in self._tables.devices.values() if device.org == org]

    def _found(self, org: int, filter: Filter | None) -> list[Device]:
        wanted = canonical(filter) if filter is not None else None
        return [device for device in self._of(org) if wanted is None or matches(wanted, reader(device))]


def _weight(device: Device) -> int:
    return sum(map(len, (device.metadata, device.config, device.schema, device.extras, device.identity or b"")))


def _sorted(devices: list[Device], sort: Sort) -> list[Device]:
    """Those that lack the field come last in either direction, as they came."""
    keyed = [(key, device) for device in devices if (key := sort_value(device, sort.field)) is not None]
    keyed.sort(key=lambda pair: pair[0], reverse=sort.descending)
    return [device for _, device in keyed] + [one for one in devices if sort_value(one, sort.field) is None]


def _follows(device: Device, sort: Sort, after: tuple[Any, int]) -> bool:
    value, number = sort_value(device, sort.field, sort.path), device.id
    last = after[1] if sort.field == "id" else tuple(after[0]) if sort.path else after[0]
    if (value is None) != (last is None):
        return value is None
    if value == last:
        return number < after[1] if sort.descending else number > after[1]
    return bool(value < last if sort.descending else value > last)  # type: ignore[operator]  # neither is None


def _tally(words: Iterable[str]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for word in words:
        counted[word] = counted.get(word, 0) + 1
    return dict(sorted(counted.items()))


def _frequent(words: Iterable[str], most: int) -> dict[str, int]:
    return dict(sorted(_tally(words).items(), key=lambda item: (-item[1], item[0]))[:most])


class Named(Generic[R]):
    def __init__(self, tables: Tables, table: str, label: str) -> None:
        self._tables = tables
        self._table = table
        self._label = label

    async def get(self, org: int, name: str) -> R | None:
        return next((one for one in self._of(org) if self._name(one) == name), None)

    async def page(self, org: int, after: str, limit: int, skip: int = 0) -> list[R]:
        found = sorted(self._of(org), key=self._name)
        return [one for one in found if self._name(one) > after][skip:][:limit]

    async def insert(self, new: R) -> R | None:
        if await self.get(new.org, self._name(new)):
            return None
        stored = structs.replace(new, id=self._tables.number(self._table))
        self._records[stored.id] = stored
        return stored

    async def replace(self, changed: R) -> bool:
        return _replace(self._records, changed)

    async def delete(self, org: int, record: int) -> bool:
        return bool(self._known(org, record) and self._records.pop(record))

    @property
    def _records(self) -> dict[int, R]:
        found: dict[int, R] = getattr(self._tables, self._table)
        return found

    def _known(self, org: int, record: int) -> R | None:
        found = self._records.get(record)
        return found if found and found.org == org else None

    def _of(self, org: int) -> list[R]:
        return [one for one in self._records.values() if one.org == org]

    def _name(self, record: R) -> str:
        return str(getattr(record, self._label))


class Numbered(Named[R]):
    async def by_id(self, org: int, record: int) -> R | None:
        return self._known(org, record)


class Reachable(Numbered[R]):
    async def home(self, org: int, record: int) -> int | None:
        found = self._records.get(record)
        return found.org if found and self._is_below(org, found.org) else None

    def _is_below(self, org: int, other: int) -> bool:
        found = self._tables.organizations.get(other)
        return found is not None and org in found.lineage


class Owners(Reachable[Owner]):
    async def homes(self, org: int, ref: str) -> list[int]:
        known = sorted(one.org for one in self._records.values() if one.ref == ref)
        return [one for one in known if self._is_below(org, one)]


def _replace(records: dict[int, Any], changed: Any) -> bool:
    """Replace the previous revision. What a record is and when it was made are not for a caller to change."""
    known = records.get(changed.id)
    if known is None or (known.revision, _tenant(known)) != (changed.revision - 1, _tenant(changed)):
        return False
    records[changed.id] = structs.replace(changed, created_at=known.created_at)
    return True


def _tenant(record: Any) -> int | None:
    return None if isinstance(record, Organization) else record.org


class Authorities(Numbered[Authority]):
    async def replace(self, changed: Authority) -> bool:
        known = self._records.get(changed.id)
        if known is None:
            return False
        signs = ("serial", "certificate", "sealed_key", "not_before", "not_after")
        kept = {name: getattr(known, name) for name in signs}
        return _replace(self._records, structs.replace(changed, **kept))

    async def edition(self, org: int, authority: int) -> Edition | None:
        found = await self.by_id(org, authority)
        return self._tables.editions.get(authority, Edition()) if found else None

    async def publish(self, org: int, authority: int, last: Edition, new: Edition) -> bool:
        known = await self.edition(org, authority)
        if known is None or known.number != last.number:
            return False
        self._tables.editions[authority] = new
        return True

    async def everywhere(self, after: int, limit: int) -> list[AuthorityCertificate]:
        found = sorted(AuthorityCertificate(one.id, one.certificate) for one in self._records.values())
        return [one for one in found if one.id > after][:limit]


class Certificates:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, org: int, serial: str) -> Certificate | None:
        return next((one for one in self._of(org) if one.serial == serial), None)

    async def page(self, org: int, after: int, limit: int) -> list[Certificate]:
        return [one for one in self._of(org) if one.id > after][:limit]

    async def of_authority(self, org: int, authority: int, after: int, limit: int) -> list[Certificate]:
        return [one for one in self._of(org) if one.authority == authority and one.id > after][:limit]

    async def of_device(self, org: int, device: int, after: int, limit: int) -> list[Certificate]:
        return [one for one in self._of(org) if one.device == device and one.id > after][:limit]

    async def insert(self, new: Certificate) -> Certificate:
        assert await self.get(new.org, new.serial) is None
        return self._put(structs.replace(new, id=self._tables.number("certificates")))

    async def revoke(self, org: int, serial: str, at: Instant, reason: Reason) -> bool:
        found = await self.get(org, serial)
        if found is None or found.reason not in {None, Reason.CERTIFICATE_HOLD} - {reason}:
            return False
        return bool(self._put(structs.replace(found, revoked_at=found.revoked_at or at, reason=reason)))

    async def restore(self, org: int, serial: str) -> bool:
        found = await self.get(org, serial)
        if found is None or found.reason is not Reason.CERTIFICATE_HOLD:
            return False
        return bool(self._put(structs.replace(found, revoked_at=None, reason=None)))

    async def revoked(self, org: int, authority: int, at: Instant, after: int, limit: int) -> list[Revocation]:
        found = [one for one in await self.of_authority(org, authority, after, 1 << 62) if one.not_after > at]
        return [
            Revocation(one.id, one.serial, one.revoked_at, one.reason)
            for one in found
            if one.revoked_at is not None and one.reason is not None
        ][:limit]

    async def revoked_anywhere(self, serial: str) -> list[bytes]:
        known = [one for one in self._tables.certificates.values() if one.revoked_at is not None]
        return [one.der for one in (*known, *self._tables.revocations.values()) if one.serial == serial]

    async def counts(self, org: int, at: Instant) -> dict[int, Tally]:
        found: dict[int, list[Certificate]] = {}
        for one in self._of(org):
            found.setdefault(one.authority, []).append(one)
        return {authority: _tallied(issued, at) for authority, issued in found.items()}

    async def forget(self, org: int, authority: int) -> None:
        for one in await self.of_authority(org, authority, 0, 1 << 62):
            del self._tables.certificates[one.id]
            if one.revoked_at is not None:
                self._tables.revocations[one.id] = one

    def _of(self, org: int) -> list[Certificate]:
        return [one for _, one in sorted(self._tables.certificates.items()) if one.org == org]

    def _put(self, certificate: Certificate) -> Certificate:
        self._tables.certificates[certificate.id] = certificate
        return certificate


def _tallied(issued: list[Certificate], at: Instant) -> Tally:
    good = [one for one in issued if one.revoked_at is None]
    return Tally(len(issued), len(issued) - len(good), sum(one.not_after <= at for one in good))


class SoftwareVersions:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, org: int, type: str, version: str) -> SoftwareVersion | None:
        known = self._tables.software_versions.values()
        return next((one for one in known if (one.org, one.type, one.version) == (org, type, version)), None)

    async def page(self, org: int, after: tuple[str, str], limit: int) -> list[SoftwareVersion]:
        known = sorted(self._tables.software_versions.values(), key=lambda one: (one.type, one.version))
        return [one for one in known if one.org == org and (one.type, one.version) > after][:limit]

    async def insert(self, new: SoftwareVersion) -> SoftwareVersion | None:
        if await self.get(new.org, new.type, new.version):
            return None
        stored = structs.replace(new, id=self._tables.number("software_versions"))
        self._tables.software_versions[stored.id] = stored
        return stored

    async def delete(self, org: int, record: int) -> bool:
        found = self._tables.software_versions.get(record)
        if found is None or found.org != org:
            return False
        del self._tables.software_versions[record]
        return True


class Timeline:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def append(self, events: Sequence[NewEvent]) -> None:
        for event in events:
            number = self._tables.number("timeline")
            self._tables.timeline[number] = Event(id=number, **structs.asdict(event))

    async def of_device(self, org: int, device: int, before: int, limit: int) -> list[Event]:
        return [event for event in self._about(org, device)[::-1] if event.id < before][:limit]

    async def lives(self, org: int, devices: Collection[int], most: int) -> list[Event]:
        lives = [[one for one in self._about(org, device) if one.type in LIFE][-most:] for device in devices]
        return sorted((event for life in lives for event in life), key=lambda event: event.id)

    async def since(self, org: int, after: int, limit: int) -> list[Event]:
        return [event for event in self._after(after) if event.org == org][:limit]

    async def reported(self, org: int, device: int, type: str, span: Span, limit: int, offset: int) -> list[Event]:
        found = [
            (event.reported_at, event.id, event)
            for event in self._about(org, device)
            if event.type == type and event.reported_at is not None and span.since <= event.reported_at < span.until
        ]
        return [event for _, _, event in sorted(found)[offset : offset + limit]]

    async def published(self, after: int, limit: int) -> list[Event]:
        return self._after(after)[:limit]

    async def last(self, org: int | None = None) -> int:
        return max((number for number, event in self._tables.timeline.items() if org in {None, event.org}), default=0)

    async def of_types(self, org: int, device: int, types: Collection[str], page: OffsetPage) -> Slice[Event]:
        found = [event for event in self._about(org, device)[::-1] if event.type in types]
        return page.cut(found)

    async def by_keys(self, org: int, device: int, page: OffsetPage) -> Slice[Event]:
        found = [event for event in self._about(org, device)[::-1] if event.actor.startswith("key:")]
        return page.cut(found)

    async def forget_types(self, org: int, device: int, types: Collection[str]) -> None:
        for event in self._about(org, device):
            if event.type in types:
                del self._tables.timeline[event.id]

    async def move(self, org: int, device: int, to: int) -> None:
        for event in self._about(org, device):
            self._tables.timeline[event.id] = structs.replace(event, org=to)

    async def forget(self, org: int, device: int) -> None:
        for event in self._about(org, device):
            del self._tables.timeline[event.id]

    async def purge(self, span: Span, after: int, most: int) -> Purged | None:
        page = self._after(after)[:most]
        for event in page:
            is_kept = event.type in LIFE or event.id == await self.last(event.org)
            if event.at < span.since and not is_kept:
                del self._tables.timeline[event.id]
        current = any(span.since <= event.at < span.until for event in page)
        return Purged(page[-1].id, current) if page else None

    def _after(self, after: int) -> list[Event]:
        return [event for number, event in sorted(self._tables.timeline.items()) if number > after]

    def _about(self, org: int, device: int) -> list[Event]:
        wanted = (org, "device", device)
        return [event for event in self._after(0) if (event.org, event.subject, event.subject_id) == wanted]


class Telemetry:
    """A series is its organization, device, mode and metric; its readings are by time."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def count(self, org: int, device: int) -> int:
        return len(self._of(org, device))

    async def open(self, org: int, series: Collection[SeriesKey]) -> None:
        for one in series:
            self._tables.readings.setdefault(_series_name(org, one), {})

    async def append(self, org: int, readings: Sequence[Reading]) -> list[Reading]:
        others = []
        for one in readings:
            name = _series_name(org, one.series)
            if name not in self._tables.readings:
                others.append(one)
                continue
            stored = StoredReading(org, structs.replace(one, value=_whole(one.value)))
            self._tables.readings[name] = {**self._tables.readings[name], one.at: stored}
        return others

    async def last(self, org: int, device: int) -> list[Reading]:
        found = [series[max(series)].reading for series in self._of(org, device).values() if series]
        return sorted((one for one in found if not one.mode), key=lambda reading: reading.metric)

    async def range(
        self, org: int, series: SeriesKey, span: Span, limit: int, *, descending: bool = False
    ) -> list[Reading]:
        found = self._tables.readings.get(_series_name(org, series), {})
        times = [at for at in sorted(found, reverse=descending) if span.since <= at < span.until]
        return [found[at].reading for at in times[:limit]]

    async def slice(self, org: int, series: SeriesKey, span: Span, page: OffsetPage) -> Slice[Reading]:
        found = await self.range(org, series, span, 1 << 62, descending=True)
        return page.cut(found)

    async def buckets(
        self, org: int, series: SeriesKey, span: Span, interval: int, *, spread: bool = False
    ) -> list[Bucket]:
        found: dict[int, list[float]] = {}
        for one in await self.range(org, series, span, 1 << 62):
            if isinstance(one.value, int | float):
                found.setdefault(one.at // interval * interval, []).append(float(one.value))
        return [_bucket(at, numbers, spread) for at, numbers in found.items()]

    async def move(self, org: int, device: int, to: int) -> None:
        for name, series in self._of(org, device).items():
            moved = {at: StoredReading(to, stored.reading) for at, stored in series.items()}
            del self._tables.readings[name]
            self._tables.readings[f"{to} {name.partition(' ')[2]}"] = moved

    async def forget(self, org: int, device: int) -> None:
        for name, series in self._of(org, device).items():
            self._tables.forgotten[f"{self._tables.number('forgotten')}"] = len(series)
            del self._tables.readings[name]

    async def sweep(self, most: int) -> bool:
        there = bool(self._tables.forgotten)
        for name, size in list(self._tables.forgotten.items()):
            self._tables.forgotten[name] = max(0, size - most)
            if not self._tables.forgotten[name]:
                del self._tables.forgotten[name]
        return there

    async def purge(self, before: Instant, after: int, most: int) -> int | None:
        if after or not self._tables.readings:
            return None
        for name, series in self._tables.readings.items():
            self._tables.readings[name] = {
                at: stored for at, stored in series.items() if at >= before or at == max(series)
            }
        return 1

    def _of(self, org: int, device: int) -> dict[str, dict[int, StoredReading]]:
        start = f"{org} {device} "
        return {name: series for name, series in self._tables.readings.items() if name.startswith(start)}


def _series_name(org: int, series: SeriesKey) -> str:
    return " ".join(map(str, (org, *series)))


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= 1 << 53 else value


def _bucket(at: int, numbers: list[float], spread: bool) -> Bucket:
    found = readings.bucket(at, numbers)
    return found if spread else structs.replace(found, median=None, stddev=None)


class Checkins:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, org: int, device: int) -> Mailbox:
        found = self._tables.mailboxes.get(device)
        return found if found and found.org == org else Mailbox(org, device)

    async def put(self, box: Mailbox) -> None:
        self._tables.mailboxes[box.device] = box

    async def keep(self, org: int, device: int, slot: int, at: Instant, chunk: bytes) -> None:
        self._tables.chunks[f"{org} {device} {slot}"] = (org, device, at, slot, chunk)

    async def kept(self, org: int, device: int) -> list[tuple[Instant, bytes]]:
        own = [one for one in self._tables.chunks.values() if one[:2] == (org, device)]
        return [(at, chunk) for _, _, at, _, chunk in sorted(own)]

    async def move(self, org: int, device: int, to: int) -> None:
        box, own = (
            await self.get(org, device),
            [one for one in self._tables.chunks.values() if one[:2] == (org, device)],
        )
        await self.forget(org, device)
        if box.received:
            await self.put(structs.replace(box, org=to))
        for _, _, at, slot, chunk in own:
            await self.keep(to, device, slot, at, chunk)

    async def forget(self, org: int, device: int) -> None:
        if (await self.get(org, device)).received:
            del self._tables.mailboxes[device]
        kept = {name: one for name, one in self._tables.chunks.items() if one[:2] != (org, device)}
        self._tables.chunks = kept


def _present_as(known: Device, now: Device) -> Device:
    return structs.replace(now, connected=known.connected, last_seen=known.last_seen, spoke_at=known.spoke_at)


def _later(at: Instant, known: Instant | None) -> Instant:
    return known if known is not None and at <= known <= at + limits.CLOCK_LEEWAY else at


class Presence:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def reporters(self, org: int, devices: Collection[int]) -> dict[int, Reporter]:
        found = [one for one in self._tables.devices.values() if one.org == org and one.id in devices]
        return {
            one.id: Reporter(
                one.id,
                one.ident,
                one.schema,
                one.connected,
                one.last_seen,
                one.template,
                one.spoke_at,
                self._tables.linked.get(one.id, False),
            )
            for one in found
        }

    async def heard(self, org: int, devices: Collection[int], at: Instant) -> None:
        for one in self._there(org, devices):
            seen, active = _later(at, one.last_seen), one.activated_at
            self._change(one, connected=True, last_seen=seen, activated_at=at if active is None else active)

    async def spoke(self, org: int, device: int, at: Instant) -> None:
        await self.heard(org, [device], at)
        self._spoke(org, device, at)

    async def spoke_again(self, org: int, device: int, at: Instant) -> None:
        await self.heard_again(org, [device], at)
        self._spoke(org, device, at)

    def _spoke(self, org: int, device: int, at: Instant) -> None:
        for one in self._there(org, [device]):
            self._change(one, spoke_at=_later(at, one.spoke_at))

    async def heard_again(self, org: int, devices: Collection[int], at: Instant) -> None:
        for one in self._there(org, devices):
            self._change(one, last_seen=_later(at, one.last_seen))

    async def seen(self, org: int, times: Mapping[int, Instant]) -> None:
        for one in self._there(org, times):
            at = times[one.id]
            active = at if one.activated_at is None else one.activated_at
            self._change(one, last_seen=max(at, one.last_seen or at), activated_at=active)

    async def lost(self, org: int, devices: Collection[int]) -> None:
        for one in self._there(org, devices):
            self._change(one, connected=False)

    async def opened(self, link: Link, at: Instant) -> bool:
        before = self._linked(link.org, link.device)
        if not before:
            self._tables.linked_since[f"{link.org} {link.device}"] = at
        self._tables.links[f"{link.org} {link.device} {link.name}"] = link
        self._set_linked(link.org, link.device, True)
        return not before

    async def closed(self, link: Link) -> Instant | None:
        self._tables.left.pop(f"{link.org} {link.device} {link.name}", None)
        known = self._tables.links.pop(f"{link.org} {link.device} {link.name}", None)
        if known is None or self._linked(link.org, link.device):
            return None
        self._set_linked(link.org, link.device, False)
        return self._tables.linked_since[f"{link.org} {link.device}"]

    async def links(self, after: Link | None, limit: int) -> list[Link]:
        first = structs.astuple(after) if after else (0, 0, "")
        found = sorted(self._tables.links.values(), key=structs.astuple)
        return [link for link in found if structs.astuple(link) > first][:limit]

    async def quiet(self, span: Span, limit: int) -> list[DeviceRef]:
        found = [one for one in self._tables.devices.values() if one.connected and not self._tables.linked.get(one.id)]
        late = [one for one in found if one.last_seen is not None and span.since <= one.last_seen < span.until]
        late.sort(key=lambda one: (one.last_seen, one.id))
        return [DeviceRef(one.org, one.id, one.ident) for one in late][:limit]

    async def leave(self, org: int, device: int, known: KnownAs) -> bool:
        links = self._linked(org, device)
        if not links:
            return False
        self._tables.left |= {f"{org} {device} {link.name}": known for link in links}
        self._set_linked(org, device, False)
        return True

    async def left(self, link: Link) -> KnownAs | None:
        return self._tables.left.get(f"{link.org} {link.device} {link.name}")

    def _set_linked(self, org: int, device: int, linked: bool) -> None:
        for one in self._there(org, [device]):
            self._tables.linked[one.id] = linked

    def _linked(self, org: int, device: int) -> list[Link]:
        return [link for link in self._tables.links.values() if (link.org, link.device) == (org, device)]

    def _there(self, org: int, devices: Collection[int]) -> list[Device]:
        return [one for one in self._tables.devices.values() if one.org == org and one.id in devices]

    def _change(self, device: Device, **members: Any) -> None:
        self._tables.devices[device.id] = structs.replace(device, **members)


class Usage:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def add(self, org: int, noun: str, count: int, quota: int) -> bool:
        used = self._tables.usage.get(org, {})
        total = used.get(noun, 0) + count
        # A counter below zero, which only the tests make, leaves no room for more than the quota at once.
        if count >= 0 and max(total, count) > quota:
            return False
        self._tables.usage[org] = {**used, noun: total}
        return True

    async def of(self, org: int) -> dict[str, int]:
        return dict(self._tables.usage.get(org, {}))

    async def below(self, org: int, noun: str) -> dict[int, int]:
        known = sorted(self._tables.organizations.values(), key=lambda one: one.id)
        used = {one.id: self._tables.usage.get(one.id, {}) for one in known if org in one.lineage}
        return {number: nouns[noun] for number, nouns in used.items() if noun in nouns}

    async def add_today(self, org: int, device: int, noun: str, day: int, most: int) -> bool:
        name = f"{org} {device} {noun}"
        known = self._tables.today.get(name, (day, 0))
        used = known[1] if known[0] >= day else 0
        if used >= most:
            return False
        self._tables.today[name] = (max(day, known[0]), used + 1)
        return True

    async def move(self, org: int, device: int, to: int) -> None:
        for name, used in self._of(org, device).items():
            del self._tables.today[name]
            self._tables.today[f"{to} {name.partition(' ')[2]}"] = used

    async def forget(self, org: int, device: int) -> None:
        for name in self._of(org, device):
            del self._tables.today[name]

    def _of(self, org: int, device: int) -> dict[str, tuple[int, int]]:
        return {name: used for name, used in self._tables.today.items() if name.startswith(f"{org} {device} ")}


class Replays:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, org: int, key: int, name: str) -> Replay | None:
        return self._tables.replays.get(f"{org} {key} {name}")

    async def put(self, org: int, key: int, name: str, replay: Replay) -> None:
        self._tables.replays[f"{org} {key} {name}"] = replay

    async def purge(self, before: Instant, most: int) -> bool:
        old = [name for name, replay in self._tables.replays.items() if replay.at < before][:most]
        self._tables.replays = {name: one for name, one in self._tables.replays.items() if name not in old}
        return len(old) == most


class Leases:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, name: str) -> port.Lease | None:
        return self._tables.leases.get(name)

    async def beat(self, name: str, holder: str, beat: int) -> bool:
        known = self._tables.leases.get(name, port.Lease("", 0))
        if known.beat != beat:
            return False
        self._tables.leases[name] = port.Lease(holder, beat + 1)
        return True


class ServerKey:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def leave_mark(self, mark: str) -> bool:
        return self._tables.server_key.setdefault(1, mark) == mark


class Records:
    def __init__(self, tables: Tables) -> None:
        self.organizations = Organizations(tables)
        self.keys = Keys(tables)
        self.credentials = Credentials(tables)
        self.progress = Progress(tables)
        self.tokens = Tokens(tables)
        self.devices = Devices(tables)
        self.owners = Owners(tables, "owners", "ref")
        self.tags: Named[Tag] = Named(tables, "tags", "name")
        self.groups: Named[Group] = Named(tables, "groups", "name")
        self.metadata_fields: Named[MetadataField] = Named(tables, "metadata_fields", "name")
        self.dms: Named[Dms] = Named(tables, "dms", "name")
        self.authorities = Authorities(tables, "authorities", "name")
        self.certificates = Certificates(tables)
        self.templates: Reachable[Template] = Reachable(tables, "templates", "name")
        self.cohorts: Named[Cohort] = Named(tables, "cohorts", "slug")
        self.hardware_versions: Named[HardwareVersion] = Named(tables, "hardware_versions", "name")
        self.software_versions = SoftwareVersions(tables)
        self.timeline = Timeline(tables)
        self.telemetry = Telemetry(tables)
        self.presence = Presence(tables)
        self.checkins = Checkins(tables)
        self.usage = Usage(tables)
        self.replays = Replays(tables)
        self.leases = Leases(tables)
        self.server_key = ServerKey(tables)


class MemoryStore:
    """Implements `port.Store`. `backup` is one JSON text, which `open_memory` reads back."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._listeners: list[Callable[[], None]] = []
        self._listeners_to_news: list[Callable[[str | None], None]] = []
        self.read: port.Records = Records(tables)
        self.scan = self.bulk = self.read
        self.receives_news = True
        self.has_waiting = False

    async def write(
        self,
        work: Callable[[port.Records], Awaitable[T]],
        *,
        bulk: bool = False,
        news: str | None = None,
        relieves: bool = False,
    ) -> T:
        before = self._tables.copies()
        try:
            result = await work(self.read)
        except BaseException:
            self._tables.restore(before)
            raise
        for listener in self._listeners:
            listener()
        if news is not None:
            for listener_to_news in self._listeners_to_news:
                listener_to_news(news)
        return result

    def on_news(self, listener: Callable[[str | None], None]) -> None:
        self._listeners_to_news.append(listener)

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    async def analyze(self) -> None:
        pass

    async def backup(self, target: Path) -> None:
        with os.fdopen(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as copy:
            copy.write(msgspec.json.encode(self._tables))

    async def close(self) -> None:
        pass


def open_memory(file: Path) -> MemoryStore:
    """A store with what a backup in `file` holds; an empty one if there is none."""
    return MemoryStore(msgspec.json.decode(file.read_bytes(), type=Tables) if file.exists() else Tables())
