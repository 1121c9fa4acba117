"""TLS for the listener at which devices enrol: its own certificate, and those of clients, which are asked for.

A handshake only tells who holds which key: a certificate of any authority that the server knows passes, even an expired
one. What a certificate is good for is decided where it is used, by the service's clock and records.
"""

import contextlib
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name


class Tls:
    """The server's side of TLS; whatever is set here holds for the next connection."""

    def __init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.verify_mode = ssl.CERT_OPTIONAL
        # A partial chain is enough: an authority may be trusted without its issuer.
        self.context.verify_flags = ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME)

    def trust(self, anchors: Iterable[bytes]) -> None:
        """Let clients connect whose certificates chain to these trust anchors (DER).

        An anchor that OpenSSL cannot read is left out: any tenant may bring it, and all share the listener.
        """
        for certificate in anchors:
            with contextlib.suppress(ssl.SSLError):
                self.context.load_verify_locations(cadata=certificate)

    def present(self, chain: Path, key: Path, password: str | None = None) -> None:
        """Show this certificate. Raises OSError, and ssl.SSLError for files that are not a matching pair.

        What was shown before then stays: a context that fails to load a pair has none, so another context tries it
        first.
        """
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password)
        self.context.load_cert_chain(chain, key, password)

    def present_text(self, chain: str, key: str, password: str) -> None:
        """As `present`, for a chain and an encrypted key in memory, in PEM: the ssl module reads nothing but files."""
        with tempfile.TemporaryDirectory(prefix="fleetroll-") as folder:
            files = Path(folder, "chain.pem"), Path(folder, "key.pem")
            for file, text in zip(files, (chain, key), strict=True):
                file.write_text(text)
            self.present(*files, password)
