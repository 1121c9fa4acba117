"""What an import leaves in memory: nothing, whatever was wrong with its rows."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from fleetroll.core import limits
from fleetroll.core.faults import Fault
from fleetroll.core.model import Device
from tests.support.app import App, asgi, running
from tests.support.waiting import eventually

TIMES, ROWS = 4, 50


def faults_in_memory() -> int:
    """How many faults are alive; those of the last request may still be."""
    gc.collect()
    return sum(isinstance(one, Fault) for one in gc.get_objects())


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("imports") / "data") as app:
        assert app.request("POST", "/v1/devices", {"ident": "there"}).status == 201
        yield app


@pytest.mark.parametrize("dry_run", ["false", "true"])
@pytest.mark.parametrize(
    ("media_type", "head", "row"),
    [
        ("application/x-ndjson", b"", b"{"),
        ("application/x-ndjson", b"", b'{"name":"nobody"}'),
        ("application/x-ndjson", b"", b'{"ident":""}'),
        ("application/x-ndjson", b"", b'{"ident":"one","template":99}'),
        ("application/x-ndjson", b"", b'{"ident":"there"}'),
        ("text/csv", b"ident,kind\n", b"one"),
        ("text/csv", b"ident,metadata.x\n", b",1"),
    ],
)
def test_rows_that_fail_leave_nothing_in_memory(
    app: App, media_type: str, head: bytes, row: bytes, dry_run: str
) -> None:
    target = f"/v1/devices:import?mode=create&dry_run={dry_run}"
    rows = head + (row + b"\n") * ROWS
    before = faults_in_memory()
    for _ in range(TIMES):
        reply = app.request("POST", target, raw=rows, headers={"content-type": media_type})
        assert reply.body.count(b'"failed"') == ROWS
    assert faults_in_memory() - before < TIMES * ROWS


def test_large_rows_are_stored_while_others_arrive(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few they are: what waits for more rows is in memory."""
    monkeypatch.setattr(limits, "BATCH_BYTES", 50_000)
    monkeypatch.setattr(limits, "IMPORT_PAUSE", 60.0)
    rows = [b'{"ident":"large-%d","metadata":{"x":"%s"}}\n' % (number, b"x" * 20_000) for number in range(20)]
    stored: list[Device] = []

    async def slow(scope: dict[str, Any], _: object, send: Any) -> None:
        async def receive() -> dict[str, Any]:
            if len(rows) == 5:  # the last of them come when the first are stored
                stored.append(await eventually(lambda: app.services.store.read.devices.get(1, "large-0")))
            return {"type": "http.request", "body": rows.pop(0), "more_body": bool(rows)}

        await app.application.asgi(scope, receive, send)

    headers = {"authorization": f"Bearer {app.key}", "content-type": "application/x-ndjson"}
    reply = app.runner.run(asgi(slow, "POST", "/v1/devices:import", headers, b""))
    assert [line["line"] for line in reply.lines()] == [*range(1, 21)]
    assert stored
