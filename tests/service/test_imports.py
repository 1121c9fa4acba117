"""What an import leaves in memory: nothing, whatever was wrong with its rows."""

import gc
from collections.abc import Iterator

import pytest

from fleetroll.core.faults import Fault
from tests.support.app import App, running

TIMES, ROWS = 4, 50


def faults_in_memory() -> int:
    """Those of the last request may still be looked at."""
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
