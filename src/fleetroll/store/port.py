"""What a store can do, in domain verbs: the contract that every engine keeps and the conformance suite checks.

Every verb on tenant data takes the organization's id first and touches no other tenant's rows. Times, ids and clocks
come from the caller; the store decides nothing but the numbers of new rows. Lists come in the order stated.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from fleetroll.core.certificates import Authority, Certificate, Edition, Reason, Revocation, Tally
from fleetroll.core.dms import Dms
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import (
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
from fleetroll.core.policy import Role
from fleetroll.core.query import Filter, OffsetPage, Page, Slice, Sort

T = TypeVar("T")
R = TypeVar("R", bound=Owner | Tag | Group | MetadataField | Template | Dms | Authority | Cohort | HardwareVersion)


class Identity(Struct, frozen=True):
    """A key as verification needs it: with the digest of its secret and its organization."""

    key: Key
    digest: str
    org: Organization


class Replay(Struct, frozen=True):
    """A stored answer to an idempotent request. `body` is sealed; only the server key opens it."""

    fingerprint: str
    status: int
    headers: str
    body: str
    at: Instant


class AccountChange(Struct, frozen=True):
    """Something that the broker is to be told. `account` is a device's, or one of `ids.broker_groups`."""

    number: int
    org: int
    account: str


class KeyUser(Struct, frozen=True):
    """A key that is presented to the broker: its name there, and since when it is revoked, if it is."""

    user: str
    created_at: Instant
    revoked_at: Instant | None


class KeyGroup(NamedTuple):
    """An organization, role and scopes, of which there are keys that are presented to the broker."""

    org: int
    role: Role
    scopes: tuple[str, ...]


class Organizations(Protocol):
    """The tenant tree. These verbs alone are keyed by the organization itself."""

    async def get(self, org: int) -> Organization | None: ...

    async def child(self, org: int, slug: str) -> Organization | None:
        """The direct child of `org` with that slug."""

    async def children(self, org: int, after: str, limit: int) -> list[Organization]:
        """Direct children whose slug follows `after`, by slug in byte order."""

    async def children_at(self, org: int, limit: int, skip: int) -> list[Organization]:
        """Direct children by id, after the first `skip` ones."""

    async def names_below(self, org: int) -> list[tuple[int, str]]:
        """The id and name of the organization itself and of all below it, at any depth, by id."""

    async def insert(self, new: Organization) -> Organization | None:
        """Store a new organization under its parent; None if the slug is taken.

        Its id, which is also the last of its lineage, is assigned here.
        """

    async def replace(self, changed: Organization) -> bool:
        """Write the record over revision `changed.revision - 1`; False if that is not the present revision."""

    async def delete(self, org: int) -> None: ...


class Keys(Protocol):
    async def identify(self, prefix: str) -> Identity | None:
        """Across all organizations: this is how the tenant becomes known."""

    async def get(self, org: int, key: int) -> Key | None: ...

    async def page(self, org: int, after: int, limit: int) -> list[Key]:
        """Keys with an id above `after`, by id."""

    async def insert(self, new: Key, prefix: str, digest: str) -> Key:
        """Store a new key; its id is assigned here. `prefix` is unique over all organizations."""

    async def revoke(self, org: int, key: int, at: Instant) -> bool:
        """False if there is no such key that is not yet revoked."""

    async def touch(self, used: Mapping[int, Instant]) -> None:
        """Move the last-used times of keys (by id) forward, and never back."""

    async def users(self, org: int, role: Role) -> list[KeyUser]:
        """The keys of a role that are presented to the broker, by id."""

    async def valid_groups(self, org: int, at: Instant) -> list[KeyGroup]:
        """The groups of an organization's keys that are good for the broker at a time."""

    async def groups_of_users(self) -> list[KeyGroup]:
        """The groups of all keys that are presented to the broker, each once."""


class Credentials(Protocol):
    """What devices show to the broker. Every change is noted, for the broker to be told."""

    async def identify(self, user: str) -> Credential | None:
        """Across all organizations: this is how the tenant becomes known."""

    async def of_account(self, account: str) -> Credential | None:
        """As `identify`, by the account."""

    async def all(self, after: int, limit: int) -> list[Credential]:
        """Of all organizations, with an id above `after`, by id."""

    async def of_device(self, org: int, device: int) -> list[Credential]:
        """By id."""

    async def insert(self, new: Credential) -> Credential:
        """Store a new credential; its id is assigned here. Its account and user are known to be new."""

    async def delete(self, org: int, device: int, credential: int) -> bool:
        """False if the device has no such credential."""

    async def forget(self, org: int, device: int) -> int:
        """Remove all credentials of a device; returns how many there were."""

    async def note(self, org: int, account: str) -> None:
        """Note that the broker is to be told of an account."""

    async def note_below(self, org: int) -> None:
        """As `note`, for all accounts of an organization and of all below it, of devices and of applications."""

    async def changes(self, after: int, limit: int) -> list[AccountChange]:
        """What the broker is to be told, oldest first, above number `after`."""

    async def has_any(self, org: int) -> bool:
        """Whether any device of the organization has a credential."""

    async def settle(self, numbers: Collection[int]) -> None:
        """The broker was told of these changes. Another process may yet commit one with a lower number."""


class Progress(Protocol):
    """How far the broker's streams have been read into this store."""

    async def all(self) -> dict[str, StreamPosition]:
        """Of every stream of which something has been read."""

    async def of(self, streams: Collection[str]) -> dict[str, StreamPosition]:
        """Of these; those of which nothing has been read are at the beginning."""

    async def put(self, reached: Mapping[str, StreamPosition]) -> None: ...

    async def forget(self, streams: Collection[str]) -> None: ...


class Tokens(Protocol):
    """Access and refresh tokens that were issued for keys, by their digests."""

    async def get(self, org: int, key: int, digest: str) -> Instant | None:
        """When an access token expires; None if it is not known."""

    async def insert(self, org: int, key: int, digest: str, expires_at: Instant, *, refreshes: bool) -> None: ...

    async def take(self, org: int, key: int, digest: str) -> Instant | None:
        """Remove a refresh token; returns when it expires or has expired, None if it is not known."""

    async def purge(self, org: int, key: int, before: Instant) -> int:
        """Remove the tokens of a key that expired before that time; returns how many it has left."""

    async def end(self, org: int, key: int) -> None:
        """Remove all tokens of a key."""


class Draft(Struct, frozen=True, gc=False):
    """A new device with what a store makes of it: the text that is searched, and a row in the form of its engine."""

    device: NewDevice
    search: str
    row: Any


class TokenOwner(NamedTuple):
    """What a device's token is verified by: where the device is, which version is good, and the device's status."""

    org: int
    token_version: int
    status: Status


class Devices(Protocol):
    async def get(self, org: int, ident: str) -> Device | None:
        """By identifier, equal in NFC form."""

    async def by_id(self, org: int, device: int) -> Device | None: ...

    async def activated(self, org: int, since: Instant, limit: int) -> list[Device]:
        """Devices that were activated then or later, the newest first; at the same time, the higher number first."""

    async def token(self, device: int) -> TokenOwner | None:
        """Across all organizations: a device's token proves who it is."""

    async def by_idents(self, org: int, idents: Collection[str]) -> dict[str, Device]:
        """The devices there are among `idents`, by `names.identity_key` of their identifier."""

    async def insert(self, org: int, new: NewDevice, at: Instant) -> Device | None:
        """Store a new device at revision 1, NO_IDENTITY; None if the identifier is taken."""

    def draft(self, new: NewDevice) -> Draft:
        """What `insert_drafts` takes; may be called in any thread, and before any transaction."""

    async def insert_drafts(self, org: int, new: Sequence[Draft], at: Instant) -> list[Device]:
        """As `insert`, for devices whose identifiers are known to be free and distinct; in their order."""

    async def insert_many(self, org: int, new: Sequence[NewDevice], at: Instant) -> list[Device]:
        """As `insert_drafts`, which is given their drafts."""

    async def replace(self, was: Device, now: Device) -> bool:
        """Write `now` over `was`; False if the present revision is not `was.revision` or the device is gone.

        Whether it is connected and when it was last seen stay as they are: they are not part of a revision.
        Raises Fault conflict `ident_taken` if it is present but the new identifier belongs to another device.
        """

    async def delete(self, was: Device) -> bool:
        """Remove the device with its tags and links; False as for `replace`."""

    async def move(self, was: Device, now: Device) -> bool:
        """Give the device and its links to the organization of `now`, where its identifier is known to be free.

        Besides times and revision, `now` may differ in what an organization has of its own: cohort, template, dms and
        schema.
        False as for `replace`.
        """

    async def due(self, at: Instant, limit: int) -> list[Device]:
        """Devices of all organizations whose slots have changed their status by then, the longest overdue first."""

    async def after(self, device: int, limit: int) -> list[Device]:
        """Devices of all organizations with an id above `device`, by id."""

    async def age(self, was: Device, now: Device) -> bool:
        """Write the status, the slot and the revision of `now`; False as for `replace`."""

    async def page(
        self, org: int, filter: Filter | None, sort: Sort, page: Page, room: int | None = None
    ) -> list[Device]:
        """Up to `page.limit` devices after `page.after`, by the sort field and then id.

        Devices without the field come last in either direction. With `room`, the page may end at the first device with
        which their documents have more than so many bytes, but not at its very first.
        """

    def walk(
        self, org: int, filter: Filter | None, fitting: Callable[[Sequence[Device]], int]
    ) -> AsyncIterator[list[Device]]:
        """All devices that the filter finds, by id, in portions; one that is changed meanwhile is met once.

        `fitting` says how many devices like these a portion may have. A portion may be empty: however few are found,
        and however costly the filter is, each portion takes about as long as the others, and then lets others go on.
        Raises Fault unavailable `query_too_costly` for a device that takes longer than `limits.SCAN_TIME` by itself.
        """

    async def slice(
        self, org: int, filter: Filter | None, sort: Sort, start: int, limit: int, total: int
    ) -> Slice[Device]:
        """Devices by their place in the list that `page` walks, from `start` (0 is the first), and how many it has.

        `total` is the number of the organization's devices, which its usage counts. Raises Fault invalid
        `page_too_large` where the documents of many devices have more than `limits.MAX_NUMBERED_PAGE_BYTES`.
        """

    async def count(self, org: int, filter: Filter | None) -> int: ...

    async def statuses(self, org: int, filter: Filter | None) -> dict[str, int]:
        """How many devices the filter finds in each status that one of them has."""

    async def counts(self, org: int) -> Counts:
        """Devices without a kind count under "". Of the tags, the `limits.MAX_COUNTED_TAGS` most frequent, and of the
        kinds, the `limits.MAX_COUNTED_KINDS`: both may be as many as devices.

        Of the cohorts, those that have devices. All but the tags are in the order of their words.
        """

    async def tally(self, org: int, field: str) -> dict[str, int]:
        """How many devices have each `cohort` other than the default, `hardware_version` or `software_version`."""

    async def frequent_tags(self, org: int) -> dict[str, int]:
        """How many devices have each of the tags that `counts` has, the most frequent first."""

    async def tags(self, org: int, after: str, limit: int) -> list[str]:
        """Tags of devices that follow `after`, in byte order."""


class Named(Protocol[R]):
    """Records of one organization that have a unique name, such as groups, or owners by their ref."""

    async def get(self, org: int, name: str) -> R | None: ...

    async def page(self, org: int, after: str, limit: int, skip: int = 0) -> list[R]:
        """Records whose name follows `after`, by name in byte order, without the first `skip` of them."""

    async def insert(self, new: R) -> R | None:
        """Store a new record; its id is assigned here; None if the name is taken."""

    async def replace(self, changed: R) -> bool:
        """Write the record over revision `changed.revision - 1`; False if that is not the present revision."""

    async def delete(self, org: int, record: int) -> bool: ...


class Numbered(Named[R], Protocol[R]):
    """Named records that others know by number."""

    async def by_id(self, org: int, record: int) -> R | None: ...


class Reachable(Numbered[R], Protocol[R]):
    """Named records that callers know by number, from an organization above theirs too."""

    async def home(self, org: int, record: int) -> int | None:
        """The organization that has the record with this number, where that is `org` or one below it."""


class Owners(Reachable[Owner], Protocol):
    async def homes(self, org: int, ref: str) -> list[int]:
        """The organizations that have an owner with this reference, of `org` and all below it, by id."""


class AuthorityCertificate(NamedTuple):
    """The number of an authority, and its certificate in DER."""

    id: int
    der: bytes


class Authorities(Numbered[Authority], Protocol):
    """`replace` leaves what an authority signs with as it is."""

    async def edition(self, org: int, authority: int) -> Edition | None:
        """The latest of its revocation lists, with the number 0 before there is one; None without the authority."""

    async def publish(self, org: int, authority: int, last: Edition, new: Edition) -> bool:
        """Put `new` in the place of `last`; False if that is not the latest any more."""

    async def everywhere(self, after: int, limit: int) -> list[AuthorityCertificate]:
        """The certificates of all organizations' authorities above that id, by id: for the TLS listener alone."""


class Certificates(Protocol):
    async def get(self, org: int, serial: str) -> Certificate | None: ...

    async def page(self, org: int, after: int, limit: int) -> list[Certificate]:
        """Certificates with an id above `after`, by id."""

    async def of_authority(self, org: int, authority: int, after: int, limit: int) -> list[Certificate]: ...

    async def of_device(self, org: int, device: int, after: int, limit: int) -> list[Certificate]: ...

    async def insert(self, new: Certificate) -> Certificate:
        """Store a new certificate; its id is assigned here. Serial numbers are unique in an organization."""

    async def revoke(self, org: int, serial: str, at: Instant, reason: Reason) -> bool:
        """False if there is no such certificate that is not yet revoked.

        One that is on hold can be revoked for another reason, and then never comes back; its time stays the hold's.
        """

    async def restore(self, org: int, serial: str) -> bool:
        """Take back a revocation for CERTIFICATE_HOLD; False if there is none."""

    async def revoked(self, org: int, authority: int, at: Instant, after: int, limit: int) -> list[Revocation]:
        """The authority's revoked certificates that expire after `at`, with an id above `after`, by id."""

    async def revoked_anywhere(self, serial: str) -> list[bytes]:
        """What any authority of any organization, deleted ones too, has revoked under that serial number, in DER."""

    async def counts(self, org: int, at: Instant) -> dict[int, Tally]:
        """By authority; those that have issued nothing are left out."""

    async def forget(self, org: int, authority: int) -> None:
        """Remove all that an authority has issued; what of it was revoked stays in `revoked_anywhere` forever."""


class Mailbox(Struct, frozen=True):
    """What has come from a device in chunks: how many, how many undecoded, and the beginning of a message as JSON."""

    org: int
    device: int
    received: int = 0
    undecoded: int = 0
    partial: str | None = None


class Checkins(Protocol):
    async def get(self, org: int, device: int) -> Mailbox:
        """That of a device; an empty one if nothing came."""

    async def put(self, box: Mailbox) -> None: ...

    async def keep(self, org: int, device: int, slot: int, at: Instant, chunk: bytes) -> None:
        """Store a chunk as it came, in the place of what was in that slot."""

    async def kept(self, org: int, device: int) -> list[tuple[Instant, bytes]]:
        """The chunks of a device and when each came, the oldest first."""

    async def move(self, org: int, device: int, to: int) -> None:
        """Give all of a device to another organization."""

    async def forget(self, org: int, device: int) -> None:
        """Remove all of a device."""


class SoftwareVersions(Protocol):
    """The versions of software that devices were said to run."""

    async def get(self, org: int, type: str, version: str) -> SoftwareVersion | None: ...

    async def page(self, org: int, after: tuple[str, str], limit: int) -> list[SoftwareVersion]:
        """Those whose type and version follow `after`, in that order, in byte order."""

    async def insert(self, new: SoftwareVersion) -> SoftwareVersion | None:
        """Store a new one; its id is assigned here; None if it is known."""

    async def delete(self, org: int, record: int) -> bool:
        """False if it is not there."""


class Purged(Struct, frozen=True):
    """The result of a purge of events: the last number that it looked at, and whether any such is within the span."""

    reached: int
    is_current: bool


class Timeline(Protocol):
    async def append(self, events: Sequence[NewEvent]) -> None: ...

    async def of_device(self, org: int, device: int, before: int, limit: int) -> list[Event]:
        """Newest first, with an id below `before`."""

    async def lives(self, org: int, devices: Collection[int], most: int) -> list[Event]:
        """What changed the status of these devices, oldest first: of each, the newest `most`."""

    async def since(self, org: int, after: int, limit: int) -> list[Event]:
        """Oldest first, with an id above `after`."""

    async def reported(self, org: int, device: int, type: str, span: Span, limit: int, offset: int) -> list[Event]:
        """What a device or a client said of a device, of one type, by the time given, without the first `offset`."""

    async def published(self, after: int, limit: int) -> list[Event]:
        """As `since`, over all organizations: for the publisher alone.

        Within an organization events are committed in the order of their ids; across organizations they need not be.
        This gives only those before which none can appear any more.
        """

    async def last(self, org: int | None = None) -> int:
        """The id of the newest event, of one organization or of all, 0 if there is none."""

    async def of_types(self, org: int, device: int, types: Collection[str], page: OffsetPage) -> Slice[Event]:
        """A device's events of up to ten types, newest first, and how many there are in all."""

    async def by_keys(self, org: int, device: int, page: OffsetPage) -> Slice[Event]:
        """As `of_types`, of any type, but only what API keys did."""

    async def forget_types(self, org: int, device: int, types: Collection[str]) -> None:
        """Remove a device's events of up to ten types."""

    async def move(self, org: int, device: int, to: int) -> None:
        """Give a device's events to another organization."""

    async def forget(self, org: int, device: int) -> None:
        """Remove a device's events: deleted means gone."""

    async def purge(self, span: Span, after: int, most: int) -> Purged | None:
        """Remove what is from before the span, among the next `most` events of all organizations above that number.

        What changed the status of devices stays, as `lives` tells it, and so does each organization's newest event.
        None if there are no events above.
        """


class Telemetry(Protocol):
    """What devices report: series of readings, each of one metric of one device in one mode.

    A whole number of at most 2^53 comes back as an integer, however it was written.
    """

    async def count(self, org: int, device: int) -> int:
        """How many series a device has."""

    async def open(self, org: int, series: Collection[SeriesKey]) -> None:
        """Create the series that are missing."""

    async def append(self, org: int, readings: Sequence[Reading]) -> list[Reading]:
        """Store readings of open series, each over one of the same series and time; returns those of other series."""

    async def last(self, org: int, device: int) -> list[Reading]:
        """The newest reading of each metric in production, by metric in byte order."""

    async def range(
        self, org: int, series: SeriesKey, span: Span, limit: int, *, descending: bool = False
    ) -> list[Reading]:
        """Oldest first, or newest first if `descending`."""

    async def slice(self, org: int, series: SeriesKey, span: Span, page: OffsetPage) -> Slice[Reading]:
        """Newest first, by offset; and how many there are in the span."""

    async def buckets(
        self, org: int, series: SeriesKey, span: Span, interval: int, *, spread: bool = False
    ) -> list[Bucket]:
        """Aggregates by multiples of `interval` microseconds, oldest first; with median and stddev if `spread`.

        They are of numbers and booleans. To stddev, those less than 1 / `limits.VAST_NUMBER` apart may be equal.
        """

    async def move(self, org: int, device: int, to: int) -> None:
        """Give a device's readings to another organization."""

    async def forget(self, org: int, device: int) -> None:
        """Remove a device's readings: they are out of reach at once, and `sweep` deletes them later."""

    async def sweep(self, most: int) -> bool:
        """Remove up to `most` forgotten readings of all organizations; False if there were none."""

    async def purge(self, before: Instant, after: int, most: int) -> int | None:
        """Remove up to `most` readings of all organizations from before that time, except the newest of each series.

        It looks at the next `most` series above number `after`, and returns where to go on; None at the end of all.
        """


class DeviceRef(NamedTuple):
    """A device by its organization, its number and its identifier."""

    org: int
    id: int
    ident: str


class Presence(Protocol):
    """Whether devices are there. Nothing here is a new revision of a device."""

    async def reporters(self, org: int, devices: Collection[int]) -> dict[int, Reporter]: ...

    async def heard(self, org: int, devices: Collection[int], at: Instant) -> None:
        """A broker passed on what devices sent.

        They are connected, were last seen then or later, and are activated, if they were not before. A known time that
        is more than `limits.CLOCK_LEEWAY` ahead comes from a wrong clock and is replaced.
        """

    async def heard_again(self, org: int, devices: Collection[int], at: Instant) -> None:
        """As `heard`, for devices that are connected: only their time is written, and in fewer indexes."""

    async def spoke(self, org: int, device: int, at: Instant) -> None:
        """As `heard`, for a device that sent something itself: when it did is written as well."""

    async def spoke_again(self, org: int, device: int, at: Instant) -> None:
        """As `heard_again`, for a device that sent something itself."""

    async def seen(self, org: int, times: Mapping[int, Instant]) -> None:
        """Devices were seen elsewhere at these times, or later: as `heard`, but whether they are connected stays."""

    async def lost(self, org: int, devices: Collection[int]) -> None:
        """Devices are not connected any more."""

    async def opened(self, link: Link, at: Instant) -> bool:
        """A device has this connection, which may be known already. Returns whether it is its first."""

    async def closed(self, link: Link) -> Instant | None:
        """The connection has ended. Returns since when the device has had connections without a break.

        None if it was not known, or if the device has another.
        """

    async def links(self, after: Link | None, limit: int) -> list[Link]:
        """The known connections of all organizations, by organization, device and name."""

    async def quiet(self, span: Span, limit: int) -> list[DeviceRef]:
        """Devices of all organizations that are connected by traffic alone and were last seen within that time.

        The longest quiet come first.
        """

    async def leave(self, org: int, device: int, known: KnownAs) -> bool:
        """A device leaves its organization; its connections, which are to end, stay. Returns whether it had any."""

    async def left(self, link: Link) -> KnownAs | None:
        """What the device of a connection was known by when it left; None where it has not."""


class Usage(Protocol):
    """How much of each quota an organization uses, and of each daily allowance a device."""

    async def add(self, org: int, noun: str, count: int, quota: int) -> bool:
        """Count `count` more (or fewer, if negative); False, and no change, if that would exceed `quota`."""

    async def of(self, org: int) -> dict[str, int]: ...

    async def below(self, org: int, noun: str) -> dict[int, int]:
        """How much of a noun an organization and each one below it use, by their numbers."""

    async def add_today(self, org: int, device: int, noun: str, day: int, most: int) -> bool:
        """Count one more on that day; False, and no change, if there were `most`. Only the latest day is kept."""

    async def move(self, org: int, device: int, to: int) -> None:
        """Give what a device used to another organization."""

    async def forget(self, org: int, device: int) -> None: ...


class Replays(Protocol):
    async def get(self, org: int, key: int, name: str) -> Replay | None: ...

    async def put(self, org: int, key: int, name: str, replay: Replay) -> None: ...

    async def purge(self, before: Instant, most: int) -> bool:
        """Forget up to `most` replays of all organizations from before that time; returns whether there may be more."""


class Lease(Struct, frozen=True):
    """Who holds a lease, "" for nobody, and how often it was taken or kept."""

    holder: str
    beat: int


class Leases(Protocol):
    """What one process at a time may do, of those over the same store. Leases belong to no organization."""

    async def get(self, name: str) -> Lease | None: ...

    async def beat(self, name: str, holder: str, beat: int) -> bool:
        """Take or keep a lease; False if `beat` is not its present beat, which is 0 where it was never taken."""


class ServerKey(Protocol):
    """The key that lies outside the store. It belongs to no organization."""

    async def leave_mark(self, mark: str) -> bool:
        """Mark a store that has no mark, to be found in its `Origin`; False if that of another server key is there."""


class Origin(Struct, frozen=True):
    """What a database of any schema tells of the server key that it was made with, before anything in it is changed.

    `sealed` are authorities of the root organization, whose keys only that one opens. An earlier schema has no mark,
    and where it has nothing sealed either, nothing in it tells one server key from another.
    """

    mark: str | None
    sealed: list[Authority]
    is_used: bool  # whether anything was ever noted in its timeline


class Records(Protocol):
    """Every noun of the store, within one transaction or one way of reading."""

    @property
    def organizations(self) -> Organizations: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def credentials(self) -> Credentials: ...
    @property
    def progress(self) -> Progress: ...
    @property
    def tokens(self) -> Tokens: ...
    @property
    def devices(self) -> Devices: ...
    @property
    def owners(self) -> Owners: ...
    @property
    def groups(self) -> Named[Group]: ...
    @property
    def tags(self) -> Named[Tag]: ...
    @property
    def metadata_fields(self) -> Named[MetadataField]: ...
    @property
    def templates(self) -> Reachable[Template]: ...
    @property
    def dms(self) -> Named[Dms]: ...
    @property
    def authorities(self) -> Authorities: ...
    @property
    def certificates(self) -> Certificates: ...
    @property
    def cohorts(self) -> Named[Cohort]: ...
    @property
    def hardware_versions(self) -> Named[HardwareVersion]: ...
    @property
    def checkins(self) -> Checkins: ...
    @property
    def software_versions(self) -> SoftwareVersions: ...
    @property
    def timeline(self) -> Timeline: ...
    @property
    def telemetry(self) -> Telemetry: ...
    @property
    def presence(self) -> Presence: ...
    @property
    def usage(self) -> Usage: ...
    @property
    def replays(self) -> Replays: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def server_key(self) -> ServerKey: ...


class Store(Protocol):
    """One open store."""

    @property
    def read(self) -> Records:
        """For look-ups of single records: answered at once, each in its own snapshot."""

    @property
    def scan(self) -> Records:
        """For pages and counts: answered without holding up the event loop.

        Raises Fault unavailable `query_too_costly` when a statement takes longer than `limits.SCAN_TIME`.
        """

    @property
    def bulk(self) -> Records:
        """For walks and large pages: always away from the event loop. A statement may take as long as one of `scan`."""

    async def write(
        self,
        work: Callable[[Records], Awaitable[T]],
        *,
        bulk: bool = False,
        news: str | None = None,
        relieves: bool = False,
    ) -> T:
        """Run `work` in one transaction and return after its commit is on disk.

        An exception undoes all of it. `work` awaits nothing but the records it is given, and changes nothing else: an
        engine may undo it and run it again from its beginning. `bulk` says that it takes milliseconds and may run off
        the event loop. `news` is a topic for the listeners of `on_news`. One that `relieves` removes something: an
        engine may keep room for such on a full disk. Raises Fault unavailable: `storage_full` on a full disk,
        `database_unavailable` where it is not known whether anything was stored.
        """

    @property
    def has_waiting(self) -> bool:
        """Whether transactions of this process wait for their turn now."""

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the event loop soon after each commit, of whichever process over the same store."""

    def on_news(self, listener: Callable[[str | None], None]) -> None:
        """Call `listener` with the topic of each transaction that was committed with news, by whichever process.

        None says that anything may have been missed.
        """

    @property
    def receives_news(self) -> bool:
        """Whether news of other processes reach this one now."""

    async def analyze(self) -> None:
        """Keep up what an engine plans and searches by, where it does not do so itself; to be called now and then."""

    async def backup(self, target: Path) -> None:
        """Write a consistent copy of the whole store to `target`, which must not exist, readable by its owner only.

        Raises OSError where there is no room for it.
        """

    async def close(self) -> None: ...
