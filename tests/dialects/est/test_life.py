"""The whole life of a device's identity, by `openssl` and `curl` over TLS, while the server's clock moves on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.est import Site, needs_tools, site

pytestmark = needs_tools
DAY = 86_400
SETTINGS = {
    "admission": {"proof": "NO_AUTH"},
    "preventive": 30 * DAY,
    "critical": 7 * DAY,
    "lifetime": 100 * DAY,
    "profile": {"tags": ["line-1"], "metadata": {"site": "here"}},
}


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as server:
        server.api("POST", "/v1/dms", {"name": "line", "settings": SETTINGS})
        yield server


def settle(at: Site, **settings: object) -> None:
    at.api("PATCH", "/v1/dms/line", {"settings": {**SETTINGS, **settings}})


def status(at: Site, ident: str = "pump-1") -> str:
    return str(at.api("GET", f"/v1/devices/{ident}")["status"])


def renew(at: Site, old: str, new: str) -> int:
    at.key(new)
    shown = ("--cert", f"{old}.pem", "--key", f"{old}.key")
    return at.enrol("line", "simplereenroll", new, "/CN=pump-1", *shown).status


def test_a_device_lives_from_enrolment_to_decommissioning(at: Site) -> None:
    # It learns whom to trust, enrols, and is in the registry with what its DMS gives it.
    assert at.est("line", "cacerts").headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
    at.key("first")
    assert at.enrol("line", "simpleenroll", "first", "/O=Acme/CN=pump-1").status == 200
    device = at.api("GET", "/v1/devices/pump-1")
    assert (device["status"], device["tags"], device["metadata"]) == ("ACTIVE", ["line-1"], {"site": "here"})
    at.run(*at.verify("first", "-purpose", "sslclient"))
    identity = at.api("GET", "/v1/devices/pump-1/identity")
    assert identity["versions"] == {"0": at.serial("first")}

    # It may not enrol a second time, and its name is not free for another key.
    at.key("thief")
    assert at.enrol("line", "simpleenroll", "thief", "/O=Acme/CN=pump-1").status == 403

    # It ages, with an event for each step even though nobody has looked.
    at.pass_days(71)
    assert status(at) == "RENEWAL_WINDOW"
    at.pass_days(23)
    assert status(at) == "ABOUT_TO_EXPIRE"

    # It renews with what it has. The old certificate is on the list of revoked ones, and the new one is not.
    at.key("second")
    shown = ("--cert", "first.pem", "--key", "first.key")
    assert at.enrol("line", "simplereenroll", "second", "/CN=pump-1", *shown).status == 403, "another subject"
    assert at.enrol("line", "simplereenroll", "second", "/O=Acme/CN=pump-1", *shown).status == 200
    assert status(at) == "ACTIVE"
    listed = ("-crl_check", "-CRLfile", at.revocations("line"))
    at.run(*at.verify("second", *listed))
    assert b"revoked" in at.fails(*at.verify("first", *listed))
    identity = at.api("GET", "/v1/devices/pump-1/identity")
    assert identity["versions"] == {"0": at.serial("first"), "1": at.serial("second")}
    assert identity["events"][-1]["description"] == "New Active Version set to 1"

    # What was replaced opens no door any more.
    at.key("third")
    assert at.enrol("line", "simplereenroll", "third", "/O=Acme/CN=pump-1", *shown).status == 401

    # It expires. Expired certificates renew only where the DMS says so.
    at.pass_days(101)
    assert status(at) == "EXPIRED"
    assert b"expired" in at.fails(*at.verify("second"))
    shown = ("--cert", "second.pem", "--key", "second.key")
    assert at.enrol("line", "simplereenroll", "third", "/O=Acme/CN=pump-1", *shown).status == 401
    settle(at, renewal={"allow_expired": True})
    assert at.enrol("line", "simplereenroll", "third", "/O=Acme/CN=pump-1", *shown).status == 200
    assert status(at) == "ACTIVE"

    # It is revoked, which ends its certificate at once.
    at.api("POST", "/v1/devices/pump-1/identity:revoke", {"reason": "key_compromise"})
    assert status(at) == "REVOKED"
    shown = ("--cert", "third.pem", "--key", "third.key")
    at.key("fourth")
    assert at.enrol("line", "simplereenroll", "fourth", "/O=Acme/CN=pump-1", *shown).status == 403

    # Where the DMS replaces identities, a new enrolment makes it good again; decommissioned, nothing does.
    settle(at, replaceable=True)
    assert at.enrol("line", "simpleenroll", "fourth", "/O=Acme/CN=pump-1").status == 200
    assert status(at) == "ACTIVE"
    at.api("POST", "/v1/devices/pump-1:decommission")
    listed = ("-crl_check", "-CRLfile", at.revocations("line"))
    assert b"revoked" in at.fails(*at.verify("fourth", *listed))
    shown = ("--cert", "fourth.pem", "--key", "fourth.key")
    for verb in ("simpleenroll", "simplereenroll"):
        at.key("fifth")
        assert at.enrol("line", verb, "fifth", "/O=Acme/CN=pump-1", *shown).status == 403
    assert status(at) == "DECOMMISSIONED"
    assert not (at.folder / "fifth.pem").exists()


def test_a_device_that_knows_lamassus_gateway_enrols_and_renews_there(at: Site) -> None:
    at.place = "/api/dmsmanager/.well-known/est"
    assert at.est("line", "cacerts").status == 200
    at.key("first")
    assert at.enrol("line", "simpleenroll", "first", "/CN=pump-1").status == 200
    assert (renew(at, "first", "second"), status(at)) == (200, "ACTIVE")


def test_a_device_that_has_aged_is_read_anew(at: Site) -> None:
    at.key("first")
    assert at.enrol("line", "simpleenroll", "first", "/CN=pump-1").status == 200
    path = "/v1/devices/pump-1"
    tags = [at.app.request("GET", path).headers["etag"]]
    for days, aged in ((71, "RENEWAL_WINDOW"), (23, "ABOUT_TO_EXPIRE"), (7, "EXPIRED")):
        at.pass_days(days)
        read = at.app.request("GET", path, headers={"If-None-Match": ", ".join(tags)})
        assert (read.status, read.json()["status"]) == (200, aged)
        assert at.app.request("GET", path, headers={"If-None-Match": read.headers["etag"]}).status == 304
        tags.append(read.headers["etag"])


def test_renewal_opens_when_the_dms_says(at: Site) -> None:
    settle(at, renewal={"opens": 40 * DAY})
    at.key("first")
    assert at.enrol("line", "simpleenroll", "first", "/CN=pump-1").status == 200
    assert renew(at, "first", "second") == 403
    at.pass_days(61)
    assert renew(at, "first", "second") == 200


def test_the_replaced_certificate_stays_good_where_the_dms_says(at: Site) -> None:
    settle(at, renewal={"revoke_replaced": False})
    at.key("first")
    at.enrol("line", "simpleenroll", "first", "/CN=pump-1")
    assert renew(at, "first", "second") == 200
    listed = ("-crl_check", "-CRLfile", at.revocations("line"))
    at.run(*at.verify("first", *listed))
    assert renew(at, "first", "third") == 200, "the reply may have been lost"
    assert renew(at, "second", "fourth") == 200
    at.api("POST", f"/v1/certificates/{at.serial('first')}:revoke", {"reason": "key_compromise"})
    assert renew(at, "first", "fifth") == 401
    at.pass_days(366)
    assert renew(at, "second", "fifth") == 401, "expired"


def test_neither_the_present_certificate_nor_the_one_that_is_shown_may_have_expired(at: Site) -> None:
    settle(at, renewal={"revoke_replaced": False})
    at.key("first")
    at.enrol("line", "simpleenroll", "first", "/CN=pump-1")
    at.pass_days(60)
    assert renew(at, "first", "second") == 200
    at.pass_days(41)
    assert renew(at, "first", "third") == 401
    settle(at, lifetime=DAY, preventive=2, critical=1, renewal={"revoke_replaced": False})
    assert renew(at, "second", "third") == 200
    at.pass_days(2)
    assert renew(at, "second", "fourth") == 401


def states(at: Site, device: str) -> list[str]:
    return [one["state"] for one in at.api("GET", f"/v1/certificates?device={device}")["certificates"]]


def by_hand(at: Site, device: str, **slot: object) -> None:
    assert at.app.request("PUT", f"/api/devmanager/v1/devices/{device}/idslot", slot).status == 200


def test_a_device_loses_every_certificate_that_is_good_whatever_its_slot_names(at: Site) -> None:
    settle(at, renewal={"revoke_replaced": False})
    at.key("first")
    at.enrol("line", "simpleenroll", "first", "/CN=pump-1")
    assert renew(at, "first", "second") == 200
    by_hand(at, "pump-1", status="EXPIRED")
    assert states(at, "pump-1") == ["ACTIVE", "ACTIVE"]
    at.api("POST", "/v1/devices/pump-1:decommission")
    assert states(at, "pump-1") == ["REVOKED", "REVOKED"]


def test_a_slot_that_names_another_devices_certificate_takes_nothing_from_it(at: Site) -> None:
    settle(at, replaceable=True)
    at.key("first")
    at.enrol("line", "simpleenroll", "first", "/CN=pump-1")
    at.api("POST", "/v1/devices", {"ident": "other"})
    foreign = {"versions": {"0": at.serial("first")}}
    by_hand(at, "other", status="ACTIVE", **foreign)
    by_hand(at, "other", status="REVOKED", **foreign)
    by_hand(at, "other", status="ACTIVE", **foreign)
    at.api("POST", "/v1/devices/other/identity:revoke", {"reason": "key_compromise"})
    at.key("second")
    assert at.enrol("line", "simpleenroll", "second", "/CN=other").status == 200
    assert states(at, "pump-1") == ["ACTIVE"]


@pytest.mark.parametrize(
    "kind",
    [
        ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
        ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
        ("-algorithm", "ED25519"),
    ],
    ids=lambda kind: kind[1],
)
def test_every_kind_of_key_enrols_and_renews(at: Site, kind: tuple[str, ...]) -> None:
    at.key("first", *kind)
    assert at.enrol("line", "simpleenroll", "first", "/CN=pump-1").status == 200
    at.run(*at.verify("first"))
    assert renew(at, "first", "second") == 200


def test_a_key_that_no_certificate_would_fit_is_refused(at: Site) -> None:
    at.key("first", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048")
    reply = at.enrol("line", "simpleenroll", "first", "/CN=pump-1")
    assert (reply.status, b"RSASSA-PSS" in reply.body) == (400, True)


def test_the_server_makes_a_key_where_the_dms_says(at: Site) -> None:
    at.key("asking")
    asked = at.request("asking", "/CN=pump-1")
    assert at.est("line", "serverkeygen", asked).status == 403
    settle(at, keygen={"type": "EC", "bits": 384})
    reply = at.est("line", "serverkeygen", asked)
    assert reply.status == 200
    assert reply.headers["content-type"] == "multipart/mixed; boundary=estServerLamassuBoundary"
    _, key, bundle, _ = reply.body.split(b"--estServerLamassuBoundary")
    heads = [part.partition(b"\r\n\r\n")[0].splitlines()[1] for part in (key, bundle)]
    assert heads == [
        b"Content-Type: application/pkcs8",
        b"Content-Type: application/pkcs7-mime; smime-type=certs-only",
    ]
    at.keep("made", bundle.partition(b"\r\n\r\n")[2])
    encoded = (
        b"-----BEGIN PRIVATE KEY-----\n" + key.partition(b"\r\n\r\n")[2].strip() + b"\n-----END PRIVATE KEY-----\n"
    )
    (at.folder / "made.key").write_bytes(encoded.replace(b"\r", b""))
    assert renew(at, "made", "second") == 200


def test_a_private_key_that_is_sent_for_a_request_is_called_one(at: Site) -> None:
    at.key("first")
    reply = at.est("line", "simpleenroll", (at.folder / "first.key").read_bytes())
    assert (reply.status, b"contains a private key" in reply.body) == (400, True)


def test_pem_is_answered_to_whoever_asks_for_it(at: Site) -> None:
    at.key("first")
    accept = ("-H", "Accept: application/x-pem-file")
    reply = at.est("line", "simpleenroll", at.request("first", "/CN=pump-1"), *accept)
    assert reply.headers["content-type"] == "application/x-pem-file"
    (at.folder / "first.pem").write_bytes(reply.body)
    at.run(*at.verify("first"))
    shouted = ("-H", "Accept: text/plain, Application/X-PEM-File")
    (at.folder / "trusted.pem").write_bytes(at.est("line", "cacerts", None, *shouted).body)
    at.run("openssl", "verify", "-CAfile", "trusted.pem", "first.pem")


def told(at: Site, label: str) -> list[str]:
    """The subjects of the authorities that a device is told to trust."""
    at.est(label, "cacerts", None, "-H", "Accept: application/x-pem-file", file="told.pem")
    command = "openssl crl2pkcs7 -nocrl -certfile told.pem | openssl pkcs7 -print_certs -noout | grep ^subject"
    return sorted(line.partition("CN = ")[2] for line in at.run("sh", "-c", command).decode().splitlines())


def test_devices_are_told_whose_certificate_the_server_shows_where_the_dms_says(at: Site) -> None:
    settle(at, authority="line")
    assert told(at, "line") == ["line"]
    for distribution, names in (
        ({"server": True}, ["default", "line"]),
        ({"server": True, "own": False}, ["default"]),
        ({"server": False, "own": True, "others": ["default", "line"]}, ["default", "line"]),
        ({"own": False, "others": ["default"]}, ["default"]),
        ({"own": False, "others": []}, ["line"]),
    ):
        at.api("PATCH", "/v1/dms/line", {"settings": {"authority": "line", "distribution": distribution}})
        assert told(at, "line") == names
    for wanted in (True, False):
        settings = {"ca_distribution_settings": {"include_system_ca": wanted, "include_enrollment_ca": True}}
        body = {"id": "line", "settings": {**settings, "enrollment_settings": {"enrollment_ca": "line"}}}
        shown = at.app.request("PUT", "/api/dmsmanager/v1/dms/line", body).json()["settings"]
        assert shown["ca_distribution_settings"]["include_system_ca"] is wanted
        assert told(at, "line") == (["default", "line"] if wanted else ["line"])


def test_devices_are_told_of_the_operators_own_authority(tmp_path: Path) -> None:
    own = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(tmp_path / "own.key"))
    named = ("-subj", "/CN=Operator", "-addext", "subjectAltName=DNS:localhost", "-out", str(tmp_path / "own.pem"))
    subprocess.run(["openssl", "req", "-x509", *own, *named], check=True, capture_output=True)
    with site(tmp_path, est_certificate=tmp_path / "own.pem", est_key=tmp_path / "own.key") as at:
        at.api("POST", "/v1/dms", {"name": "line", "settings": {**SETTINGS, "distribution": {"server": True}}})
        at.trust = lambda _="": str(tmp_path / "own.pem")  # type: ignore[method-assign]
        assert told(at, "line") == ["Operator", "default"]
