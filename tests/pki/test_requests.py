"""Certificate requests from strangers: good ones of every kind are read, all others are refused as a Fault."""

import os
import random
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from fleetroll.core import limits
from fleetroll.core.certificates import KeyKind, KeyType
from fleetroll.core.faults import Fault, Kind
from fleetroll.pki import keys, requests
from tests.support import der
from tests.support.der import (
    BITS,
    COMMON_NAME,
    ORGANIZATION,
    SEQUENCE,
    SET,
    UTF8,
    alternatives,
    extension,
    name,
    part,
    tlv,
)
from tests.support.effort import often

GOOD = der.device("pump-1", alternatives(tlv(0x82, b"pump-1.example.com"), tlv(0x87, b"\x0a\x00\x00\x01")))
CN = part(COMMON_NAME, b"pump-1")


def signed(key: object, digest: hashes.HashAlgorithm | None = None) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pump-1")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, digest).public_bytes(Encoding.DER)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kind",
    [
        KeyKind(KeyType.EC, 256),
        KeyKind(KeyType.EC, 384),
        KeyKind(KeyType.EC, 521),
        KeyKind(KeyType.RSA, 2048),
        KeyKind(KeyType.ED25519, 256),
    ],
    ids=str,
)
def test_requests_of_every_accepted_key_are_read(kind: KeyKind) -> None:
    key = keys.make(kind)
    found = requests.read(signed(key, requests.hash_for(key)))
    assert (found.subject.common_name, found.key) == ("pump-1", kind)


def test_a_name_of_many_parts_and_languages_is_read() -> None:
    found = requests.read(der.request(name(part(ORGANIZATION, "Bürger & Söhne".encode()), CN)))
    assert (found.subject.organization, found.subject.common_name) == ("Bürger & Söhne", "pump-1")


def test_a_common_name_may_be_as_long_as_an_identifier() -> None:
    assert requests.read(der.device("x" * 256)).subject.common_name == "x" * 256


def deep(levels: int) -> bytes:
    nested = b""
    for _ in range(levels):
        nested = tlv(SEQUENCE, nested)
    return nested


def weak() -> Iterator[tuple[str, bytes]]:
    yield "RSA 1024", signed(rsa.generate_private_key(65537, 1024), hashes.SHA256())  # noqa: S505  # the point
    yield "RSA with exponent 3", signed(rsa.generate_private_key(3, 2048), hashes.SHA256())
    yield "EC on a curve of another kind", signed(ec.generate_private_key(ec.SECP256K1()), hashes.SHA256())
    yield "EC of 192 bits", signed(ec.generate_private_key(ec.SECP192R1()), hashes.SHA256())
    yield "DSA", signed(dsa.generate_private_key(2048), hashes.SHA256())
    yield "Ed448", signed(ed448.Ed448PrivateKey.generate())
    huge = rsa.RSAPublicNumbers(65537, (1 << 16000) | 1).public_key()
    spki = huge.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    yield "RSA 16001", der.request(name(CN), spki=spki)


def subjects() -> Iterator[tuple[str, bytes]]:
    yield "no name at all", der.request(name())
    yield "no common name", der.request(name(part(ORGANIZATION, b"Acme")))
    yield "two common names", der.request(name(CN, part(COMMON_NAME, b"pump-2")))
    yield (
        "two common names in one part",
        der.request(name(tlv(0x31, *(tlv(SEQUENCE, COMMON_NAME, tlv(UTF8, text)) for text in (b"pump-1", b"pump-2"))))),
    )
    yield "an empty common name", der.request(name(part(COMMON_NAME, b"")))
    yield "NUL", der.request(name(part(COMMON_NAME, b"pump-1\0.evil")))
    yield "a line end", der.request(name(part(COMMON_NAME, b"pump-1\r\nX: y")))
    yield "text that turns round", der.request(name(part(COMMON_NAME, "\u202epump".encode())))
    yield "257 characters", der.request(name(part(COMMON_NAME, b"x" * 257)))
    unique = tlv(SEQUENCE, b"\x06\x03\x55\x04\x2d", tlv(BITS, b"\x00\x05"))  # x500UniqueIdentifier, which has no text
    yield "a part that is no text", der.request(name(CN, tlv(SET, unique)))
    yield "many parts", der.request(name(CN, *(part(ORGANIZATION, b"x") for _ in range(100))))


def extensions() -> Iterator[tuple[str, bytes]]:
    yield "a wildcard", der.device("pump-1", alternatives(tlv(0x82, b"*.example.com")))
    yield "NUL in a host name", der.device("pump-1", alternatives(tlv(0x82, b"a.com\0.b.com")))
    yield "a host name with a space", der.device("pump-1", alternatives(tlv(0x82, b"a b")))
    yield "a very long host name", der.device("pump-1", alternatives(tlv(0x82, b"a" * 300)))
    yield "an address of 5 bytes", der.device("pump-1", alternatives(tlv(0x87, b"\1\2\3\4\5")))
    yield "a URI that is none", der.device("pump-1", alternatives(tlv(0x86, b"not a uri")))
    yield "a directory name", der.device("pump-1", alternatives(tlv(0xA4, name(CN))))
    yield (
        "another name",
        der.device("pump-1", alternatives(tlv(0xA0, b"\x06\x03\x2a\x03\x04", tlv(0xA0, tlv(UTF8, b"x"))))),
    )
    yield "an unknown form of name", der.device("pump-1", alternatives(tlv(0x8F, b"x")))
    yield "no names at all", der.device("pump-1", alternatives())
    yield "many names", der.device("pump-1", alternatives(*(tlv(0x82, b"a%d.b" % n) for n in range(17))))
    yield "an extension that is no DER", der.device("pump-1", extension(der.ALTERNATIVE_NAMES, b"\xff\xff"))
    twice = alternatives(tlv(0x82, b"a.b"))
    yield "an extension given twice", der.device("pump-1", twice, twice)


def encodings() -> Iterator[tuple[str, bytes]]:
    yield "nothing", b""
    yield "text", b"-----BEGIN CERTIFICATE REQUEST-----"
    yield "one byte more", GOOD + b"\0"
    yield "one byte less", GOOD[:-1]
    yield "a length beyond the end", b"\x30\x84\xff\xff\xff\xff" + GOOD[4:]
    yield "a length without end", b"\x30\x80" + GOOD[3:] + b"\0\0"
    yield "nested a thousand deep", deep(1_000)
    yield "nested in the subject", der.request(deep(500))
    yield "another version", der.request(name(CN), version=7)
    yield "a request inside a request", der.request(tlv(SEQUENCE, GOOD))
    yield "a signature of nothing", der.request(name(CN), signature=b"")
    yield (
        "somebody else's key",
        der.request(
            name(CN),
            spki=ec.generate_private_key(ec.SECP256R1())
            .public_key()
            .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        ),
    )


@pytest.mark.parametrize(
    "bad", [case for table in (weak, subjects, extensions, encodings) for case in table()], ids=lambda case: case[0]
)
def test_a_hostile_request_is_refused(bad: tuple[str, bytes]) -> None:
    with pytest.raises(Fault) as refusal:
        requests.read(bad[1])
    assert refusal.value.kind is Kind.INVALID


@pytest.mark.parametrize("digest", [b"\x04\x01", b"\x04\x03\x01"], ids=["SHA-1", "SHA-224"])
def test_a_weak_digest_is_refused(digest: bytes) -> None:
    ecdsa = b"\x2a\x86\x48\xce\x3d" + digest
    with pytest.raises(Fault) as refusal:
        requests.read(der.request(name(CN), algorithm=tlv(SEQUENCE, tlv(0x06, ecdsa))))
    assert refusal.value.code == "weak_signature"


@pytest.mark.parametrize(("beyond", "kind"), [(0, Kind.INVALID), (1, Kind.TOO_LARGE)])
def test_a_request_that_is_too_large_is_not_parsed(beyond: int, kind: Kind) -> None:
    with pytest.raises(Fault) as refusal:
        requests.read(b"\x30" * (limits.MAX_CERTIFICATE_REQUEST + beyond))
    assert refusal.value.kind is kind


def test_a_name_has_so_many_parts_and_no_more() -> None:
    more = [part(ORGANIZATION, b"x")] * limits.MAX_SUBJECT_PARTS
    assert requests.read(der.request(name(CN, *more[1:]))).subject.common_name == "pump-1"
    with pytest.raises(Fault):
        requests.read(der.request(name(CN, *more)))


@pytest.mark.parametrize("beyond", [0, 1])
def test_alternative_names_are_taken_up_to_their_number_and_length(beyond: int) -> None:
    many = [tlv(0x82, b"a%d.b" % number) for number in range(limits.MAX_ALTERNATIVE_NAMES + beyond)]
    long = [tlv(0x86, b"urn:".ljust(limits.MAX_SUBJECT_TEXT + beyond, b"x"))]
    for names in (many, long):
        asked = der.device("pump-1", alternatives(*names))
        if not beyond:
            assert requests.read(asked).subject.common_name == "pump-1"
            continue
        with pytest.raises(Fault) as refusal:
            requests.read(asked)
        assert (refusal.value.code, refusal.value.field) == ("invalid_alternative_name", "subjectAltName")


def test_the_requests_that_the_tables_vary_are_good() -> None:
    assert requests.read(GOOD).subject.common_name == "pump-1"
    assert requests.read(signed(ed25519.Ed25519PrivateKey.generate())).key.type is KeyType.ED25519


def test_whatever_is_changed_in_a_request_it_is_read_or_refused() -> None:
    source = random.Random(os.environ["FLEETROLL_SEED"])
    for _ in range(often(3_000)):
        changed = bytearray(GOOD)
        for _ in range(source.choice((1, 1, 2, 8))):
            changed[source.randrange(len(changed))] = source.randrange(256)
        try:
            requests.read(bytes(changed))
        except Fault as fault:
            assert fault.kind is Kind.INVALID
        else:
            assert changed == GOOD, "any other change breaks the signature"
