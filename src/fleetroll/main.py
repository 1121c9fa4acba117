"""The only module that imports everything: it puts the parts together and runs them."""

import asyncio
import contextlib
import gc
import os
import resource
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import uvloop
from msgspec import structs

from fleetroll.announcement import announce, local_url
from fleetroll.application import Application, require_known_dialects
from fleetroll.bus.broker import Broker, Off
from fleetroll.bus.permissions import Authority
from fleetroll.bus.process import Process, end_stale
from fleetroll.bus.settings import Files, Listeners, address_of
from fleetroll.bus.settings import write as write_settings
from fleetroll.cli.backend import Backend
from fleetroll.cli.failures import ServeExit
from fleetroll.config import (
    NO_BROKER,
    USUAL_BROKER,
    Config,
    ConfigError,
    address,
    broker_urls,
    cannot_listen,
    host_and_port,
    require_supported,
)
from fleetroll.core import encodings, limits, tokens
from fleetroll.core.certificates import SignedList
from fleetroll.core.faults import Fault
from fleetroll.core.model import Cohort, Instant, MetadataField
from fleetroll.core.times import DAY
from fleetroll.data_directory import DATABASE, DataDirectory, DirectoryRefused, claim, is_unfinished
from fleetroll.inherited_sockets import EST, Inherited, inherited
from fleetroll.maintenance.engine import Engine
from fleetroll.maintenance.engine import Refused as RefusedAtRest
from fleetroll.maintenance.examining import examine
from fleetroll.maintenance.restoring import restore
from fleetroll.offline_database import OfflineDatabase
from fleetroll.pki.x509 import X509
from fleetroll.service import bootstrap, broker_accounts, housekeeping, leases
from fleetroll.service.applications import Applications
from fleetroll.service.broker import Registry
from fleetroll.service.keyring import Keyring
from fleetroll.service.live_readings import Live
from fleetroll.service.operations import Services
from fleetroll.service.publisher import Publisher
from fleetroll.service.read_cache import ReadCache
from fleetroll.service.retention import Retention
from fleetroll.service.server_key import belongs, is_new, leave_mark
from fleetroll.store import postgres, sqlite
from fleetroll.store.port import Origin
from fleetroll.store.postgres import PostgresStore
from fleetroll.store.refusals import InvalidLocation, Refused, Unreachable, Unwritable
from fleetroll.supervisor import Supervisor
from fleetroll.wire import log
from fleetroll.wire.est_listener import EstListener
from fleetroll.wire.http_server import BACKLOG, CannotListen, HttpServer
from fleetroll.wire.metrics import watch_loop_lag
from fleetroll.wire.rate_limits import SharedLimitState

OpenStore: TypeAlias = sqlite.SqliteStore | PostgresStore
# The commit thread and the loop share one interpreter; the default of 5 ms would be most of a reply's time.
_SWITCH_SECONDS = 0.0001
# Requests leave no cycles behind; looking for them after every few hundred objects costs more than it finds.
_COLLECTOR_THRESHOLDS = (20_000, 20, 50)
_NOTE_USE_SECONDS = 10.0
_ANALYZE_SECONDS = 300.0
_FORGET_ACCOUNTS_SECONDS = 3600.0
_SHOW_SECONDS = 1.0  # before applications are shown readings again, after that has failed
_CALLS_GRACE_SECONDS = 3.0  # for devices to answer calls once the server drains
_HOW_TO_BEGIN = "Name its place with --data or --database; the first `fleetroll serve` makes one."


def now() -> Instant:
    return time.time_ns() // 1000


def random_text(length: int) -> str:
    """Characters of `tokens.ALPHABET`, each with the full randomness of the system's source."""
    return "".join(secrets.choice(tokens.ALPHABET) for _ in range(length))


def serve(config: Config) -> int:
    """Run a server until it is told to stop. Returns the exit code."""
    # With a wrong clock it would issue certificates for wrong times, and refuse the times that devices report.
    if not limits.EARLIEST_CLOCK <= seconds() < limits.LATEST_CLOCK:
        return _refuse("The system's clock is not between 2020 and 2100: set it, and start again.", ServeExit.CLOCK)
    log.configure(config.log_level)
    sys.setswitchinterval(_SWITCH_SECONDS)
    _leave_no_core()
    _allow_open_files()
    serve_config = _serve_alone if config.workers == 1 else _serve_with_workers
    return _or_refuse(config, lambda: serve_config(config, _passed(config)))


def _passed(config: Config) -> Inherited:
    """The sockets that a service manager has opened, instead of those that the options name. Raises ConfigError."""
    found = inherited(os.environ)
    if found.est and config.est is None:
        raise ConfigError(f"a socket called {EST} was passed, which is for enrolment: switch that on with --est.")
    return found


def _leave_no_core() -> None:
    """A process that dies is not written to disk, whatever the shell allows: the server key would be in the file.

    A limit of 0 is none for a program that gathers cores, if the kernel hands them to one; 1 is for both.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (1 if hard else 0, hard))


def _allow_open_files() -> None:
    """Allow as many as the connections need: shells and services allow a tenth of it unless asked for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(limits.MAX_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # a system may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _or_refuse(config: Config, work: Callable[[], int]) -> int:
    """The exit code of `work`, or of a refusal, which is printed as one sentence."""
    try:
        require_supported(config)
        require_known_dialects(config)
        return work()
    except (ConfigError, InvalidLocation) as problem:
        return _refuse(str(problem), ServeExit.CONFIG)
    except DirectoryRefused as problem:
        return _refuse(str(problem), ServeExit.BUSY if problem.busy else ServeExit.STORE)
    except Unreachable as problem:
        return _refuse(str(problem), ServeExit.AWAY)
    except Unwritable as problem:
        return _refuse(str(problem), ServeExit.FAILED)
    except Refused as problem:
        return _refuse(str(problem), ServeExit.STORE)
    except Fault as problem:  # in what a start writes, such as the first key
        return _refuse(problem.message, ServeExit.FAILED)
    except CannotListen as problem:
        return _refuse(str(cannot_listen("--http", config.host, config.port, problem.reason)), ServeExit.CONFIG)
    except OSError as problem:
        return _refuse(f"{problem.filename or config.data} cannot be written: {problem.strerror}.", ServeExit.FAILED)


def _refuse(sentence: str, code: ServeExit) -> int:
    print(f"fleetroll: {sentence}", file=sys.stderr)
    return code


def _serve_alone(config: Config, passed: Inherited) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(config, passed))


async def _serve(config: Config, passed: Inherited) -> int:
    directory = claim(config.data, has_database=config.postgres is None)
    try:
        is_away = _is_broker_address_taken(config, passed, _broker_files(directory.path))
        async with opened(config, directory) as (services, store):
            token = await first_key(config, services)

            def ready(server: HttpServer) -> None:
                # Nothing can come between these lines and the first request, so nothing acknowledged belongs to an
                # unfinished start.
                announce(config, server.addresses[0], token, is_away=is_away)
                directory.finish()

            return await _listen(config, services, store, ready, passed)
    finally:
        directory.close()


def _serve_with_workers(config: Config, passed: Inherited) -> int:
    """All workers accept from the same sockets. What is done once, such as the first key, is done before they start."""
    directory = claim(config.data, has_database=False)
    try:
        with asyncio.Runner() as runner:
            token = runner.run(_prepare(config, directory))
        with contextlib.ExitStack() as listening:
            if not passed.http:
                passed = structs.replace(passed, http=(listening.enter_context(_listener(config)),))
            host, port = passed.http[0].getsockname()[:2]
            work = partial(_work, structs.replace(config, migrate=False), directory, passed, SharedLimitState())
            supervisor = Supervisor(config.workers, work)
            return supervisor.run(lambda: announce(config, (host, port), token))
    finally:
        directory.close()


def _listener(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family, backlog=BACKLOG)
    except OSError as problem:
        raise CannotListen(problem) from None


async def _prepare(config: Config, directory: DataDirectory) -> str | None:
    async with opened(config, directory) as (services, _):
        return await first_key(config, services)


def _work(
    config: Config,
    directory: DataDirectory,
    sockets: Inherited,
    limit_state: SharedLimitState,
    ready: Callable[[], None],
) -> int:
    async def run() -> int:
        async with opened(config, directory) as (services, store):
            return await _listen(config, services, store, lambda _: ready(), sockets, limit_state)

    def work() -> int:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run())

    return _or_refuse(config, work)


@contextlib.asynccontextmanager
async def opened(config: Config, directory: DataDirectory) -> AsyncIterator[tuple[Services, OpenStore]]:
    """The services over the directory's store, or the configured one, which is closed at the end."""
    opening = await _open_store(config, directory)
    store, server_key = opening.store, opening.server_key
    try:
        if not opening.is_marked and not await leave_mark(store, server_key):
            raise _of_another_key(config)
        definitions: ReadCache[int, list[MetadataField]] = ReadCache(store, limits.MAX_REMEMBERED)
        cohorts: ReadCache[tuple[int, str], Cohort] = ReadCache(store, limits.MAX_REMEMBERED)
        lists: ReadCache[int, SignedList] = ReadCache(store, limits.MAX_REMEMBERED_LISTS)
        bus = broker(config, directory.path, server_key)
        services = Services(
            store=store,
            clock=now,
            random_text=random_text,
            server_key=server_key,
            publisher=Publisher(store),
            keyring=Keyring(store, server_key),
            definitions=definitions,
            cohorts=cohorts,
            revocation_lists=lists,
            pki=_pki(server_key),
            bus=bus,
            live=Live(bus),
            applications=Applications(store, bus, now),
            server_authority=server_authority(config),
            presents_own=config.presents_own,
        )
        store.on_news(services.forget)
        yield services, store
    finally:
        await store.close()


def server_authority(config: Config) -> bytes | None:
    """The last certificate of the operator's chain, by which devices recognize the server; None without one.

    Raises ConfigError for a file that cannot be read as a chain.
    """
    if config.est_certificate is None:
        return None
    try:
        return encodings.chain(config.est_certificate.read_bytes())[-1]
    except (OSError, Fault):
        raise ConfigError("--est-certificate must be a chain of certificates in PEM.") from None


class _OpenedStore(NamedTuple):
    """A store, its server key, given or made for a new store, and whether the store has the mark of that key."""

    store: OpenStore
    server_key: bytes
    is_marked: bool


async def _open_store(config: Config, directory: DataDirectory) -> _OpenedStore:
    """The store that is configured.

    A store that was made with another key is left as it was found, even if its schema is older.
    """
    is_marked = False

    def admit(origin: Origin) -> None:
        nonlocal is_marked
        if config.server_key is None and config.postgres is not None and is_new(origin):
            directory.make_key()
        server_key = directory.server_key(config.server_key)
        if not belongs(origin, _pki(server_key), server_key):
            raise _of_another_key(config)
        is_marked = origin.mark is not None

    if config.postgres is None:
        server_key = directory.server_key(config.server_key)
        store: OpenStore = sqlite.open_store(directory.database, create=directory.fresh, admit=admit)
        return _OpenedStore(store, server_key, is_marked)
    unsafe = config.allow_unsafe_database
    store = await postgres.open_store(config.postgres, migrate=config.migrate, unsafe=unsafe, admit=admit)
    return _OpenedStore(store, directory.server_key(config.server_key), is_marked)


def _pki(server_key: bytes) -> X509:
    return X509(tokens.derive(server_key, "authority-keys"))


def _of_another_key(config: Config) -> Refused:
    """Nothing that was made with one server key is of use with another."""
    return Refused(
        "The database was made with another server key: give that one in FLEETROLL_SERVER_KEY, or put its "
        f"server.key into {config.data}."
    )


def broker(config: Config, directory: Path, server_key: bytes) -> Broker | Off:
    """The broker that the configuration asks for, which `_with_broker` runs. Raises ConfigError."""
    authority, shared = Authority(server_key), config.postgres is not None
    if config.nats == NO_BROKER:
        return Off(authority, seconds)
    if "://" in config.nats:
        urls = broker_urls(config.nats)
        return Broker(authority, seconds, lambda: urls, None, shared=shared, replicas=config.nats_replicas)
    files = _broker_files(directory)
    listeners = Listeners(
        address(config.nats, "--nats"),
        address(config.nats_ws, "--nats-ws") if config.nats_ws else None,
        address(config.mqtt, "--mqtt") if config.mqtt else None,
        config.nats_silence,
    )
    started = seconds()  # on a reload, the broker accepts no other operator token
    process = Process(files, lambda known: write_settings(files, listeners, authority, started, known))
    return Broker(authority, seconds, lambda: [f"nats://{address_of(files)}"], process, shared=shared)


def _broker_files(directory: Path) -> Files:
    return Files(directory / "nats")


def _is_broker_address_taken(config: Config, passed: Inherited, files: Files) -> bool:
    """Whether something else listens at the embedded broker's usual address, which is only a default.

    Raises ConfigError if something listens at another one, which somebody has named, or if this server is to listen
    there by another option: else only the log would say so.
    """
    if not config.keeps_broker or config.postgres is not None:
        return False  # over PostgreSQL another server of this machine may keep the broker there, to be taken over
    end_stale(files)
    listeners = (
        ("--http", None if passed.http else host_and_port(config.host, config.port)),
        ("--est", None if passed.est or not config.est else host_and_port(*config.est)),
        ("--nats", config.nats),
        ("--nats-ws", config.nats_ws),
        ("--mqtt", config.mqtt),
    )
    with contextlib.ExitStack() as kept:  # until the last: no two of them are at one address
        free = [_is_free(kept, option, text) for option, text in listeners if text]
    return not all(free)


def _is_free(kept: contextlib.ExitStack, option: str, text: str) -> bool:
    """Whether an address can be had, which is then `kept`. Raises ConfigError for one that cannot, and was named."""
    try:
        kept.enter_context(_bound(option, *address(text, option)))
    except ConfigError:
        if (option, text) != ("--nats", USUAL_BROKER):
            raise
        return False
    return True


def _bound(option: str, host: str, port: int) -> socket.socket:
    try:
        # Of a name's addresses the broker takes the first, of IPv4 if there is one.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, where = min(found, key=lambda one: one[0] != socket.AF_INET)
        return socket.create_server(where, family=family)
    except OSError as problem:
        raise cannot_listen(option, host, port, problem) from None


def seconds() -> int:
    return int(time.time())


async def _listen(
    config: Config,
    services: Services,
    store: OpenStore,
    ready: Callable[[HttpServer], None],
    sockets: Inherited,
    limit_state: SharedLimitState | None = None,
) -> int:
    access = log.AccessLog(sys.stderr if config.log_requests else None, asyncio.get_running_loop())
    application = Application(config, services, access, limit_state)

    def listening(server: HttpServer) -> None:
        application.subjects.origin = config.public_url or local_url(*server.addresses[0])
        ready(server)

    http = HttpServer(
        application.asgi,
        config.host,
        config.port,
        sockets=sockets.http,
        refusals=application.refusals,
        on_ready=listening,
    )
    _freeze_collector()
    async with (
        _with_est_listener(config, services, application, http, sockets.est),
        _housekeeping(config, services, store, application, http),
        _with_broker(services, store, application),
    ):
        await http.run()
        _ignore_signals()
    access.flush()
    return ServeExit.FAILED if store.failure.is_set() else 0


def _freeze_collector() -> None:
    """Everything that lives as long as the process is made by now; the collector need not walk it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTOR_THRESHOLDS)


@contextlib.asynccontextmanager
async def _with_est_listener(
    config: Config, services: Services, application: Application, http: HttpServer, sockets: Sequence[socket.socket]
) -> AsyncIterator[None]:
    """The listener for devices that enrol, if there is one; it drains together with the other."""
    if config.est is None:
        yield
        return
    listener = EstListener(config, services, application.asgi, application.refusals, sockets)
    async with listener.serving(http.draining):
        yield


@contextlib.asynccontextmanager
async def _with_broker(services: Services, store: OpenStore, application: Application) -> AsyncIterator[None]:
    """The broker beside the server: neither waits for the other to start. Of several processes one keeps it."""
    bus = services.bus
    work: list[Coroutine[Any, Any, None]] = []
    if isinstance(bus, Broker):
        serving = partial(bus.serve, Registry(services, application.subjects.answer))
        showing = housekeeping.again(_SHOW_SECONDS, services.applications.run)
        work = [_owned(store, "broker", serving), bus.stay_connected(), showing]
    elif not isinstance(store, PostgresStore):  # there another server may have a broker
        work = [housekeeping.again(_FORGET_ACCOUNTS_SECONDS, partial(broker_accounts.forget, store))]
    async with housekeeping.beside(*work):
        yield


def _ignore_signals() -> None:
    """From here on only the store is closed. Whoever stops a process twice, as `make` does, must not cut that short."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


async def first_key(config: Config, services: Services) -> str | None:
    """The first admin key of a new registry; None where there is a registry already."""
    if await services.store.read.timeline.last():
        return None
    try:
        return await bootstrap.first_start(services, config.admin_key)
    except ValueError as problem:
        raise ConfigError(f"FLEETROLL_ADMIN_KEY: {problem}.") from None


def recover(data: Path, server_key: str | None, database: str | None) -> str:
    """Another admin key of a registry that no server of this directory is serving. Raises RefusedAtRest."""
    if not data.is_dir() or (database is None and (is_unfinished(data) or not (data / DATABASE).is_file())):
        raise RefusedAtRest(f"There is no registry in {data}.", _HOW_TO_BEGIN)
    # Whether a database is safe enough was decided by whoever serves it.
    config = Config(data=data, server_key=server_key, database=database, nats=NO_BROKER, allow_unsafe_database=True)
    try:
        return asyncio.run(_recovered(config))
    except (Refused, DirectoryRefused) as refused:
        raise RefusedAtRest(str(refused)) from None
    except Fault as problem:  # such as no room for what is written
        raise RefusedAtRest(problem.message) from None


async def _recovered(config: Config) -> str:
    if config.postgres is not None and not await postgres.is_begun(config.postgres):
        raise RefusedAtRest("There is no registry in the database.", _HOW_TO_BEGIN)
    directory = claim(config.data, has_database=config.postgres is None)
    try:
        async with opened(config, directory) as (services, store):
            if not await store.read.timeline.last():
                raise RefusedAtRest("There is no registry in the database.", _HOW_TO_BEGIN)
            return await bootstrap.recover(services)
    finally:
        directory.close()


@contextlib.asynccontextmanager
async def _housekeeping(
    config: Config, services: Services, store: OpenStore, application: Application, http: HttpServer
) -> AsyncIterator[None]:
    async def note_use() -> None:
        await housekeeping.note_use(services, application.kernel.take_last_used())

    try:
        async with housekeeping.beside(
            housekeeping.again(_NOTE_USE_SECONDS, note_use),
            housekeeping.again(_ANALYZE_SECONDS, store.analyze),
            _owned(store, "housekeeping", partial(housekeeping.keep, services, _retention(config))),
            watch_loop_lag(application.metrics),
            _end_on_failure(store, application, http),
            _turn_unready(application, services, http),
        ):
            yield
    finally:
        with contextlib.suppress(Exception):  # the store may be why the server ends
            await note_use()


def _retention(config: Config) -> Retention:
    return Retention(config.keep_events * DAY or None, config.keep_readings * DAY or None)


async def _owned(store: OpenStore, name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do what only one of the processes that share a store must do, whenever it is this one."""
    if isinstance(store, PostgresStore):
        await leases.hold(store, name, leases.this_process(), work)
    else:
        await work()


async def _end_on_failure(store: OpenStore, application: Application, http: HttpServer) -> None:
    await store.failure.wait()
    application.ready = False
    http.stop()


async def _turn_unready(application: Application, services: Services, http: HttpServer) -> None:
    await http.draining.wait()
    application.ready = False
    await asyncio.sleep(_CALLS_GRACE_SECONDS)
    services.bus.hang_up()


def backend() -> Backend:
    """What the `fleetroll` command needs of the server."""
    database = OfflineDatabase()
    engine = Engine(database.inspect, database.describe, sqlite.library)
    return Backend(serve, partial(restore, engine), partial(examine, engine), recover, database)
