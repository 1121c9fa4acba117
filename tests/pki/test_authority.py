"""What an authority issues, as `openssl` sees it: chains, purposes, times, revocation lists and bundles."""

import asyncio
import hashlib
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from fleetroll.core import limits
from fleetroll.core.certificates import KeyKind, KeyType, Reason, Revocation
from fleetroll.core.faults import Fault, Kind
from fleetroll.pki import keys, requests
from fleetroll.pki.port import Issued, Request, Signer, Terms
from fleetroll.pki.x509 import X509

SECOND, DAY = 1_000_000, 86_400 * 1_000_000
NOW = 1_800_000_000 * SECOND
TERMS = Terms(NOW, NOW + 30 * DAY)
PKI = X509(b"k" * 32)

USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def signer() -> Signer:
    return PKI.make_authority("Acme devices", "acme", PKI.make_key(KeyKind()), Terms(NOW, NOW + 3650 * DAY), "1:main")


def request(common_name: str = "pump-1", *alternatives: str) -> Request:
    key = keys.make(KeyKind())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in alternatives]) if alternatives else None
    return PKI.read_request(requests.make(key, subject, names))


def openssl(*arguments: str, text: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *arguments], input=text, capture_output=True, check=False, timeout=30)


def pem(label: str, der: bytes, file: Path) -> Path:
    done = openssl(label, "-inform", "DER", "-outform", "PEM", text=der)
    assert done.returncode == 0, done.stderr
    file.write_bytes(done.stdout)
    return file


def verify(tmp_path: Path, signer: Signer, certificate: bytes, *options: str, at: int = NOW + DAY) -> str:
    """What `openssl verify` says of a certificate."""
    authority = pem("x509", signer.certificate, tmp_path / "ca.pem")
    device = pem("x509", certificate, tmp_path / "device.pem")
    command = ("verify", "-x509_strict", "-attime", str(at // SECOND), "-CAfile", str(authority))
    done = openssl(*command, *options, str(device))
    return "OK" if done.returncode == 0 else (done.stdout + done.stderr).decode()


@needs_openssl
@pytest.mark.parametrize("kind", [KeyKind(), KeyKind(KeyType.EC, 384), KeyKind(KeyType.RSA, 2048)], ids=str)
def test_a_certificate_of_every_kind_of_authority_verifies(kind: KeyKind, tmp_path: Path) -> None:
    signer = PKI.make_authority("Acme", "acme", PKI.make_key(kind), Terms(NOW, NOW + 3650 * DAY), "1:other")
    assert PKI.describe(signer.certificate).key == kind
    assert verify(tmp_path, signer, PKI.issue(signer, request(), TERMS).der, "-purpose", "sslclient") == "OK"


@needs_openssl
def test_a_device_certificate_is_for_clients_and_for_its_time_alone(signer: Signer, tmp_path: Path) -> None:
    issued = PKI.issue(signer, request(), TERMS)
    assert "unsuitable certificate purpose" in verify(tmp_path, signer, issued.der, "-purpose", "sslserver")
    assert "expired" in verify(tmp_path, signer, issued.der, at=issued.not_after + SECOND)
    assert "not yet valid" in verify(tmp_path, signer, issued.der, at=NOW - DAY)


@needs_openssl
def test_a_revoked_certificate_is_on_the_list_and_no_other(signer: Signer, tmp_path: Path) -> None:
    good, bad = PKI.issue(signer, request(), TERMS), PKI.issue(signer, request("pump-2"), TERMS)
    revoked = [Revocation(1, bad.serial, NOW, Reason.KEY_COMPROMISE)]
    listed = pem("crl", PKI.revocation_list(signer, revoked, 7, NOW, NOW + 2 * DAY), tmp_path / "crl.pem")
    options = ("-crl_check", "-CRLfile", str(listed))
    assert verify(tmp_path, signer, good.der, *options) == "OK"
    assert "revoked" in verify(tmp_path, signer, bad.der, *options)
    shown = openssl("crl", "-text", "-noout", "-in", str(listed))
    assert b"Key Compromise" in shown.stdout
    assert bad.serial.upper().encode() in shown.stdout


@needs_openssl
def test_a_bundle_holds_the_certificates_that_were_put_in(signer: Signer) -> None:
    issued = PKI.issue(signer, request(), TERMS)
    bundle = PKI.bundle([issued.der, signer.certificate])
    shown = openssl("pkcs7", "-inform", "DER", "-print_certs", "-noout", text=bundle)
    assert shown.returncode == 0
    assert shown.stdout.count(b"subject=") == 2


@needs_openssl
def test_the_server_gets_a_certificate_for_its_names(signer: Signer, tmp_path: Path) -> None:
    der, key = PKI.issue_for_server(signer, ["fleet.example.com", "10.0.0.1"], TERMS, "password")
    for name in ("-verify_hostname fleet.example.com", "-verify_ip 10.0.0.1", "-purpose sslserver"):
        assert verify(tmp_path, signer, der, *name.split()) == "OK"
    assert "mismatch" in verify(tmp_path, signer, der, "-verify_hostname", "other.example.com")
    shown = openssl("x509", "-inform", "DER", "-noout", "-ext", "subjectKeyIdentifier,authorityKeyIdentifier", text=der)
    assert shown.stdout.count(b"Key Identifier") == 2
    opened = openssl("pkey", "-passin", "pass:password", "-noout", "-check", text=key.encode())
    assert opened.returncode == 0
    assert openssl("pkey", "-passin", "pass:other", text=key.encode()).returncode != 0


def test_certificates_say_what_they_are_good_for_to_whoever_checks_no_more(signer: Signer) -> None:
    """As RFC 5280 wants it (4.2.1.3, 4.2.1.9): nobody may overlook what is critical."""
    device, (server, _) = PKI.issue(signer, request(), TERMS).der, PKI.issue_for_server(signer, ["a.b"], TERMS, "pw")
    for der, constraints, good_for in (
        (signer.certificate, x509.BasicConstraints(ca=True, path_length=0), {"key_cert_sign", "crl_sign"}),
        (device, x509.BasicConstraints(ca=False, path_length=None), {"digital_signature"}),
        (server, x509.BasicConstraints(ca=False, path_length=None), {"digital_signature"}),
    ):
        found = x509.load_der_x509_certificate(der).extensions
        critical = {one.oid for one in found if one.critical}
        assert critical == {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE}
        assert found.get_extension_for_class(x509.BasicConstraints).value == constraints
        usage = found.get_extension_for_class(x509.KeyUsage).value
        assert {name for name in USAGES if getattr(usage, name)} == good_for


@pytest.mark.parametrize("reason", Reason)
def test_a_revocation_list_gives_the_reason_in_the_standards_number(signer: Signer, reason: Reason) -> None:
    der = PKI.revocation_list(signer, [Revocation(1, "7f", NOW, reason)], 7, NOW, NOW + DAY)
    found = x509.load_der_x509_crl(der)
    (entry,) = found
    assert (entry.serial_number, entry.revocation_date_utc.timestamp()) == (0x7F, NOW / SECOND)
    said = [(one.value.public_bytes(), one.critical) for one in entry.extensions]
    assert said == ([(bytes([0x0A, 1, reason.value]), False)] if reason.value else [])
    assert found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7
    assert [one.critical for one in found.extensions] == [False, False]


def test_revocation_lists_of_many_are_made_at_once(signer: Signer) -> None:
    many = [Revocation(number, f"{number:032x}", NOW, Reason.SUPERSEDED) for number in range(1, 2_001)]
    found = x509.load_der_x509_crl(PKI.revocation_list(signer, many, 1, NOW, NOW + DAY))
    assert len(found) == 2_000
    assert found.is_signature_valid(x509.load_der_x509_certificate(signer.certificate).public_key())  # type: ignore[arg-type]


def test_a_certificate_does_not_outlive_its_authority(signer: Signer) -> None:
    ends = PKI.describe(signer.certificate).not_after
    assert PKI.issue(signer, request(), Terms(NOW, ends + DAY)).not_after == ends
    for begins in (ends, ends + 1):
        with pytest.raises(Fault) as refusal:
            PKI.issue(signer, request(), Terms(begins, ends + DAY))
        assert refusal.value.code == "authority_expired"


def test_an_authority_of_a_clock_that_was_ahead_is_not_called_expired(signer: Signer) -> None:
    begins = PKI.describe(signer.certificate).not_before
    for ends in (begins, begins - DAY):
        with pytest.raises(Fault, match="not valid before") as refusal:
            PKI.issue(signer, request(), Terms(begins - 2 * DAY, ends))
        assert refusal.value.code == "authority_not_yet_valid"


def test_a_certificate_holds_from_the_second_in_which_it_was_issued(signer: Signer) -> None:
    issued = PKI.issue(signer, request(), Terms(NOW + SECOND - 1, NOW + DAY + 1))
    assert (issued.not_before, issued.not_after) == (NOW, NOW + DAY)


def test_only_asked_for_names_that_the_terms_allow_are_in_it(signer: Signer) -> None:
    wanted = request("pump-1", "pump-1.example.com")
    for allowed in (False, True):
        der = PKI.issue(signer, wanted, Terms(NOW, NOW + DAY, with_names=allowed)).der
        assert (b"pump-1.example.com" in der) is allowed


def test_no_two_serial_numbers_are_the_same_and_all_are_as_long(signer: Signer) -> None:
    issued = [PKI.issue(signer, request(), TERMS) for _ in range(20)]
    assert len({one.serial for one in issued}) == 20
    assert all(len(one.serial) == 32 and one.serial == PKI.describe(one.der).serial for one in issued)
    assert {int(one.serial, 16).bit_length() for one in issued} == {127}


def test_the_issuer_of_a_certificate_is_known_by_its_key(signer: Signer) -> None:
    other = PKI.make_authority("Acme devices", "acme", PKI.make_key(KeyKind()), Terms(NOW, NOW + DAY), "2:main")
    issued: Issued = PKI.issue(signer, request(), TERMS)
    assert PKI.is_issued_by(issued.der, signer.certificate)
    assert not PKI.is_issued_by(issued.der, other.certificate), "the same name, another key"
    assert not PKI.is_issued_by(issued.der, issued.der)


def certificate(
    key: keys.PrivateKey,
    identifier: bytes | None,
    serial: int = 7,
    *,
    is_ca: bool | None = True,
    issuer: x509.AuthorityKeyIdentifier | None = None,
) -> bytes:
    """An authority's certificate with that key identifier. With None for `is_ca` it says nothing of that."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Maker")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), serial)
    if is_ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    if identifier is not None:
        builder = builder.add_extension(x509.SubjectKeyIdentifier(identifier), critical=False)
    if issuer is not None:
        builder = builder.add_extension(issuer, critical=False)
    builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(
        datetime(2040, 1, 1, tzinfo=UTC)
    )
    return builder.sign(key, requests.hash_for(key)).public_bytes(Encoding.DER)


def test_an_authority_bears_its_name_and_that_of_its_owner(signer: Signer) -> None:
    info = PKI.describe_authority(signer.certificate)
    assert (info.subject.common_name, info.subject.organization) == ("Acme devices", "acme")
    assert info.issuer == info.subject


def test_a_strangers_certificate_is_described_by_what_it_has() -> None:
    key, other = keys.make(KeyKind()), keys.make(KeyKind()).public_key()
    assert PKI.describe(certificate(key, None, serial=0x7)).serial == "07"
    by_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(other)
    by_serial = x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(x509.Name([]))], 7)
    found = [PKI.describe(certificate(key, None, issuer=issuer)).issuer_key for issuer in (None, by_key, by_serial)]
    assert found == ["", (by_key.key_identifier or b"").hex(), ""]


@pytest.mark.parametrize(("padding", "taken"), [(0, True), (limits.MAX_CERTIFICATE, False)])
def test_a_certificate_is_read_up_to_its_bound(padding: int, taken: bool) -> None:
    der = certificate(keys.make(KeyKind()), bytes(padding))
    if taken:
        assert PKI.describe(der).subject.common_name == "Maker"
    else:
        with pytest.raises(Fault, match="not an X"):
            PKI.describe(der)


@pytest.mark.parametrize("is_ca", [False, None])
def test_only_a_certificate_that_says_so_is_an_authoritys(is_ca: bool | None) -> None:
    der = certificate(keys.make(KeyKind()), None, is_ca=is_ca)
    assert not PKI.describe(der).is_authority
    with pytest.raises(Fault) as refusal:
        PKI.describe_authority(der)
    assert refusal.value.code == "not_an_authority"


@pytest.mark.parametrize("kind", [KeyKind(), KeyKind(KeyType.RSA, 2048), KeyKind(KeyType.ED25519, 256)], ids=str)
def test_a_key_identifier_is_a_hash_of_its_key_or_there_is_none(kind: KeyKind) -> None:
    key = keys.make(kind)
    usual = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
    whole = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    wider = hashlib.sha256(whole)
    for identifier in (usual, None, wider.digest(), wider.hexdigest().encode(), hashlib.sha512(whole).digest()[:20]):
        assert PKI.describe_authority(certificate(key, identifier)).subject_key == (identifier or b"").hex()
    for identifier in (usual[::-1], usual[:2], usual + b"\0", bytes(20)):
        with pytest.raises(Fault) as refused:
            PKI.describe_authority(certificate(key, identifier))
        assert refused.value.code == "foreign_key_identifier"


def test_an_anchor_has_the_name_and_the_key_of_its_authority_and_nothing_else(signer: Signer) -> None:
    anchor, authority = (
        x509.load_der_x509_certificate(der) for der in (PKI.anchor(signer.certificate) or b"", signer.certificate)
    )
    for part in ("subject", "issuer", "serial_number"):
        assert getattr(anchor, part) == getattr(authority, part)
    assert anchor.public_key() == authority.public_key()
    assert {one.oid for one in anchor.extensions} == {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    }
    constraints = anchor.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, True)
    assert PKI.anchor(b"") is None


def test_an_anchor_has_the_key_identifier_by_which_certificates_name_its_authority() -> None:
    key = keys.make(KeyKind())
    whole = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    identifier = hashlib.sha256(whole).digest()
    assert PKI.describe(PKI.anchor(certificate(key, identifier)) or b"").subject_key == identifier.hex()


@pytest.mark.parametrize("serial", [b"\x00", b"\xff"], ids=["0", "-1"])
def test_an_authority_with_a_serial_number_that_should_not_be_has_an_anchor(serial: bytes) -> None:
    """There are such authorities, and their clients' certificates seldom name them by it."""
    der = certificate(keys.make(KeyKind()), None, serial=0x7F)
    anchor = PKI.anchor(der.replace(b"\x02\x01\x7f", b"\x02\x01" + serial, 1))
    assert anchor is not None
    assert PKI.describe(anchor).subject.common_name == "Maker"
    assert x509.load_der_x509_certificate(anchor).serial_number > 0


def test_an_authority_without_a_key_identifier_is_known_by_the_usual_one() -> None:
    key = keys.make(KeyKind())
    anchor = PKI.anchor(certificate(key, None))
    usual = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
    assert anchor is not None
    assert PKI.describe(anchor).subject_key == usual.hex()


def test_a_sealed_key_opens_under_its_server_key_and_its_context_alone(signer: Signer) -> None:
    assert b"PRIVATE" not in signer.sealed_key
    moved = Signer(signer.certificate, signer.sealed_key, "2:main")
    for pki, wrong in ((X509(b"x" * 32), signer), (X509(b"k" * 32), moved)):
        with pytest.raises(RuntimeError):
            pki.issue(wrong, request(), TERMS)
        assert not pki.can_sign(wrong)
    assert X509(b"k" * 32).can_sign(signer)


def test_a_server_made_key_gets_the_name_that_was_asked_for(signer: Signer) -> None:
    asked = request("pump-1", "pump-1.example.com")
    key = PKI.make_key(KeyKind(KeyType.EC, 384))
    made = PKI.make_request(key, asked)
    assert made.subject == asked.subject
    assert made.key == KeyKind(KeyType.EC, 384)
    assert PKI.describe(PKI.issue(signer, made, TERMS).der).subject.common_name == "pump-1"


@pytest.mark.parametrize("kind", [KeyKind(KeyType.RSA, 1024), KeyKind(KeyType.RSA, 65536), KeyKind(KeyType.EC, 1)])
def test_keys_of_other_sizes_are_not_made(kind: KeyKind) -> None:
    with pytest.raises(Fault):
        PKI.make_key(kind)


@pytest.mark.parametrize("der", [b"", b"x", b"\x30" * 100, b"\x30" * (limits.MAX_CERTIFICATE + 1)])
def test_what_is_no_certificate_is_refused(der: bytes) -> None:
    with pytest.raises(Fault) as refusal:
        PKI.describe(der)
    assert refusal.value.code == "invalid_certificate"


def test_keys_of_rsa_wait_in_a_line_with_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for each organization and one for all; keys that take no time are made beside them."""
    monkeypatch.setattr(limits, "MAX_KEYS_DUE", 3)
    monkeypatch.setattr(limits, "MAX_OWN_KEYS_DUE", 2)
    slow, quick = KeyKind(KeyType.RSA, 2048), KeyKind()

    async def ask() -> list[bytes | BaseException]:
        pki = X509(b"k" * 32)
        asked = [(slow, 1), (slow, 1), (slow, 1), (quick, 1), (slow, 2), (slow, 2)]
        found = await asyncio.gather(*(pki.make_key_off_loop(*one) for one in asked), return_exceptions=True)
        return [*found, await pki.make_key_off_loop(slow, 1)]

    found = asyncio.run(ask())
    assert [isinstance(one, bytes) for one in found] == [True, True, False, True, True, False, True]
    refused = [(one.kind, one.code, one.retry_after) for one in found if isinstance(one, Fault)]
    assert refused == [(Kind.UNAVAILABLE, "too_many_keys", limits.KEY_TIME)] * 2
