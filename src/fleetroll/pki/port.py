"""What the service may ask about certificates: plain values in, plain values out, and nothing about how it is done.

Times are `Instant`s, serial numbers lower-case hexadecimal of even length, and certificates, requests and keys DER. A
private key leaves only sealed, and only the same server key opens it again.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from fleetroll.core.certificates import KeyKind, Revocation
from fleetroll.core.model import Instant


class Name(Struct, frozen=True):
    """A distinguished name: its usual parts, empty where absent, and the whole as it is encoded."""

    common_name: str
    organization: str
    organization_unit: str
    country: str
    state: str
    locality: str
    encoded: bytes


class Request(Struct, frozen=True):
    """A certificate request that was checked: its signature, the strength of its key, its names and its size."""

    subject: Name
    key: KeyKind
    der: bytes


class Description(Struct, frozen=True):
    """What a certificate says. The key identifiers are hexadecimal, empty where the certificate has none."""

    serial: str
    subject: Name
    issuer: Name
    subject_key: str
    issuer_key: str
    key: KeyKind
    not_before: Instant
    not_after: Instant
    is_authority: bool


class Terms(Struct, frozen=True):
    """How a certificate is issued. `with_names`: the alternative names of the request are part of it."""

    not_before: Instant
    not_after: Instant
    with_names: bool = False


class Issued(Struct, frozen=True):
    """A new certificate."""

    serial: str
    der: bytes
    not_before: Instant
    not_after: Instant


class CertificateAndKey(NamedTuple):
    """A certificate, in DER, and its new private key, in PEM under a password."""

    certificate: bytes
    key: str


class Signer(Struct, frozen=True):
    """An authority as it is stored: its certificate, its sealed key, and what the seal is bound to."""

    certificate: bytes
    sealed_key: bytes
    context: str


class Pki(Protocol):
    """Everything about X.509."""

    def make_authority(self, name: str, owner: str, key: bytes, terms: Terms, context: str) -> Signer:
        """A new self-signed authority with this private key. Its name and its owner's tell it apart from all others."""

    def read_request(self, der: bytes) -> Request:
        """The checked request, within milliseconds. Raises Fault for what must not be signed: invalid or too_large."""

    def describe(self, der: bytes) -> Description:
        """What a certificate says. Raises Fault invalid `invalid_certificate`, or `weak_key` for its key."""

    def describe_authority(self, der: bytes) -> Description:
        """As `describe`, of an authority.

        Raises Fault invalid `not_an_authority` too, and `foreign_key_identifier` for one whose key identifier may be
        that of another's key.
        """

    def anchor(self, authority: bytes) -> bytes | None:
        """What TLS knows an authority by: a certificate with its name and key that says nothing else.

        None if none can be made: any tenant may bring the authority, and all share the listener.
        """

    def can_sign(self, signer: Signer) -> bool:
        """Whether its key was sealed under this server key."""

    def issue(self, signer: Signer, request: Request, terms: Terms) -> Issued:
        """A device's certificate: for the request's subject and key, good for client authentication alone.

        It ends no later than the authority. Raises Fault invalid `authority_expired` or `authority_not_yet_valid`.
        """

    def issue_for_server(self, signer: Signer, hosts: Sequence[str], terms: Terms, password: str) -> CertificateAndKey:
        """A certificate for servers at `hosts`, with a new key. Raises Fault invalid as `issue` does."""

    def is_issued_by(self, certificate: bytes, authority: bytes) -> bool:
        """Whether `authority` is the issuer of `certificate` and has signed it. Time is not looked at."""

    def is_same(self, certificate: bytes, other: bytes) -> bool:
        """Whether they certify the same, whatever the signatures: anybody can turn an ECDSA one into another."""

    def revocation_list(
        self, signer: Signer, revoked: Sequence[Revocation], number: int, at: Instant, until: Instant
    ) -> bytes:
        """A CRL in DER, signed."""

    def bundle(self, certificates: Sequence[bytes]) -> bytes:
        """PKCS#7 in DER with these certificates and nothing else."""

    def make_key(self, kind: KeyKind) -> bytes:
        """A new private key, PKCS#8 in DER. RSA is slow: see `make_key_off_loop`. Raises Fault `invalid_key_kind`."""

    async def make_key_off_loop(self, kind: KeyKind, org: int) -> bytes:
        """As `make_key`, but RSA keys are made off the event loop, one after the other.

        Raises Fault unavailable `too_many_keys` if as many wait as may, in all or for this organization.
        """

    def make_request(self, key: bytes, like: Request) -> Request:
        """A request for the same subject and names with another key."""
