"""Who is at the other end of a request: its TLS client certificate, from the connection or from a proxy we trust."""

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from fleetroll.core import encodings
from fleetroll.service.enrollment import Peer

Network = IPv4Network | IPv6Network
# An unquoted value takes the white space after it as well: were it ambiguous, backtracking would take seconds.
_PAIR = re.compile(r'\s*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"\s*|([^;,"]*))([;,]|\Z)')


def _envoy(value: str) -> str | None:
    """The certificate of the last hop: it is the nearest, and the only one that our own proxy has written.

    Of two in one hop, the first: the client's names come after it, and may be made to look like another. None unless
    the whole value is well-formed.
    """
    certificate, position = None, 0
    while position < len(value):
        pair = _PAIR.match(value, position)
        if pair is None:
            return None
        name, quoted, bare, end = pair.groups()
        if name.lower() == "cert" and certificate is None:
            certificate = bare if quoted is None else quoted
        if end == ",":
            certificate = None
        position = pair.end()
    return certificate


HEADERS: dict[bytes, Callable[[str], str | None]] = {
    b"x-forwarded-client-cert": _envoy,
    b"ssl-client-cert": lambda value: value,
    b"x-amzn-mtls-clientcert": lambda value: value,
}
"""Where proxies put the certificate of their client: Envoy, nginx, and Amazon's load balancer."""


class Peers:
    """Finds the peer of a request. Headers from anybody but a trusted proxy are ignored."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def of(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Peer:
        if self._is_trusted(scope.get("client")):
            return _behind_proxy(headers)
        tls = scope.get("extensions", {}).get("tls")
        return Peer(secure=True, certificate=tls["client_certificate"]) if tls else Peer()

    def _is_trusted(self, client: Any) -> bool:
        if not self._trusted or not client:
            return False
        address = ip_address(client[0])
        return any(address in network for network in self._trusted)


def _behind_proxy(headers: Mapping[bytes, bytes]) -> Peer:
    secure = headers.get(b"x-forwarded-proto", b"https") == b"https"
    for name, read in HEADERS.items():
        if (value := headers.get(name)) and (text := read(value.decode("latin-1"))):
            return Peer(secure, encodings.from_header(text))
    return Peer(secure)
