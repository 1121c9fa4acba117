"""The certificate that the listener shows: there is always a good one, whatever the clock and its files do."""

import asyncio
import contextlib
import logging
import select
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from fleetroll.core import limits
from fleetroll.data_directory import DATABASE
from fleetroll.wire import est_listener
from fleetroll.wire.http_deadlines import Deadlines
from fleetroll.wire.tls import Tls
from tests.hostile.test_slow_clients import serving
from tests.support.app import about_sqlite
from tests.support.est import DAY, Site, needs_tools, site

pytestmark = needs_tools
_SOON, _PAUSE = 15.0, 0.2


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that looks at its certificate more often than usual."""
    monkeypatch.setattr(est_listener, "_ASK_SECONDS", _PAUSE)
    with site(tmp_path) as server:
        yield server


def shown(at: Site) -> bytes:
    """What a client sees; empty where no handshake succeeds."""
    connect = f"openssl s_client -connect {at.url.removeprefix('https://')} -servername localhost </dev/null 2>&1"
    return at.run("sh", "-c", f"{connect} | openssl x509 -noout -subject -startdate || true")


def replaced(at: Site, old: bytes) -> bytes:
    """What is shown instead, before long."""
    deadline = time.monotonic() + _SOON
    while (now := shown(at)) == old:
        assert time.monotonic() < deadline, now
    return now


def pair(at: Site, name: str) -> None:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")
    at.run("openssl", "req", "-x509", *key, "-subj", f"/CN={name}", "-out", f"{name}.pem")


def test_its_certificate_is_of_the_day_wherever_the_clock_goes(at: Site) -> None:
    now = shown(at)
    for days in (1, 400, 0):
        began = time.time()
        at.listener_offset = days * DAY
        now = replaced(at, now)
        made = [time.gmtime(moment + days * 86_400 - 305) for moment in (began, time.time())]  # midnight may be between
        assert any(f"{time.strftime('%b', day)} {day.tm_mday:2} " in now.decode() for day in made), (days, now)


def test_the_authority_that_devices_know_it_by_cannot_be_deleted_beneath_it(tmp_path: Path, at: Site) -> None:
    at.api("POST", "/v1/organizations", {"slug": "north"})
    for acting in ({}, {"fleetroll-organization": "north"}):
        at.api("POST", "/v1/dms", {"name": "line"}, headers=acting)
        at.api("DELETE", "/v1/dms/line", headers=acting)
    refused = at.app.request("DELETE", "/v1/authorities/default")
    assert (refused.status, refused.json()["code"]) == (409, "authority_in_use")
    at.api("DELETE", "/v1/authorities/default", headers={"fleetroll-organization": "north"})
    pair(at, "own")
    options = {"est_certificate": tmp_path / "own.pem", "est_key": tmp_path / "own.key"}
    with site(tmp_path / "elsewhere", **options) as elsewhere:
        elsewhere.api("POST", "/v1/dms", {"name": "line"})
        elsewhere.api("DELETE", "/v1/dms/line")
        elsewhere.api("DELETE", "/v1/authorities/default")


@pytest.mark.parametrize("spare", [limits.MAX_SPARE_ANCHORS, -1_000], ids=["as usual", "beginning again each time"])
def test_an_authority_is_trusted_before_its_creator_has_the_reply(
    at: Site, monkeypatch: pytest.MonkeyPatch, spare: int
) -> None:
    monkeypatch.setattr(limits, "MAX_SPARE_ANCHORS", spare)
    at.listener._allow_spare()
    for number in range(8):
        at.api("POST", "/v1/authorities", {"name": f"factory-{number}"})
        for _ in range(10):
            assert {f"factory-{made}" for made in range(number + 1)} <= trusted(at)
            at.app.runner.run(asyncio.sleep(0.001))


def trusted(at: Site) -> set[str]:
    """The common names of the authorities whose clients may connect now."""
    stored = at.listener._tls.context.get_ca_certs(binary_form=True)
    subjects = [x509.load_der_x509_certificate(one).subject for one in stored]
    return {str(part.value) for name in subjects for part in name.get_attributes_for_oid(NameOID.COMMON_NAME)}


@contextlib.contextmanager
def showing_files(folder: Path, at: Site) -> Iterator[tuple[Site, Path, Path]]:
    """Another listener, which shows `old`; the files of its chain and its key; beside them are those of `new`."""
    for name in ("old", "new"):
        pair(at, name)
    chain, key = (Path(shutil.copy(folder / f"old.{kind}", folder / f"used.{kind}")) for kind in ("pem", "key"))
    (folder / "other").mkdir()
    with site(folder / "other", est_certificate=chain, est_key=key) as operated:
        yield operated, chain, key


def test_files_that_are_replaced_one_after_the_other_leave_it_with_what_it_shows(
    tmp_path: Path, at: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with showing_files(tmp_path, at) as (operated, chain, key):
        old = shown(operated)
        assert b"CN = old" in old
        shutil.copy(tmp_path / "new.pem", chain)
        operated.listener_offset = DAY
        operated.run("sleep", str(3 * _PAUSE))
        assert shown(operated) == old
        shutil.copy(tmp_path / "new.key", key)
        assert b"CN = new" in (new := replaced(operated, old))
        key.unlink()
        operated.listener_offset = 2 * DAY
        operated.run("sleep", str(3 * _PAUSE))
        assert shown(operated) == new
        assert "--est-certificate or --est-key cannot be read: No such file or directory." in caplog.text


@about_sqlite
def test_a_certificate_that_could_not_be_shown_is_shown_the_next_time(
    tmp_path: Path, at: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with showing_files(tmp_path, at) as (operated, chain, key):
        old = shown(operated)
        operated.api("POST", "/v1/authorities", {"name": "damaged"})
        operated.run("sleep", str(2 * _PAUSE))
        with contextlib.closing(apsw.Connection(str(tmp_path / "other" / "data" / DATABASE))) as database:
            database.execute("UPDATE authority SET certificate = 'x'")
        monkeypatch.setattr(limits, "MAX_SPARE_ANCHORS", -1_000)
        operated.listener._allow_spare()
        shutil.copy(tmp_path / "new.pem", chain)
        shutil.copy(tmp_path / "new.key", key)
        operated.listener_offset = DAY
        operated.api("POST", "/v1/organizations", {"slug": "north"})
        assert b"CN = new" in replaced(operated, old)


def own(at: Site) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The TLS of a server, and of a client that takes any certificate."""
    pair(at, "own")
    shows, takes = Tls(), ssl.create_default_context()
    shows.present(at.folder / "own.pem", at.folder / "own.key")
    takes.check_hostname, takes.verify_mode = False, ssl.CERT_NONE
    return shows.context, takes


def test_a_connection_that_ends_while_it_is_looked_at_is_no_error(at: Site, caplog: pytest.LogCaptureFixture) -> None:
    shown, takes = own(at)
    with serving(allowed=Deadlines(linger=0.000_01), tls=shown) as server:
        for _ in range(100):
            with takes.wrap_socket(socket.create_connection(server.addresses[0])) as client:
                client.send(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
                assert client.recv(10)
    assert not [line for line in caplog.records if line.levelno >= logging.ERROR]


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "the beginning of a greeting"])
def test_clients_that_never_end_their_handshake_make_room_for_others(
    at: Site, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(limits, "MAX_HANDSHAKES", 8)
    shown, takes = own(at)
    with serving(tls=shown) as server, contextlib.ExitStack() as clients:
        silent = []
        for _ in range(20):
            silent.append(clients.enter_context(socket.create_connection(server.addresses[0], _SOON / 3)))
            silent[-1].sendall(said)
        for one in silent[:12]:
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(1) == b""
        with takes.wrap_socket(socket.create_connection(server.addresses[0])) as client:
            client.send(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
            assert client.recv(10)
            assert select.select(silent[13:], (), (), 0)[0] == []


def test_it_listens_at_every_address_of_a_name(at: Site) -> None:
    shown, takes = own(at)
    with serving(tls=shown, host="localhost") as server:
        for host, port in server.addresses:
            with takes.wrap_socket(socket.create_connection((host, port))) as client:
                assert client.version()
        assert {host for host, _ in server.addresses} <= {"127.0.0.1", "::1"}
