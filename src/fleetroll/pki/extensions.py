"""The extensions of certificates, and of requests for them."""

from typing import TypeVar

from cryptography import x509

E = TypeVar("E", bound=x509.ExtensionType)


def extension(holder: x509.Certificate | x509.CertificateSigningRequest, kind: type[E]) -> E | None:
    """The extension of this kind; None without one. Raises any of `requests.MALFORMED` for what cannot be read."""
    try:
        return holder.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
