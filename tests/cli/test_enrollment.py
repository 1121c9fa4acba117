"""`fleetroll ca`, `fleetroll dms` and `fleetroll device enroll`, against a server with a listener for enrolment."""

import fcntl
import json
import os
import re
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fleetroll.core import encodings
from fleetroll.pki import requests
from tests.cli.conftest import Command, run
from tests.support import process
from tests.support.est import needs_tools
from tests.support.waiting import wait_until

NAMES = ("--est", "127.0.0.1:0", "--est-name", "localhost", "--nats", "off")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[process.Process]:
    with process.serving(home, *NAMES) as started:
        yield started


@pytest.fixture(scope="module")
def est(server: process.Process, home: Path) -> str:
    """The address of the listener, under a name that its certificate has."""
    found = re.search(r"https://127\.0\.0\.1:(\d+)", (home.parent / f"{home.name}.log").read_text())
    assert found
    return f"https://localhost:{found[1]}"


@pytest.fixture
def fleetroll(server: process.Process) -> Command:
    def call(*arguments: str) -> object:
        return run(*arguments, FLEETROLL_URL=server.url, FLEETROLL_KEY=server.key)

    return call  # type: ignore[return-value]


@pytest.fixture
def trust(fleetroll: Command, tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    file.write_text(fleetroll("ca", "show").out)
    return str(file)


def test_a_device_enrols_and_renews_with_one_command_each(
    fleetroll: Command, est: str, trust: str, tmp_path: Path
) -> None:
    assert fleetroll("dms", "create", "line", "--anybody").code == 0
    enroll = ("device", "enroll", "pump-1", "--est", est, "--dms", "line", "--trust", trust, "--out", str(tmp_path))
    assert run(*enroll).code == 0
    key, certificate = tmp_path / "pump-1.key", tmp_path / "pump-1.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    ssl.create_default_context().load_cert_chain(certificate, key)
    first = certificate.read_text()
    assert run(*enroll).code == 7, "a key that is there is not thrown away"
    assert run(*enroll, "--renew").code == 0
    assert certificate.read_text() != first
    ssl.create_default_context().load_cert_chain(certificate, key)
    assert json.loads(fleetroll("device", "get", "pump-1", "--json").out)["status"] == "ACTIVE"
    listed = tmp_path / "list.der"
    assert fleetroll("ca", "crl", "default", str(listed)).code == 0
    assert listed.stat().st_size > 100
    assert fleetroll("ca", "crl", "default", "-").out.encode(errors="surrogateescape") == listed.read_bytes()
    (tmp_path / "pump-1.key").unlink()
    refused = run(*enroll)
    assert (refused.code, "forbiddenNewEnrollment" in refused.err) == (1, True)
    assert not key.exists(), "what is refused leaves nothing behind"


def test_a_renewal_goes_on_from_one_that_was_killed_before_its_second_file(
    fleetroll: Command, est: str, trust: str, tmp_path: Path
) -> None:
    assert fleetroll("dms", "create", "killed", "--anybody").code == 0
    enroll = ("device", "enroll", "cut-1", "--est", est, "--dms", "killed", "--trust", trust, "--out", str(tmp_path))
    key, certificate = tmp_path / "cut-1.key", tmp_path / "cut-1.pem"
    assert run(*enroll).code == 0
    first = certificate.read_bytes()
    certificate.unlink()
    assert run(*enroll, "--renew").code == 0, "after a first enrolment that was killed"
    certificate.write_bytes(first)
    assert run(*enroll, "--renew").code == 0, "after a renewal that was killed"
    ssl.create_default_context().load_cert_chain(certificate, key)


def test_two_renewals_at_once_do_not_mix_their_files(
    server: process.Process, fleetroll: Command, est: str, trust: str, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text('{"renewal": {"revoke_replaced": false}}')
    assert fleetroll("dms", "create", "twice", "--anybody").code == 0
    assert fleetroll("dms", "set", "twice", str(settings)).code == 0
    enroll = ("device", "enroll", "two-1", "--est", est, "--dms", "twice", "--trust", trust, "--out", str(tmp_path))
    assert run(*enroll).code == 0
    key = (tmp_path / "two-1.key").read_bytes()
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # as one does that is replacing its files
    with subprocess.Popen([sys.executable, "-m", "fleetroll", *enroll, "--renew"]) as other:
        wait_until(lambda: len(_certificates(server, "two-1")) == 2)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.5)
        assert (tmp_path / "two-1.key").read_bytes() == key
        os.close(descriptor)
        assert other.wait(20) == 0
    ssl.create_default_context().load_cert_chain(tmp_path / "two-1.pem", tmp_path / "two-1.key")


def _certificates(server: process.Process, ident: str) -> list[object]:
    reply = httpx.get(f"{server.url}/v1/certificates?device={ident}", headers={"x-api-key": server.key})
    certificates: list[object] = reply.json()["certificates"]
    return certificates


def test_no_proxy_is_used_for_this_machine(fleetroll: Command, est: str, trust: str, tmp_path: Path) -> None:
    assert fleetroll("dms", "create", "near", "--anybody").code == 0
    enroll = ("device", "enroll", "pump-8", "--est", est, "--dms", "near", "--trust", trust, "--out", str(tmp_path))
    assert run(*enroll, HTTPS_PROXY="http://127.0.0.1:9").code == 0


def test_a_device_with_a_long_name_enrols_and_renews(fleetroll: Command, est: str, trust: str, tmp_path: Path) -> None:
    assert fleetroll("dms", "create", "long", "--anybody").code == 0
    enroll = ("device", "enroll", "p" * 200, "--est", est, "--dms", "long", "--trust", trust, "--out", str(tmp_path))
    assert run(*enroll).code == 0
    renewed = run(*enroll, "--renew")
    assert (renewed.code, renewed.err) == (0, "")


def test_a_renewal_asks_for_every_name_that_the_device_has(
    fleetroll: Command, est: str, trust: str, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text('{"with_names": true}')
    assert fleetroll("dms", "create", "named", "--anybody").code == 0
    assert fleetroll("dms", "set", "named", str(settings)).code == 0
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName("pump.example.com")])
    asked = requests.make(key, x509.Name.from_rfc4514_string("CN=named-1"), names)
    headers = {"content-type": "application/pkcs10", "accept": "application/x-pem-file"}
    context = ssl.create_default_context(cafile=trust)
    url = f"{est}/.well-known/est/named/simpleenroll"
    first = httpx.post(url, content=encodings.est(asked), headers=headers, verify=context)
    (tmp_path / "named-1.pem").write_bytes(first.content)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "named-1.key").write_bytes(secret)
    given = ("--est", est, "--dms", "named", "--trust", trust, "--out", str(tmp_path))
    assert run("device", "enroll", "named-1", *given, "--renew").code == 0
    renewed = x509.load_pem_x509_certificate((tmp_path / "named-1.pem").read_bytes())
    assert requests.alternative_names(renewed) == names


def test_a_device_that_has_no_room_for_a_certificate_asks_for_none(
    fleetroll: Command, est: str, trust: str, tmp_path: Path
) -> None:
    assert fleetroll("dms", "create", "room", "--anybody").code == 0
    enroll = ("device", "enroll", "pump-9", "--est", est, "--dms", "room", "--trust", trust, "--out")
    assert run(*enroll, str(tmp_path / "nowhere")).code == 7
    assert fleetroll("device", "get", "pump-9").code == 5
    assert run(*enroll, str(tmp_path)).code == 0


def test_a_device_shows_the_certificate_that_its_dms_trusts(
    fleetroll: Command, est: str, trust: str, tmp_path: Path
) -> None:
    assert fleetroll("dms", "create", "maker", "--authority", "factory", "--anybody").code == 0
    assert fleetroll("dms", "create", "field", "--trust", "factory").code == 0
    common = ("--est", est, "--trust", trust, "--out", str(tmp_path))
    refused = run("device", "enroll", "pump-2", "--dms", "field", *common)
    assert (refused.code, "with --cert and --cert-key" in refused.err) == (4, True)
    assert run("device", "enroll", "made-2", "--dms", "maker", *common).code == 0
    shown = ("--cert", str(tmp_path / "made-2.pem"), "--cert-key", str(tmp_path / "made-2.key"))
    assert run("device", "enroll", "pump-2", "--dms", "field", *common, *shown).code == 0


@needs_tools
def test_a_certificate_of_nobody_whom_the_server_knows_is_named_as_the_likely_reason(
    fleetroll: Command, est: str, trust: str, tmp_path: Path
) -> None:
    assert fleetroll("dms", "create", "strict", "--trust", "default").code == 0
    key, certificate = tmp_path / "own.key", tmp_path / "own.pem"
    made = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    subprocess.run([*made, "-subj", "/CN=own", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    shown = ("--cert", str(certificate), "--cert-key", str(key), "--trust", trust, "--out", str(tmp_path))
    refused = run("device", "enroll", "pump-4", "--est", est, "--dms", "strict", *shown)
    assert (refused.code, "authority of the presented certificate" in refused.err) == (3, True), refused.err


def test_an_enrolment_that_cannot_be_made_is_refused_with_a_reason(
    fleetroll: Command, est: str, trust: str, tmp_path: Path
) -> None:
    common = ("--est", est, "--out", str(tmp_path))
    lost = run("device", "enroll", "pump-3", "--dms", "nowhere", *common, "--trust", trust)
    assert (lost.code, "fleetroll dms list" in lost.err) == (5, True)
    plain = run("device", "enroll", "pump-3", "--dms", "line", *common, "--est", est.replace("https:", "http:"))
    assert (plain.code, "must begin with https://" in plain.err) == (2, True)
    nobodys = run("device", "enroll", "pump-3", "--dms", "line", *common)
    assert (nobodys.code, "--trust" in nobodys.err) == (3, True)
    misnamed = ("--est", est.replace("localhost", "127.0.0.1"), "--trust", trust)
    unnamed = run("device", "enroll", "pump-3", "--dms", "line", *common, *misnamed)
    assert (unnamed.code, "--est-name" in unnamed.err) == (3, True)
    assert run("device", "enroll", "a/b", "--dms", "line", *common).code == 2
    assert run("device", "enroll", "", "--dms", "line", *common).code == 2
    assert run("device", "enroll", "pump-3", "--dms", "", *common).code == 2
    assert run("device", "enroll", "pump-3", "--dms", "line", *common, "--est", est[len("https://") :]).code == 2
    assert run("device", "enroll", "pump-3", "--dms", "line", *common, "--est", "https://127.0.0.1:9").code == 3
    assert run("device", "enroll", "pump-3", "--dms", "line", *common, "--renew").code == 7
    for unused in (["--cert-key", trust], ["--renew", "--cert", trust], ["--renew", "--cert-key", trust]):
        refused = run("device", "enroll", "pump-3", "--dms", "line", *common, *unused)
        assert (refused.code, unused[0] in refused.err) == (2, True)
    assert fleetroll("dms", "create", "both", "--anybody", "--trust", "x").code == 2
    assert fleetroll("ca", "show", "nobody").code == 5
    assert not list(tmp_path.glob("pump-3*"))


def test_a_server_with_tls_on_this_machine_is_known_by_its_authority(
    fleetroll: Command, est: str, trust: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("ident,name\n" + "".join(f"tls-{number},{'x' * 200}\n" for number in range(5_000)))
    for command in (["whoami"], ["device", "import", str(rows)]):
        assert fleetroll(*command, "--url", est).code == 3, "nobody trusts its authority"
    monkeypatch.setenv("SSL_CERT_FILE", trust)
    assert fleetroll("whoami", "--url", est).code == 0
    assert fleetroll("device", "import", str(rows), "--url", est).out.split()[:2] == ["created", "5000"]


def test_an_authority_that_cannot_be_read_is_named(
    fleetroll: Command, est: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name, words in (
        ("absent.pem", "No such file"),
        ("empty.pem", "it contains no certificate"),
        (".", "Is a directory"),
    ):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
        refused = fleetroll("whoami", "--url", est)
        assert refused.code == 7
        assert refused.err.startswith(f"fleetroll: {tmp_path / name}, which SSL_CERT_FILE names: {words}")
        assert fleetroll("whoami").code == 0, "plain HTTP needs no authority"


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "ftp://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_wrong_usage(
    fleetroll: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    elsewhere = "http://fleet.example.com"
    enroll = ("device", "enroll", "pump-3", "--dms", "line", "--out", str(tmp_path))
    commands = (
        ("whoami", "--url", elsewhere),
        ("import", "memfault", "--url", elsewhere, "--token", "t", "--org", "o", "--project", "p"),
        (*enroll, "--est", "https://fleet.example.com"),
    )
    for command in commands:
        refused = fleetroll(*command)
        assert (refused.code, "ALL_PROXY" in refused.err) == (2, True), command
    assert fleetroll("whoami").code == 0, "no proxy is used for this machine"


def test_authorities_and_dms_are_listed_changed_and_deleted(fleetroll: Command, tmp_path: Path) -> None:
    assert fleetroll("ca", "create", "spare", "--days", "30").code == 0
    pem = tmp_path / "spare.pem"
    pem.write_text(fleetroll("ca", "show", "spare").out)
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(f"subject=CN = größe\n\n{pem.read_text()}")  # as openssl writes certificates out of PKCS#7
    assert fleetroll("ca", "create", "foreign", "--certificate", str(bundle)).code == 0
    der = tmp_path / "spare.der"
    der.write_bytes(ssl.PEM_cert_to_DER_cert(pem.read_text()))
    refused = fleetroll("ca", "create", "binary", "--certificate", str(der))
    assert (refused.code, "not a certificate in PEM" in refused.err) == (7, True)
    bundle.write_text(f"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n{pem.read_text()}")
    refused = fleetroll("ca", "create", "secret", "--certificate", str(bundle))
    assert (refused.code, "contains a private key" in refused.err) == (7, True)
    refused = fleetroll("ca", "create", "brief", "--certificate", str(pem), "--days", "9")
    assert (refused.code, "--certificate or --days" in refused.err) == (2, True)
    assert "foreign" in fleetroll("ca", "list").out
    assert fleetroll("dms", "create", "other", "--title", "Other line", "--days", "10").code == 0
    assert "Other line" in fleetroll("dms", "list").out
    shown = fleetroll("dms", "get", "other", "--json").json()
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({**shown, "settings": {**shown["settings"], "replaceable": True}}))
    assert fleetroll("dms", "set", "other", str(settings), "--json").json()["settings"]["replaceable"] is True
    for text in (b"{", b'{"lifetime": NaN}', b"[" * 100_000, b'{"title": "\xe9"}'):
        settings.write_bytes(text)
        assert fleetroll("dms", "set", "other", str(settings)).code == 7
    assert fleetroll("dms", "delete", "other").code == 0
    for name in ("foreign", "spare"):
        assert fleetroll("ca", "delete", name).code == 0
    assert "fleetroll ca list" in fleetroll("ca", "delete", "spare").err
    gone = fleetroll("dms", "get", "other")
    assert (gone.code, gone.err.splitlines()) == (
        5,
        ["fleetroll: DMS other was not found.", "  List the DMS: fleetroll dms list"],
    )
