"""Where clients find the broker: an address that they can use, however the server listens."""

import os
import resource
import tempfile
from pathlib import Path

import pytest

from fleetroll.bus.port import State
from fleetroll.core.tokens import derive
from fleetroll.dialects.native.mapping import server as mapping
from fleetroll.wire.cursors import Cursors
from fleetroll.wire.request import NO_QUERY, Request
from tests.support.app import App, about_sqlite

CURSORS = Cursors(derive(b"key", "cursors"), lambda: 0)


def shown(url: str, host: bytes, public_url: str | None = None) -> str:
    request = Request({}, NO_QUERY, CURSORS, str)
    request.host, request.public_url = host, public_url
    (found,) = mapping.broker(State("up", [url]), request).urls
    return found


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"iot.example.com", "iot.example.com"),
        (b"10.1.2.3:8080", "10.1.2.3"),
        (b"[2001:db8::7]:8080", "[2001:db8::7]"),
    ],
)
def test_a_broker_on_every_interface_is_where_the_client_found_the_server(host: bytes, name: str) -> None:
    assert shown("nats://0.0.0.0:4222", host) == f"nats://{name}:4222"


@pytest.mark.parametrize("host", [b"[", b"2001:db8::7", b"a/b", b""])
def test_what_is_no_host_names_no_broker(host: bytes) -> None:
    assert shown("nats://0.0.0.0:4222", host) == "nats://0.0.0.0:4222"


def test_a_broker_on_every_interface_of_ipv6_is_there_too() -> None:
    assert shown("nats://[::]:4222", b"iot.example.com:8080") == "nats://iot.example.com:4222"


def test_the_host_of_the_operators_address_goes_before_the_clients() -> None:
    public = "https://iot.example.com:8443/fleet"
    assert shown("nats://0.0.0.0:4222", b"10.0.0.1:8080", public) == "nats://iot.example.com:4222"


@pytest.mark.parametrize("url", ["nats://10.0.0.9:4222", "nats://10.0.0.0:4222", "tls://user@0.0.0.0.example.com:4222"])
def test_an_address_that_was_chosen_stays(url: str) -> None:
    assert shown(url, b"iot.example.com") == url


@about_sqlite
@pytest.mark.parametrize("spare", range(4))
def test_a_backup_for_which_no_file_can_be_opened_is_put_off(
    app: App, spare: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path(os.devnull).open() as lowest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno() + spare, hard))
    try:
        put_off = app.request("GET", "/v1/backup")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (put_off.status, put_off.json()["code"]) == (503, "too_many_open_files")
    assert int(put_off.headers["retry-after"]) > 0
    assert app.request("GET", "/v1/backup").status == 200
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("fleetroll-backup-")]
