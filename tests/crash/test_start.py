"""What a server does with the data directory it is given: it serves what is sound, and refuses the rest untouched.

A refusal is one sentence and an exit code that a script can tell from others; nothing is made, mended or thrown away.
"""

import asyncio
import contextlib
import os
import random
import resource
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw
import httpx
import pytest

from fleetroll.core.query import Page, Sort
from fleetroll.data_directory import claim, is_database, secret_of
from fleetroll.store import migrations, sqlite
from fleetroll.store.port import Records
from tests.support.app import ADMIN_KEY, about_sqlite
from tests.support.process import fleetroll, serving, start
from tests.support.server_keys import ANOTHER_KEY, unmark
from tests.support.stores import NOW, device, document, organization
from tests.support.tracing import traced, tracing

DATABASE = "fleetroll.db"
STORE, CLOCK, BUSY = 65, 71, 75
pytestmark = about_sqlite


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def attempt(data: Path, under: Sequence[str] = (), **variables: str) -> tuple[int, list[str], str]:
    """Start a server that should refuse: its exit code, the lines it complained in, and what it announced."""
    ended = subprocess.run(
        [*under, sys.executable, "-m", "fleetroll", "serve", "--data", str(data), "--http", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "FLEETROLL_ADMIN_KEY": ADMIN_KEY, **variables},
    )
    return ended.returncode, ended.stderr.splitlines(), ended.stdout


def assert_refused(data: Path, code: int, about: str, **variables: str) -> None:
    before = contents(data)
    status, lines, announced = attempt(data, **variables)
    assert status == code, lines
    (sentence,) = lines
    assert sentence.startswith("fleetroll: ")
    assert sentence.endswith(".")
    assert about in sentence
    assert announced == ""
    assert contents(data) == before


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that a server has used and left."""
    data = tmp_path_factory.mktemp("sound") / "data"
    with serving(data):
        pass
    return data


@pytest.fixture
def data(sound: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "data"
    copy.mkdir()
    for name, content in contents(sound).items():
        (copy / name).write_bytes(content)
    return copy


def test_a_server_leaves_a_directory_that_is_private_and_complete(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data):
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        for file in data.iterdir():
            with contextlib.suppress(FileNotFoundError):  # the mark of a first start goes when it is over
                assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
    assert {file.name for file in data.iterdir()} == {"lock", "server.key", DATABASE}


@pytest.mark.parametrize("options", [(), ("--public-url", "https://fleet.example.com")])
def test_a_server_on_every_interface_says_where_it_is_to_be_found(tmp_path: Path, options: tuple[str, ...]) -> None:
    server = start(tmp_path / "data", "--http", "0.0.0.0:0", "--nats", "off", *options)
    server.popen.terminate()
    assert server.popen.stdout is not None
    announced = server.announced + server.popen.stdout.read()
    server.popen.stdout.close()
    server.popen.wait(15)
    assert f"  API   http://localhost:{server.port}/v1\n" in announced
    assert ("--public-url" in announced) is not bool(options)


def test_a_server_without_the_native_api_does_not_name_its_path(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--nats", "off", "--disable", "native") as server:
        assert f"  API   {server.url}\n" in server.announced


def test_a_first_start_shows_no_steps_of_a_schema(tmp_path: Path) -> None:
    # They would stand before the one line that a new user needs, which has the admin key.
    with serving(tmp_path / "data"):
        pass
    assert "schema" not in (tmp_path / "data.log").read_text()


def test_a_first_key_that_cannot_be_shown_is_no_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    serve = [sys.executable, "-m", "fleetroll", "serve", "--data", str(data), "--http", "127.0.0.1:0", "--nats", "off"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(serve, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert ended.returncode == 74
    assert ended.stderr == "fleetroll: standard output cannot be written: No space left on device.\n"
    with serving(data) as server:
        assert httpx.get(f"{server.url}/v1/me", headers={"x-api-key": server.key}).status_code == 200


def test_a_second_server_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data):
        code, (sentence,), _ = attempt(data)
        assert code == BUSY
        assert "in use by another fleetroll serve" in sentence
    with serving(data):
        pass


CLOCKS = {
    "before 1970": "lambda: -1_000_000_000",
    "never set": "lambda: 0",
    "one second too early": "lambda: 1_577_836_799 * 10**9",
    "in 2100": "lambda: 4_102_444_800 * 10**9",
    "beyond 2262, where it seems to stand still": "lambda: 2**63 - 1",
}
MOVED = """
import time
time.time_ns = {clock}
time.time = lambda: time.time_ns() / 10**9
"""


def with_clock(folder: Path, clock: str) -> dict[str, str]:
    """The environment of a process whose clock tells this."""
    (folder / "sitecustomize.py").write_text(MOVED.format(clock=clock))
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_server_with_an_absurd_clock_says_so_and_touches_nothing(data: Path, tmp_path: Path, clock: str) -> None:
    absurd = with_clock(tmp_path, CLOCKS[clock])
    assert_refused(data, CLOCK, "The system's clock is not between", **absurd)
    examined = fleetroll("doctor", "--data", str(data), **absurd)
    assert (examined.returncode, "Z cannot be" in examined.stdout) == (1, True)


@pytest.mark.parametrize("second", [1_577_836_800, 4_102_444_700])
def test_a_clock_that_is_merely_wrong_is_taken(data: Path, tmp_path: Path, second: int) -> None:
    with serving(data, **with_clock(tmp_path, f"lambda: {second} * 10**9")) as server:
        reply = httpx.get(f"{server.url}/v1/devices", headers={"x-api-key": server.key})
        assert reply.status_code == 200


def test_a_server_takes_as_many_connections_as_it_may_where_the_shell_allows_few(tmp_path: Path) -> None:
    shell = ("sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh")
    with serving(tmp_path / "data", under=shell) as server, contextlib.ExitStack() as silent:
        for _ in range(300):
            silent.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert httpx.get(f"{server.url}/health").status_code == 200


def test_a_server_that_dies_leaves_none_of_its_memory_on_disk(tmp_path: Path) -> None:
    shell = ("sh", "-c", 'ulimit -Sc $(ulimit -Hc); exec "$@"', "sh")
    with serving(tmp_path / "data", under=shell) as server:
        soft, hard = resource.prlimit(server.popen.pid, resource.RLIMIT_CORE)
        assert soft == (1 if hard else 0)  # less than a page, and what keeps it from programs that gather cores, too


def test_a_server_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    data = tmp_path / "data"
    killed = start(data)
    killed.popen.kill()
    killed.popen.communicate()
    with serving(data):
        pass


def test_a_database_that_somebody_else_has_locked_is_not_called_damaged(data: Path) -> None:
    with contextlib.closing(apsw.Connection(str(data / DATABASE))) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").fetchall()
        code, (sentence,), _ = attempt(data)
    assert code == STORE
    assert "cannot be used: database is locked" in sentence


# Makes the modes of files bind a superuser too.
HELD = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def test_a_database_that_may_only_be_read_is_refused_before_anything_is_announced(data: Path) -> None:
    (data / DATABASE).chmod(0o400)
    code, (sentence,), announced = attempt(data, HELD)
    assert (code, announced) == (STORE, "")
    assert "is read-only" in sentence


def test_a_directory_of_somebody_else_is_refused_as_one_that_cannot_be_used(data: Path) -> None:
    data.chmod(0)
    code, (sentence,), announced = attempt(data, HELD)
    assert (code, announced) == (STORE, "")
    assert "cannot be used as the data directory: Permission denied" in sentence


# --- what is not a store ---------------------------------------------------------------------------------------------


def foreign(file: Path) -> None:
    file.unlink()
    other = apsw.Connection(str(file))
    other.execute("CREATE TABLE mine (precious TEXT); INSERT INTO mine VALUES ('kept')")
    other.close()


def newer(file: Path) -> None:
    known = len(migrations.load("sqlite"))
    connection = apsw.Connection(str(file))
    connection.execute(
        f"PRAGMA journal_mode = DELETE; PRAGMA user_version = {known + 1}; PRAGMA journal_mode = WAL"
    ).fetchall()
    connection.close()


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def cut_to(size: int) -> Callable[[Path], None]:
    return lambda file: os.truncate(file, size)


def garbage(file: Path) -> None:
    file.write_bytes(random.Random(7).randbytes(file.stat().st_size))


def overwrite(offset: int, content: bytes) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        with file.open("r+b") as stream:
            stream.seek(offset)
            stream.write(content)

    return damage


def zeroes_inside(file: Path) -> None:
    overwrite(4096, bytes(8192))(file)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("damage", "about"),
    [
        (Path.unlink, "is missing"),
        (foreign, "is not a Fleetroll database"),
        (newer, "Run a newer release"),
        (cut, "damaged"),
        (cut_to(0), "not a Fleetroll database"),
        (cut_to(50), "not a Fleetroll database"),
        (cut_to(4096), "damaged"),
        (garbage, "damaged or not a database"),
        (overwrite(0, b"XQLite format 3"), "damaged or not a database"),
        (overwrite(16, b"\x00\x03"), "damaged or not a database"),
        (overwrite(60, b"\x00\x00\x00\x00"), "damaged: it says that it has schema 0"),
        (overwrite(60, b"\xff\xff\xff\xff"), "damaged: it says that it has schema -1"),
        (overwrite(68, b"\x00\x00\x00\x00"), "is not a Fleetroll database"),
        (zeroes_inside, "damaged"),
    ],
    ids=lambda case: getattr(case, "__name__", None),
)
def test_a_database_that_is_not_ours_or_not_whole_is_refused_untouched(
    data: Path, damage: Callable[[Path], None], about: str
) -> None:
    damage(data / DATABASE)
    assert_refused(data, STORE, about)


def test_a_server_goes_on_where_a_damaged_page_has_failed_a_read(data: Path) -> None:
    """No start looks for damage in an index alone."""
    with serving(data, "--nats", "off") as server:
        made = {"ident": "before", "kind": "k"}
        assert httpx.post(f"{server.url}/v1/devices", json=made, headers={"x-api-key": server.key}).status_code == 201
    with contextlib.closing(apsw.Connection(str(data / DATABASE), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'device_kind'").get
        size = connection.pragma("page_size")
    # The length of the only record's header, which is then longer than the whole record.
    cell = int.from_bytes((data / DATABASE).read_bytes()[(root - 1) * size + 8 :][:2], "big")
    overwrite((root - 1) * size + cell + 1, b"\x7f")(data / DATABASE)
    with serving(data, "--nats", "off") as server, httpx.Client(headers={"x-api-key": server.key}) as client:
        assert client.get(f"{server.url}/v1/stats").status_code == 500
        assert client.post(f"{server.url}/v1/owners", json={"ref": "ann"}).status_code == 201
        assert client.get(f"{server.url}/v1/owners/ann").status_code == 200


def test_a_folder_in_the_place_of_the_database_is_refused(data: Path) -> None:
    a_folder(data / DATABASE)
    code, (sentence,), _ = attempt(data)
    assert code == STORE
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("damage", "about"),
    [
        (Path.unlink, "it is in no backup"),
        (cut_to(0), "damaged"),
        (cut_to(31), "damaged"),
        (overwrite(0, b"not hexadecimal!"), "damaged"),
    ],
    ids=lambda case: getattr(case, "__name__", None),
)
def test_a_lost_or_damaged_server_key_is_refused_and_not_made_anew(
    data: Path, damage: Callable[[Path], None], about: str
) -> None:
    damage(data / "server.key")
    assert_refused(data, STORE, about)


def mark(data: Path) -> object:
    with contextlib.closing(apsw.Connection(str(data / DATABASE))) as connection:
        return connection.execute("SELECT mark FROM server_key").get


def test_another_server_key_is_refused_untouched(data: Path) -> None:
    key = (data / "server.key").read_text()
    assert_refused(data, STORE, "made with another server key", FLEETROLL_SERVER_KEY=ANOTHER_KEY)
    (data / "server.key").write_text(ANOTHER_KEY)
    assert_refused(data, STORE, "made with another server key")
    with serving(data, FLEETROLL_SERVER_KEY=key) as server:
        assert httpx.get(f"{server.url}/v1/me", headers={"x-api-key": server.key}).status_code == 200


def test_a_registry_without_a_mark_gets_that_of_the_key_it_is_first_started_with(data: Path) -> None:
    left = mark(data)
    unmark(data / DATABASE)
    with serving(data):
        pass
    assert mark(data) == left
    assert_refused(data, STORE, "made with another server key", FLEETROLL_SERVER_KEY=ANOTHER_KEY)


def test_a_registry_without_a_mark_takes_no_key_that_does_not_open_its_authorities(data: Path) -> None:
    with serving(data) as server:
        headers = {"x-api-key": server.key}
        assert httpx.post(f"{server.url}/v1/authorities", json={"name": "a"}, headers=headers).status_code == 201
    unmark(data / DATABASE)
    assert_refused(data, STORE, "made with another server key", FLEETROLL_SERVER_KEY=ANOTHER_KEY)
    with serving(data):
        pass
    assert mark(data) is not None


@pytest.mark.parametrize("left", [(), ("lock",)])
def test_a_directory_that_was_made_before_is_good_for_a_first_start(tmp_path: Path, left: tuple[str, ...]) -> None:
    """As a service manager makes it, or a container's volume; the lock is all that is left of a start that failed."""
    for name in left:
        (tmp_path / name).touch()
    directory = claim(tmp_path)
    assert directory.fresh
    directory.close()


def test_a_directory_that_holds_something_else_is_refused_untouched(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "thesis.txt").write_text("precious")
    code, (sentence,), _ = attempt(data)
    assert code == STORE
    assert "is not empty" in sentence
    assert contents(data) == {"thesis.txt": b"precious"}


# --- damage by chance ------------------------------------------------------------------------------------------------

DEVICES = 40


async def fill(file: Path) -> list[object]:
    store = sqlite.open_store(file, create=True)

    async def work(records: Records) -> int:
        root = await records.organizations.insert(organization(None, "default"))
        assert root is not None
        new = [
            device(f"device {number}", tags=("t", f"t{number}"), metadata=document(f'{{"text":"{"x" * 300}"}}'))
            for number in range(DEVICES)
        ]
        await records.devices.insert_many(root.id, new, NOW)
        return root.id

    org = await store.write(work)
    devices: list[object] = list(await store.scan.devices.page(org, None, Sort(), Page(1000)))
    await store.close()
    return devices


async def open_and_read(file: Path) -> tuple[list[object], str | None]:
    """What a store gives, or why it does not open."""
    try:
        store = sqlite.open_store(file, create=False)
    except sqlite.Refused as refusal:
        return [], str(refusal)
    try:
        return list(await store.scan.devices.page(1, None, Sort(), Page(1000))), None
    finally:
        await store.close()


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_refused_or_harmless(tmp_path: Path, seed: int) -> None:
    """Bits of the header, page headers and b-tree pointers flipped at random: never a crash, never other devices."""
    file = tmp_path / DATABASE
    devices = asyncio.run(fill(file))
    content = file.read_bytes()
    chance = random.Random(f"{os.environ['FLEETROLL_SEED']} {seed}")
    refused = 0
    for _ in range(40):
        damaged = bytearray(content)
        page = chance.randrange(len(content) // 4096) * 4096
        place = chance.choice([chance.randrange(100), page + chance.randrange(12), page + 12 + chance.randrange(20)])
        damaged[place] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        found, refusal = asyncio.run(open_and_read(file))
        if refusal is None:
            assert found == devices
        else:
            refused += 1
            assert refusal.endswith(".")
            assert "\n" not in refusal
            assert file.read_bytes() == damaged
        for left in (f"{DATABASE}-wal", f"{DATABASE}-shm"):
            (tmp_path / left).unlink(missing_ok=True)
    assert refused


# --- first start -----------------------------------------------------------------------------------------------------


def test_a_first_start_that_broke_off_is_started_over(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "lock").touch()
    (data / "first-start").touch()
    (data / "server.key").write_text("half a k")
    (data / "server.key.new").write_text("ha")
    (data / DATABASE).write_bytes(b"SQLite format 3\x00 and no more")
    (data / f"{DATABASE}-wal").write_bytes(b"half a page")
    with serving(data):
        pass
    assert {file.name for file in data.iterdir()} == {"lock", "server.key", DATABASE}
    with serving(data):
        pass


@pytest.mark.parametrize("seed", range(6))
def test_a_first_start_killed_at_any_time_can_be_tried_again(tmp_path: Path, seed: int) -> None:
    data = tmp_path / "data"
    popen = subprocess.Popen(
        [sys.executable, "-m", "fleetroll", "serve", "--data", str(data), "--http", "127.0.0.1:0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "FLEETROLL_ADMIN_KEY": ADMIN_KEY},
    )
    steps = random.Random(seed).randrange(1, 5)
    while popen.poll() is None and len(list(data.iterdir()) if data.exists() else ()) < steps:
        pass
    popen.send_signal(signal.SIGKILL)
    popen.wait()
    with serving(data):
        assert (data / DATABASE).stat().st_size


@pytest.mark.parametrize("text", ["ab" * 31, "ab" * 33, "AB" * 32 + "x", "a text that is long enough to be a key"])
def test_a_server_key_that_is_not_written_as_a_file_has_it_is_the_text_itself(tmp_path: Path, text: str) -> None:
    # A server that read it otherwise would refuse the registry that was made with it.
    assert secret_of(tmp_path, text) == text.encode()
    assert secret_of(tmp_path, "AB" * 32) == b"\xab" * 32


def test_only_the_database_of_a_directory_is_its_database(data: Path) -> None:
    (data / "lock").touch()
    assert is_database(data / DATABASE)
    assert not is_database(data / "backup.db")


def test_a_server_key_that_is_there_is_used_for_a_new_database(tmp_path: Path) -> None:
    data = claim(tmp_path / "data", has_database=False)
    data.make_key()
    made = data.server_key(None)
    data.make_key()
    assert data.server_key(None) == made
    data.close()


@traced
@pytest.mark.parametrize(("call", "last"), [("write", 1), ("fsync", 4)])
def test_a_server_key_is_made_as_a_whole_or_not_at_all(tmp_path: Path, call: str, last: int) -> None:
    """In a directory without a database nothing else says that a first start broke off."""
    make = "import sys; from pathlib import Path; from fleetroll.data_directory import claim; "
    make += "claim(Path(sys.argv[1]), has_database=False).make_key()"
    for nth in range(1, last + 2):
        data = tmp_path / str(nth)
        killing = tracing(call, tmp_path / "log", f"signal=KILL:when={nth}")
        killed = subprocess.run([*killing, sys.executable, "-c", make, str(data)], capture_output=True, check=False)
        assert (killed.returncode != 0) == (nth <= last), nth
        again = claim(data, has_database=False)
        again.make_key()
        assert len(again.server_key(None)) == 32
        again.close()
