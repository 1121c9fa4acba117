"""The whole server in this process, over a real store, driven by plain ASGI calls of some 20 microseconds."""

import asyncio
import atexit
import functools
import json
import os
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec import Struct, structs

from fleetroll.application import Application
from fleetroll.config import Config
from fleetroll.data_directory import DATABASE, claim
from fleetroll.main import first_key, opened
from fleetroll.service.operations import Services
from fleetroll.store import copying
from fleetroll.wire.log import AccessLog
from tests.support import postgres

ON_POSTGRES = os.environ.get("FLEETROLL_TEST_ENGINE") == "postgres"
about_sqlite = pytest.mark.skipif(ON_POSTGRES, reason="it is about the file that the other engine has")
above_the_store = pytest.mark.skipif(ON_POSTGRES, reason="it is about clients and sockets, which meet no engine")
_DATABASES: dict[Path, str] = {}
T = TypeVar("T")
ADMIN_KEY = "test-admin-key-0123456789-abcdefghijklmnop"


class Response(Struct):
    """A complete reply."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


class App:
    """A running application. `request` makes one call and waits for its whole reply."""

    def __init__(self, application: Application, services: Services, runner: asyncio.Runner) -> None:
        self.application = application
        self.services = services
        self.runner = runner
        self.key = ADMIN_KEY

    def request(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        key: str | None = ADMIN_KEY,
        headers: dict[str, str] | None = None,
        raw: bytes | list[bytes] | None = None,
    ) -> Response:
        """`body` is sent as JSON, `raw` as it is or in parts. `key` goes into a Bearer header; None sends none."""
        return self.run(self.call(method, target, body, key=key, headers=headers, raw=raw))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run in the application's loop. The runner's `run` takes longer than most requests: it sets up signals."""
        return self.runner.get_loop().run_until_complete(work)

    async def call(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        key: str | None = ADMIN_KEY,
        headers: dict[str, str] | None = None,
        raw: bytes | list[bytes] | None = None,
    ) -> Response:
        sent = {"content-type": "application/json"} if body is not None else {}
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        return await asgi(self.application.asgi, method, target, sent, content)


async def asgi(app: Any, method: str, target: str, headers: dict[str, str], body: bytes | list[bytes]) -> Response:
    """One request, as the HTTP server would pass it on."""
    raw_path, _, query = target.encode("latin-1", "replace").partition(b"?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": raw_path.decode("latin-1"),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    parts = body if isinstance(body, list) else [body]
    inbox = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    inbox[-1]["more_body"] = False
    outbox: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if inbox:
            return inbox.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        outbox.append(message)

    await app(scope, receive, send)
    start, *rest = outbox
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return Response(start["status"], found, b"".join(part.get("body", b"") for part in rest))


@functools.cache
def _begun() -> Path:
    """A data directory after its first start. Most tests begin there: a copy of it takes a quarter of such a start."""
    data = Path(tempfile.mkdtemp(prefix="fleetroll-begun-")) / "data"
    atexit.register(shutil.rmtree, data.parent)
    data.mkdir()
    with running(data):
        pass
    return data


def _begin(data: Path) -> None:
    """Leave there what a first start would."""
    begun = _begun()
    shutil.copytree(begun, data)
    if ON_POSTGRES:
        _DATABASES[data] = asyncio.run(postgres.new_database(_DATABASES[begun]))


@contextmanager
def running(data: Path, **options: Any) -> Iterator[App]:
    """An application on a data directory, with the admin key `ADMIN_KEY` and no rate limits unless asked for."""
    config = Config(
        **{"data": data, "admin_key": ADMIN_KEY, "key_rate": 0, "organization_rate": 0, "nats": "off", **options}
    )
    if not (data.exists() or data in _DATABASES or options):
        _begin(data)
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        scope = _opened(config)
        app = runner.run(scope.__aenter__())
        try:
            yield App(app[0], app[1], runner)
        finally:
            runner.run(scope.__aexit__(None, None, None))


async def _database(data: Path) -> str:
    """The database that belongs to a data directory: what stands in for the file in it."""
    if data not in _DATABASES:
        restored = data / DATABASE
        if restored.exists():  # a backup is a file of the other engine
            _DATABASES[data] = await postgres.empty_database()
            await copying.copy(restored, _DATABASES[data], lambda *_: None)
        else:
            _DATABASES[data] = await postgres.new_database()
    return _DATABASES[data]


def chosen_database(data: Path) -> dict[str, str]:
    """What a server in a process of its own is given, so that it runs on the engine that the tests run on."""
    if not ON_POSTGRES:
        return {}
    with ThreadPoolExecutor(1) as thread:  # the caller may have an event loop
        return {"FLEETROLL_DATABASE": thread.submit(asyncio.run, _database(data)).result()}


def database_of(data: Path) -> str | None:
    """The URL of what stands in for the file in a data directory, if anything does."""
    return _DATABASES.get(data)


def stored(app: App, data: Path) -> list[bytes]:
    """All that an application keeps: its files, and the rows of its database where that is elsewhere."""
    files = [file.read_bytes() for file in data.rglob("*") if file.is_file()]
    return files if data not in _DATABASES else [*files, *app.runner.run(postgres.rows(_DATABASES[data]))]


@asynccontextmanager
async def _opened(config: Config) -> Any:
    if ON_POSTGRES and config.database is None:
        config = structs.replace(config, database=await _database(config.data))
    directory = claim(config.data, has_database=config.postgres is None)
    try:
        async with opened(config, directory) as (services, _store):
            await first_key(config, services)
            directory.finish()
            yield Application(config, services, AccessLog(None, asyncio.get_running_loop())), services
    finally:
        directory.close()
