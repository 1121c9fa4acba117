"""What the service may ask of the broker, and what the broker asks of the service. Plain values; no client, no server.

`env` is the vendor's mode, a token of subjects; `device` in here is a device's public id of 24 hexadecimal digits.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from msgspec import Struct

from fleetroll.core.model import Instant, StreamPosition


class DeviceAccount(Struct, frozen=True):
    """The account of one credential of one device. `public` names it; nobody keeps its secret half."""

    public: str
    org: str
    device: str
    mqtt: bool = False


class AppAccount(Struct, frozen=True):
    """The account of an organization's applications that have the same role, and the same scopes if they are narrowed.

    `revoked` are users whose credentials have ended; so have all that were made up to the second `revoked_until`. While
    `disabled`, nobody may connect; the account stays, and so does what it stores. With `follows`, they are sent what
    devices say.
    """

    org: str
    role: str
    commands: bool
    revoked: frozenset[str] = frozenset()
    disabled: bool = False
    scopes: tuple[str, ...] = ()
    follows: bool = True
    revoked_until: int = 0


Account = DeviceAccount | AppAccount


class Minted(Struct, frozen=True):
    """A new credential. `user` is what identifies it later; `api_key` and `secret` are for its owner alone."""

    account: str
    user: str
    api_key: str
    secret: str


class Request(Struct, frozen=True):
    """A request from another account. `user` is who asks, as the broker has verified it."""

    subject: str
    user: str
    body: bytes


class Message(Struct, frozen=True, gc=False):
    """What a device or an application has published.

    `at` is when it was stored; `sequence` counts up within one incarnation of the stream.
    """

    sequence: int
    at: int
    org: str
    env: str
    family: str
    device: str
    name: str
    body: bytes


class Batch(Struct, frozen=True):
    """Messages of one stream, in the order in which the broker stored them. `stream` names the stream's incarnation."""

    stream: str
    messages: Sequence[Message]


class Shown(Struct, frozen=True, gc=False):
    """A reading as applications can read it."""

    org: str
    env: str
    device: str
    metric: str
    body: bytes


class Connection(Struct, frozen=True):
    """A connection of an account. `name` tells it from others of the same account."""

    account: str
    name: str


class ConnectionChange(Struct, frozen=True):
    """A connection that was made, or has ended."""

    connection: Connection
    connected: bool


class Announcement(Struct, frozen=True):
    """What applications are told of a device's presence."""

    org: str
    env: str
    device: str
    body: bytes


class Change(Struct, frozen=True):
    """An account to be published, or (None) to be taken away. `number` is its place in the list of pending changes.

    `public` is its name on the broker, `org` the organization whose it is or was.
    """

    number: int
    org: str
    public: str
    account: Account | None


class Certificate(Struct, frozen=True):
    """What a server shows: a chain and its key in PEM, the key under a password."""

    chain: str
    key: str
    password: str


class State(Struct, frozen=True):
    """Whether the broker is `up`, `away` or `off`, and where clients find it."""

    state: str
    urls: list[str]


class Bus(Protocol):
    """The broker, as the service sees it."""

    def state(self) -> State: ...

    @property
    def is_own(self) -> bool:
        """Whether the broker is one that we start."""

    def mint_device(self, org: str, device: str, *, mqtt: bool = False) -> Minted:
        """A credential for a device. It works once its account is published.

        For MQTT, `api_key` is a password, which is sent to the broker as it is, and `secret` is of no use.
        """

    def mint_app(
        self, org: str, role: str, scopes: tuple[str, ...] = (), *, commands: bool, until: int | None = None
    ) -> Minted:
        """A credential for an application, which the broker accepts until an instant, or for ever."""

    def account_of_apps(self, org: str, role: str, scopes: tuple[str, ...] = ()) -> str:
        """The broker's name for the account of applications of a role and scopes."""

    def setup(self) -> str:
        """The configuration that a broker needs to trust our credentials."""

    async def present(self, certificate: Certificate) -> None:
        """Show this certificate from now on, and one like it when it is about to expire. Only if it `is_own`."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes of ours may use the same broker."""

    async def share(self, body: bytes) -> None:
        """Tell the other processes something. Those that cannot be reached miss it."""

    def on_shared(self, listener: Callable[[bytes], None]) -> None:
        """Call `listener` with what the other processes share."""

    @property
    def is_up(self) -> bool:
        """Whether this process reaches the broker."""

    @property
    def waiting_since(self) -> Instant | None:
        """When the oldest message was published that this process has read and not stored."""

    async def show(self, readings: Sequence[Shown]) -> None:
        """Tell applications of readings that did not come by the broker. One that is away misses them."""

    async def settle(self) -> None:
        """Wait until the broker knows which accounts have changed, for `BUS_SETTLE` at most; one that is away is not
        waited for.
        """

    async def send(self, org: str, env: str, device: str, name: str, body: bytes) -> None:
        """Queue a command. Returns once it is stored. Raises Fault unavailable `broker_unavailable` or `no_broker`."""

    async def call(self, org: str, env: str, device: str, name: str, body: bytes, seconds: float) -> bytes:
        """Ask a device and await its reply.

        Raises Fault conflict `device_not_listening` or `device_silent`, and unavailable `broker_unavailable`
        or `no_broker`.
        """

    def hang_up(self) -> None:
        """End all calls, because the server stops: a device that has not answered by now counts as silent."""


class Registry(Protocol):
    """The service, as the broker sees it."""

    async def accounts(self) -> list[Account]:
        """Every account that there should be."""

    async def changes(self) -> list[Change]:
        """Accounts to publish or to take away, oldest first; up to `BUS_CHANGES` at a time."""

    async def settled(self, numbers: Sequence[int]) -> None:
        """Forget these changes."""

    async def answer(self, request: Request) -> bytes:
        """The reply to a request; there always is one."""

    async def has(self, org: str, device: str) -> bool:
        """Whether the organization has the device."""

    async def certify(self, names: Sequence[str]) -> Certificate:
        """A new certificate for these host names."""

    async def publishing(self, orgs: Collection[str]) -> set[str]:
        """Those of these organizations that have a credential for a device, which may publish."""

    async def ingested(self) -> dict[str, StreamPosition]:
        """How much is in the store of each incarnation of a stream of which anything is."""

    async def rewind(self, stream: str, sequence: int) -> None:
        """The broker has lost some of that incarnation: what it holds beyond `sequence` is new."""

    async def go_on(self, stream: str, former: str) -> None:
        """What the store has of the incarnation `former` it has of `stream`, which holds the same messages."""

    async def ingest(self, batches: Sequence[Batch]) -> Sequence[Message]:
        """Store batches of several streams, all of them or nothing. Returns what applications are to be told."""

    async def forget_streams(self, streams: Sequence[str]) -> None:
        """These incarnations are gone for ever."""

    async def note_connections(self, changes: Sequence[ConnectionChange]) -> list[Announcement]:
        """Note which connections were made and ended. Returns what to announce of it."""

    async def reconcile_connections(self, connections: Sequence[Connection]) -> list[Announcement]:
        """Note that there are these connections and no others. Returns what to announce of it."""
