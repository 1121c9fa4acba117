"""Who may enrol, by what is shown: client certificates from TLS and from proxies, and everybody who is turned away."""

import ssl
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from fleetroll.core import encodings, limits
from fleetroll.pki.x509 import X509
from tests.support import der
from tests.support.app import Response, asgi
from tests.support.est import DAY, Site, needs_tools, site

pytestmark = needs_tools
ANYBODY = {"admission": {"proof": "NO_AUTH"}}
PKCS10 = {"content-type": "application/pkcs10"}
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
AUTHORITY = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as server:
        prepare(server)
        yield server


def prepare(at: Site) -> None:
    """Authority `factory` issues to anybody at `bench`; `field` takes its clients, and issues by `default`."""
    at.api("POST", "/v1/authorities", {"name": "factory"})
    at.api(
        "POST", "/v1/dms", {"name": "bench", "settings": {**ANYBODY, "authority": "factory", "lifetime": 86_400 * 10}}
    )
    admission = {"proof": "CLIENT_CERTIFICATE", "authorities": ["factory"]}
    at.api("POST", "/v1/dms", {"name": "field", "settings": {"admission": admission}})


def made(at: Site, name: str) -> tuple[str, ...]:
    """What a device with a certificate from the factory shows."""
    at.key(name)
    assert at.enrol("bench", "simpleenroll", name, f"/CN={name}").status == 200
    return ("--cert", f"{name}.pem", "--key", f"{name}.key")


def ask(
    at: Site, *shown: str, subject: str = "/CN=pump-1", label: str = "field", verb: str = "simpleenroll"
) -> Response:
    at.key("new")
    return at.enrol(label, verb, "new", subject, *shown)


def devices(at: Site) -> list[str]:
    return [device["ident"] for device in at.api("GET", "/v1/devices")["devices"]]


def test_a_certificate_of_the_trusted_authority_opens_the_door(at: Site) -> None:
    shown = made(at, "made-1")
    assert ask(at, *shown).status == 200
    assert devices(at) == ["made-1", "pump-1"]
    at.run(*at.verify("new"))


def test_without_a_trusted_certificate_nobody_enrols(at: Site) -> None:
    assert ask(at).status == 401
    at.api("POST", "/v1/dms", {"name": "other", "settings": {**ANYBODY, "authority": "elsewhere"}})
    at.key("stray")
    assert at.enrol("other", "simpleenroll", "stray", "/CN=stray").status == 200
    assert ask(at, "--cert", "stray.pem", "--key", "stray.key").status == 401
    assert devices(at) == ["stray"]


def test_a_revoked_or_expired_certificate_opens_nothing(at: Site) -> None:
    shown = made(at, "made-1")
    serial = at.serial("made-1")
    at.api("POST", f"/v1/certificates/{serial}:revoke", {"reason": "certificate_hold"})
    assert ask(at, *shown).status == 401
    at.api("POST", f"/v1/certificates/{serial}:restore")
    at.pass_days(11)
    assert ask(at, *shown).status == 401
    admission = {"proof": "CLIENT_CERTIFICATE", "authorities": ["factory"], "allow_expired": True}
    at.api("PATCH", "/v1/dms/field", {"settings": {"admission": admission}})
    assert ask(at, *shown).status == 200


def test_a_revoked_certificate_opens_nothing_however_its_signature_is_written(at: Site) -> None:
    """Whoever has one ECDSA signature can make another that is as good, without the key."""
    made(at, "made-1")
    at.api("POST", f"/v1/certificates/{at.serial('made-1')}:revoke", {"reason": "key_compromise"})
    certificate = x509.load_pem_x509_certificate((at.folder / "made-1.pem").read_bytes())
    r, s = decode_dss_signature(certificate.signature)
    signature = der.tlv(der.BITS, b"\x00", encode_dss_signature(r, P256_ORDER - s))
    written = der.tlv(der.SEQUENCE, certificate.tbs_certificate_bytes, der.ECDSA_SHA256, signature)
    (at.folder / "other.pem").write_text(encodings.pem(written))
    at.run("openssl", "verify", "-CAfile", at.trust("factory"), "other.pem")
    assert ask(at, "--cert", "other.pem", "--key", "made-1.key").status == 401
    assert devices(at) == ["made-1"]


def test_what_an_authority_revoked_stays_revoked_after_it_is_deleted(at: Site) -> None:
    """Its certificate is taken in again, without the key, and all that it had issued was forgotten."""
    shown = made(at, "made-1")
    factory = at.api("GET", "/v1/authorities/factory")["certificate"]
    at.api("POST", f"/v1/certificates/{at.serial('made-1')}:revoke", {"reason": "key_compromise"})
    for dms in ("bench", "field"):
        at.api("DELETE", f"/v1/dms/{dms}")
    at.api("DELETE", "/v1/authorities/factory")
    at.api("POST", "/v1/authorities", {"name": "factory", "certificate": factory})
    admission = {"proof": "CLIENT_CERTIFICATE", "authorities": ["factory"]}
    at.api("POST", "/v1/dms", {"name": "field", "settings": {"admission": admission}})
    assert at.app.request("GET", f"/v1/certificates/{at.serial('made-1')}").status == 404
    assert ask(at, *shown).status == 401
    assert devices(at) == ["made-1"]


def test_what_an_authority_revoked_is_revoked_for_every_organization_that_trusts_it(at: Site) -> None:
    shown, other = made(at, "made-1"), made(at, "made-2")
    factory = at.api("GET", "/v1/authorities/factory")["certificate"]
    at.api("POST", "/v1/organizations", {"slug": "north"})
    north = {"fleetroll-organization": "north"}
    at.api("POST", "/v1/authorities", {"name": "maker", "certificate": factory}, headers=north)
    admission = {"proof": "CLIENT_CERTIFICATE", "authorities": ["maker"]}
    at.api("POST", "/v1/dms", {"name": "field", "settings": {"admission": admission}}, headers=north)
    serial = at.serial("made-1")
    at.api("POST", f"/v1/certificates/{serial}:revoke", {"reason": "certificate_hold"})
    assert ask(at, *shown, label="north~field").status == 401
    assert ask(at, *other, label="north~field", subject="/CN=pump-2").status == 200
    at.api("POST", f"/v1/certificates/{serial}:restore")
    assert ask(at, *shown, label="north~field").status == 200


def test_a_client_of_nobody_we_know_does_not_get_through_the_handshake(at: Site) -> None:
    at.key("stranger")
    command = ("openssl", "req", "-x509", "-key", "stranger.key", "-subj", "/CN=default", "-days", "10")
    at.run(*command, "-out", "stranger.pem")
    url = f"{at.url}/.well-known/est/field/cacerts"
    assert at.fails("curl", "-sS", "--cacert", at.trust(), "--cert", "stranger.pem", "--key", "stranger.key", url)
    assert at.est("field", "cacerts").status == 200, "the server goes on"


def test_an_authority_that_is_trusted_later_is_known_at_once(at: Site) -> None:
    """One of somebody else's, taken in by its certificate alone."""
    at.key("maker")
    extensions = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    at.run(
        "openssl",
        "req",
        "-x509",
        "-key",
        "maker.key",
        "-subj",
        "/CN=Maker",
        "-days",
        "99",
        *extensions,
        "-out",
        "maker.pem",
    )
    at.key("born")
    at.run("openssl", "req", "-new", "-key", "born.key", "-subj", "/CN=born-1", "-out", "born.csr")
    sign = ("openssl", "x509", "-req", "-in", "born.csr", "-CA", "maker.pem", "-CAkey", "maker.key", "-days", "9")
    at.run(*sign, "-out", "born.pem")
    foreign = {"name": "maker", "certificate": (at.folder / "maker.pem").read_text()}
    assert at.api("POST", "/v1/authorities", foreign)["issues"] is False
    admission = {"proof": "CLIENT_CERTIFICATE", "authorities": ["maker"]}
    at.api("PATCH", "/v1/dms/field", {"settings": {"admission": admission}})
    assert ask(at, "--cert", "born.pem", "--key", "born.key").status == 200
    settings = {"authority": "maker"}
    assert at.app.request("PATCH", "/v1/dms/field", {"settings": settings}).status == 409, "it cannot sign"
    leaf = {"name": "leaf", "certificate": (at.folder / "born.pem").read_text()}
    assert at.app.request("POST", "/v1/authorities", leaf).json()["code"] == "not_an_authority"


def test_authorities_that_come_and_go_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL lets go of no authority, so whoever made and deleted some all day would take all memory."""
    monkeypatch.setattr(limits, "MAX_SPARE_ANCHORS", 4)
    with site(tmp_path) as at:
        prepare(at)
        stays, goes = made(at, "made-1"), ("--cert", "brief.pem", "--key", "brief.key")
        at.api("POST", "/v1/dms", {"name": "pop-up", "settings": {**ANYBODY, "authority": "brief"}})
        at.key("brief")
        assert at.enrol("pop-up", "simpleenroll", "brief", "/CN=brief").status == 200
        url = f"{at.url}/.well-known/est/field/cacerts"
        fetch = ("curl", "-sS", "--cacert", at.trust(), url)
        at.run(*fetch, *goes)
        at.api("DELETE", "/v1/dms/pop-up")
        at.api("POST", f"/v1/certificates/{at.serial('brief')}:revoke", {"reason": "superseded"})
        at.api("DELETE", "/v1/authorities/brief")
        for number in range(12):
            at.api("POST", "/v1/authorities", {"name": f"passing-{number}"})
            at.api("DELETE", f"/v1/authorities/passing-{number}")
        at.fails(*fetch, *goes)
        assert ask(at, *stays).status == 200
        assert ask(at, *made(at, "made-2"), subject="/CN=pump-2").status == 200


def test_an_authority_that_tls_cannot_read_is_no_other_tenants_trouble(tmp_path: Path) -> None:
    """A part of its issuer's name is of a type that no name has, which only OpenSSL minds."""
    with site(tmp_path) as at:
        prepare(at)
        factory = ssl.PEM_cert_to_DER_cert(at.api("GET", "/v1/authorities/factory")["certificate"])
        odd = factory.replace(der.tlv(der.UTF8, b"factory"), der.tlv(der.OCTETS, b"factory"), 1)
        at.api("POST", "/v1/organizations", {"slug": "rival"})
        body = {"name": "odd", "certificate": ssl.DER_cert_to_PEM_cert(odd)}
        at.api("POST", "/v1/authorities", body, headers={"fleetroll-organization": "rival"})
        at.api("POST", "/v1/authorities", {"name": "later"})
        at.api("PATCH", "/v1/dms/bench", {"settings": {**ANYBODY, "authority": "later"}})
        at.api("PATCH", "/v1/dms/field", {"settings": {"admission": {"authorities": ["later"]}}})
        shown = made(at, "made-1")
        assert ask(at, *shown).status == 200
    with site(tmp_path) as at:
        assert ask(at, *shown, subject="/CN=pump-2").status == 200


def certified(at: Site, name: str, above: str, *extensions: str) -> str:
    """Certify a new key by openssl. Returns the certificate."""
    at.key(name)
    at.run("openssl", "req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
    (at.folder / f"{name}.ext").write_text("\n".join(extensions))
    signer = ("-CA", f"{above}.pem", "-CAkey", f"{above}.key") if above != name else ("-signkey", f"{name}.key")
    sign = ("openssl", "x509", "-req", "-in", f"{name}.csr", *signer, "-days", "9", "-extfile", f"{name}.ext")
    at.run(*sign, "-out", f"{name}.pem")
    return (at.folder / f"{name}.pem").read_text()


LOOKALIKES = {
    "another key under the same key identifier": ("subjectKeyIdentifier={identifier}",),
    "another key under no key identifier": ("subjectKeyIdentifier=none",),
    "the same key for other purposes": ("subjectKeyIdentifier=hash", "extendedKeyUsage=critical,serverAuth"),
    "the same key within bounds": ("subjectKeyIdentifier=hash", "nameConstraints=critical,excluded;dirName:all"),
}


@pytest.mark.parametrize("kind", LOOKALIKES)
def test_an_authority_that_looks_like_another_tenants_does_it_no_harm(at: Site, kind: str) -> None:
    """The listener knows the rival's first."""
    made_up = certified(at, "Maker", "Maker", *AUTHORITY, "subjectKeyIdentifier=hash")
    certified(at, "born", "Maker", "authorityKeyIdentifier=keyid:always")
    key = "Maker" if kind.startswith("the same key") else "rival"
    at.key("rival")
    extensions = (each.format(identifier=key_identifier(made_up)) for each in LOOKALIKES[kind])
    rival = {"name": "maker", "certificate": lookalike(at, "Maker", key, *AUTHORITY, *extensions)}
    at.api("POST", "/v1/organizations", {"slug": "rival"})
    headers = {"fleetroll-organization": "rival"}
    reply = at.app.request("POST", "/v1/authorities", rival, headers=headers)
    assert (reply.status, reply.json().get("code")) in {(201, None), (400, "foreign_key_identifier")}
    assert (reply.status == 400) is ("{identifier}" in LOOKALIKES[kind][0])
    at.api("POST", "/v1/authorities", {"name": "maker", "certificate": made_up})
    at.api("PATCH", "/v1/dms/field", {"settings": {"admission": {"authorities": ["maker"]}}})
    assert ask(at, "--cert", "born.pem", "--key", "born.key").status == 200


def key_identifier(certificate: str) -> str:
    return X509(b"k" * 32).describe(ssl.PEM_cert_to_DER_cert(certificate)).subject_key


def lookalike(at: Site, name: str, key: str, *extensions: str) -> str:
    """A certificate with an authority's name and that key, signed by the rival."""
    (at.folder / "like.ext").write_text("\n".join((*extensions, "[all]", "CN=born")))
    at.run("openssl", "req", "-new", "-key", "rival.key", "-subj", f"/CN={name}", "-out", "like.csr")
    at.run("openssl", "pkey", "-in", f"{key}.key", "-pubout", "-out", "like.pub")
    sign = ("openssl", "x509", "-req", "-in", "like.csr", "-force_pubkey", "like.pub", "-signkey", "rival.key")
    at.run(*sign, "-days", "9", "-extfile", "like.ext", "-out", "like.pem")
    return (at.folder / "like.pem").read_text()


def test_a_certificate_may_be_as_far_below_a_trusted_authority_as_the_dms_says(at: Site) -> None:
    for name, above in (("root", "root"), ("works", "root"), ("hall", "works")):
        certificate = certified(at, name, above, *AUTHORITY)
        at.api("POST", "/v1/authorities", {"name": name, "certificate": certificate})
    shown = {}
    for levels, above in enumerate(("root", "works", "hall"), start=1):
        certified(at, f"born-{levels}", above)
        shown[levels] = ("--cert", f"born-{levels}.pem", "--key", f"born-{levels}.key")
    field, enrolled = "/api/dmsmanager/v1/dms/field", 0
    for given, allowed in ((1, 1), (2, 2), (3, 3), (-1, 3), (0, 3)):
        settings = {
            "enrollment_settings": {
                "est_rfc7030_settings": {
                    "auth_mode": "CLIENT_CERTIFICATE",
                    "client_certificate_settings": {"validation_cas": ["root"], "chain_level_validation": given},
                }
            }
        }
        in_force = at.api("PUT", field, {"id": "field", "settings": settings})["settings"]["enrollment_settings"]
        proof = in_force["est_rfc7030_settings"]["client_certificate_settings"]
        assert proof["chain_level_validation"] == (given or -1)
        for levels, client in shown.items():
            enrolled += 1
            reply = ask(at, *client, subject=f"/CN=new-{enrolled}")
            assert reply.status == (200 if levels <= allowed else 401), (given, levels, reply.body)
    at.pass_days(8)
    assert ask(at, *shown[3], subject="/CN=late").status == 200
    at.api("PATCH", "/v1/dms/field", {"settings": {"admission": {"authorities": ["works"], "allow_expired": True}}})
    assert ask(at, *shown[2], subject="/CN=plain").status == 200
    for levels in (0, 9, -1):
        settings = {"admission": {"authorities": ["works"], "levels": levels}}
        assert at.app.request("PATCH", "/v1/dms/field", {"settings": settings}).status == 400


def test_an_authority_between_must_be_known_and_good(at: Site) -> None:
    for name, above in (("root", "root"), ("works", "root"), ("hall", "works")):
        certificate = certified(at, name, above, *AUTHORITY)
        if name != "works":
            at.api("POST", "/v1/authorities", {"name": name, "certificate": certificate})
    certified(at, "born", "hall")
    shown = ("--cert", "born.pem", "--key", "born.key")
    admission = {"authorities": ["root"], "levels": None, "allow_expired": True}
    at.api("PATCH", "/v1/dms/field", {"settings": {"admission": admission}})
    assert ask(at, *shown, subject="/CN=a").status == 401
    works = {"name": "works", "certificate": (at.folder / "works.pem").read_text()}
    at.api("POST", "/v1/authorities", works)
    assert ask(at, *shown, subject="/CN=a").status == 200
    at.pass_days(10)
    assert ask(at, *shown, subject="/CN=b").status == 401, "those between have expired"


def test_a_device_enrols_for_itself_alone_at_the_authority_that_it_has_its_certificate_of(at: Site) -> None:
    admission = {"proof": "CLIENT_CERTIFICATE", "authorities": ["factory"]}
    at.api("POST", "/v1/dms", {"name": "again", "settings": {"authority": "factory", "admission": admission}})
    shown = made(at, "made-1")
    assert ask(at, *shown, subject="/CN=other-1", label="again").status == 403
    assert devices(at) == ["made-1"]


def test_an_authority_is_the_same_under_another_name(at: Site) -> None:
    shown = made(at, "pump-7")
    twin = {"name": "twin", "certificate": at.api("GET", "/v1/authorities/factory")["certificate"]}
    at.api("POST", "/v1/authorities", twin)
    admission = {"proof": "CLIENT_CERTIFICATE", "authorities": ["twin"]}
    settings = {"authority": "factory", "admission": admission, "replaceable": True}
    at.api("POST", "/v1/dms", {"name": "again", "settings": settings})
    assert ask(at, *shown, subject="/CN=pump-8", label="again").status == 403
    assert "pump-8" not in devices(at)


ENDS = {
    "deleted": ("DELETE", "/v1/devices/made-1"),
    "decommissioned": ("POST", "/v1/devices/made-1:decommission"),
    "renamed": ("PATCH", "/v1/devices/made-1", {"ident": "made-2"}),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_certificate_of_a_device_that_is_gone_opens_nothing_though_expired_ones_are_taken(
    at: Site, end: tuple[Any, ...]
) -> None:
    shown = made(at, "made-1")
    admission = {"proof": "CLIENT_CERTIFICATE", "authorities": ["factory"], "allow_expired": True}
    at.api("PATCH", "/v1/dms/field", {"settings": {"admission": admission}})
    at.pass_days(11)
    assert ask(at, *shown).status == 200
    at.api(*end)
    assert ask(at, *shown, subject="/CN=pump-2").status == 401


def test_only_registered_devices_enrol_where_the_dms_says_so(at: Site) -> None:
    at.api("POST", "/v1/dms", {"name": "shut", "settings": {**ANYBODY, "registration": "PRE_REGISTRATION"}})
    assert ask(at, label="shut").status == 403
    at.api("POST", "/v1/devices", {"ident": "pump-1", "name": "Registered"})
    assert ask(at, label="shut").status == 200
    device = at.api("GET", "/v1/devices/pump-1")
    assert (device["name"], device["status"]) == ("Registered", "ACTIVE")
    at.api("POST", "/v1/dms", {"name": "second", "settings": {**ANYBODY, "replaceable": True}})
    assert ask(at, label="second").status == 403, "it belongs to another DMS"


def test_a_renewal_needs_the_devices_own_certificate(at: Site) -> None:
    mine, others = made(at, "pump-1"), made(at, "pump-2")
    for shown, status in (((), 401), (others, 403), (mine, 200)):
        assert ask(at, *shown, label="bench", verb="simplereenroll").status == status
    at.pass_days(11)
    assert ask(at, *others, subject="/CN=pump-2", label="bench", verb="simplereenroll").status == 401, "expired"
    at.api("DELETE", "/v1/devices/pump-1")
    assert ask(at, *mine, label="bench", verb="simplereenroll").status == 404


def test_a_device_renews_at_its_own_dms_alone(at: Site) -> None:
    at.api("POST", "/v1/dms", {"name": "second", "settings": {**ANYBODY, "authority": "factory"}})
    shown = made(at, "pump-1")
    assert ask(at, *shown, label="second", verb="simplereenroll").status == 403
    assert ask(at, *shown, label="bench", verb="simplereenroll").status == 200


def test_a_revoked_certificate_renews_nothing_at_a_dms_that_has_changed_its_authority(at: Site) -> None:
    settings = {**ANYBODY, "authority": "factory", "replaceable": True}
    at.api("PATCH", "/v1/dms/bench", {"settings": settings})
    lost = made(at, "pump-1")
    at.api("POST", f"/v1/certificates/{at.serial('pump-1')}:revoke", {"reason": "key_compromise"})
    at.key("second")
    assert at.enrol("bench", "simpleenroll", "second", "/CN=pump-1").status == 200
    changed = {**settings, "authority": "default", "renewal": {"authorities": ["factory"]}}
    at.api("PATCH", "/v1/dms/bench", {"settings": changed})
    assert ask(at, *lost, label="bench", verb="simplereenroll").status == 401
    present = ("--cert", "second.pem", "--key", "second.key")
    assert ask(at, *present, label="bench", verb="simplereenroll").status == 200


def test_a_certificate_that_is_not_valid_yet_renews_nothing(at: Site) -> None:
    """It is another authority's than that of the DMS: what that one gave, and when, nobody here has written down."""
    at.pass_days(3)
    shown = made(at, "pump-1")
    at.pass_days(-2)
    changed = {**ANYBODY, "authority": "default", "renewal": {"authorities": ["factory"], "allow_expired": True}}
    at.api("PATCH", "/v1/dms/bench", {"settings": changed})
    assert ask(at, *shown, label="bench", verb="simplereenroll").status == 401
    at.pass_days(2)
    assert ask(at, *shown, label="bench", verb="simplereenroll").status == 200


def test_a_certificate_that_is_not_valid_yet_opens_nothing(at: Site) -> None:
    at.pass_days(3)
    shown = made(at, "made-1")
    at.pass_days(-2)
    assert ask(at, *shown).status == 401
    at.pass_days(2)
    assert ask(at, *shown).status == 200


# --- behind a proxy --------------------------------------------------------------------------------------------------


def behind(at: Site, headers: dict[str, str], label: str = "field") -> Response:
    """A request over plain HTTP, with what a proxy says of its client."""
    body = at.request("new", "/CN=pump-1")
    call = asgi(at.app.application.asgi, "POST", f"/.well-known/est/{label}/simpleenroll", PKCS10 | headers, body)
    return at.app.runner.run(call)


def escaped(at: Site, name: str) -> str:
    return quote(at.run("openssl", "x509", "-in", f"{name}.pem"))


FORMS = {
    "Envoy": lambda text: {"x-forwarded-client-cert": f'By=spiffe://x;Hash=ab;Cert="{text}";Subject="CN=made-1"'},
    "Envoy, the last hop": lambda text: {"x-forwarded-client-cert": f'Cert="forged",Hash=ab;Cert="{text}"'},
    "Envoy, with all that it tells": lambda text: {
        "x-forwarded-client-cert": f'Hash=ab;Cert="{text}";Chain="{text}";Subject="O=a\\"b,CN=c";URI=;DNS=d;DNS=e'
    },
    "nginx": lambda text: {"ssl-client-cert": text},
    "Amazon": lambda text: {"x-amzn-mtls-clientcert": text},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_trusted_proxy_tells_who_its_client_is(tmp_path: Path, form: "dict[str, str] | object") -> None:
    with site(tmp_path, trusted_proxies=(ip_network("127.0.0.0/8"),)) as at:
        prepare(at)
        made(at, "made-1")
        at.key("new")
        headers = form(escaped(at, "made-1"))  # type: ignore[operator]  # a function of the table
        assert behind(at, {}).status == 401
        assert behind(at, headers | {"x-forwarded-proto": "http"}).status == 403
        assert behind(at, headers).status == 200


def test_what_a_client_is_called_is_not_taken_for_its_certificate(tmp_path: Path) -> None:
    with site(tmp_path, trusted_proxies=(ip_network("127.0.0.0/8"),)) as at:
        prepare(at)
        made(at, "made-1")
        at.key("new")
        at.run("openssl", "req", "-x509", "-key", "new.key", "-subj", "/CN=stranger", "-out", "stranger.pem")
        own, claimed = escaped(at, "stranger"), escaped(at, "made-1")
        claims = (
            f'Cert="{own}";Subject="CN=x;Cert={claimed}"',
            f'Cert="{own}";Subject="CN=x,Cert={claimed}"',
            f'Cert="{own}";DNS=x;Cert={claimed}',
            rf'Cert="{own}";Subject="CN=\";Cert=\"{claimed}\""',
            f'Cert="{own}";DNS="x;Cert={claimed}',
            f'Cert="{own}";"DNS=x;Cert={claimed}',
            f'Cert="{claimed}",Hash=ab',
        )
        for claim in claims:
            assert behind(at, {"x-forwarded-client-cert": claim}).status == 401, claim


def test_anybody_elses_headers_are_not_looked_at(at: Site) -> None:
    made(at, "made-1")
    at.key("new")
    for form in FORMS.values():
        assert behind(at, form(escaped(at, "made-1"))).status == 403


@pytest.mark.parametrize("value", ["", "%", "null", "-----BEGIN CERTIFICATE-----", "A" * 8_000, "%00%ff", "MII="])
def test_a_header_that_holds_no_certificate_is_none(tmp_path: Path, value: str) -> None:
    with site(tmp_path, trusted_proxies=(ip_network("127.0.0.1"),)) as at:
        prepare(at)
        at.key("new")
        for name in ("x-forwarded-client-cert", "ssl-client-cert", "x-amzn-mtls-clientcert"):
            assert behind(at, {name: f"Cert={value}" if name.startswith("x-f") else value}).status == 401


@pytest.mark.parametrize("claim", ["Cert=" + " " * 15_000 + '"', 'Cert="' + "\\" * 15_000, 'a="";' * 3_000 + '"'])
def test_what_a_client_claims_before_its_proxy_is_judged_at_once(tmp_path: Path, claim: str) -> None:
    with site(tmp_path, trusted_proxies=(ip_network("127.0.0.1"),)) as at:
        prepare(at)
        at.key("new")
        started = time.thread_time()
        assert behind(at, {"x-forwarded-client-cert": f'{claim},Hash=ab;Cert=""'}).status == 401
        assert time.thread_time() - started < 0.5


# --- what comes in ---------------------------------------------------------------------------------------------------


def test_what_is_no_request_is_refused_and_leaves_nothing(at: Site) -> None:
    at.api("POST", "/v1/dms", {"name": "open", "settings": ANYBODY})
    before = devices(at)
    for body in (b"", b"not base64!", b"AAAA", b"\xff\xfe", b"A" * 20_000, at.request_of(der.device("a\0b"))):
        reply = at.est("open", "simpleenroll", body)
        assert reply.status in {400, 413}, body[:20]
        assert reply.json()["err"]
    good = at.request_of(der.device("pump-1"))
    for media_type in ("application/json", "text/plain", "application/pkcs7-mime"):
        assert at.est("open", "simpleenroll", good, "-H", f"Content-Type: {media_type}").status == 400
    assert devices(at) == before
    assert at.est("open", "simpleenroll", good).status == 200


def test_refusals_have_the_statuses_of_the_profile(tmp_path: Path) -> None:
    with site(tmp_path, lamassu_profile="upstream") as at:
        prepare(at)
        assert ask(at).status == 500, "no certificate"
        assert ask(at, label="nowhere").status == 500
        assert at.est("field", "simpleenroll", b"!").status == 400


def test_what_the_authority_has_left_is_all_that_a_certificate_gets(at: Site) -> None:
    at.api("POST", "/v1/authorities", {"name": "short", "lifetime": 86_400 * 5})
    at.api("POST", "/v1/dms", {"name": "late", "settings": {**ANYBODY, "authority": "short"}})
    assert ask(at, label="late").status == 200
    shown = at.api("GET", f"/v1/certificates/{at.serial('new')}")
    authority = at.api("GET", "/v1/authorities/short")
    assert shown["not_after"] == authority["not_after"]
    at.pass_days(6)
    assert ask(at, subject="/CN=pump-2", label="late").status == 400, "the authority has expired"
    assert at.offset == 6 * DAY
    assert "pump-2" not in devices(at)
