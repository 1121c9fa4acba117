"""The row about identities: devices that enrol, each from its request to a certificate in its slot, on disk.

They come in over plain HTTP, as from a proxy that ends TLS and is trusted: handshakes are OpenSSL's, and not measured.
"""

from pathlib import Path
from statistics import median

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.load import Plan, Seen, drive
from bench.profile import profiling
from bench.rows import CONNECTIONS, Outcome, Settings
from bench.servers import Server, serving
from fleetroll.core import encodings
from fleetroll.pki import requests

_LEAST, _FASTEST = 300, 2_000
_TARGET = "/.well-known/est/line/simpleenroll"
_KEY = ec.generate_private_key(ec.SECP256R1())


def enrolments(scratch: Path, settings: Settings) -> Outcome:
    """New devices, every one of them made by its enrolment."""
    data = scratch / "enrolment"
    with serving(data) as server:
        _open(server)
        rounds = [_round(server, number, settings) for number in range(settings.rounds)]
    with profiling(data) as profiler:
        profile = profiler.profile(lambda: _round(profiler.server, settings.rounds, settings))
    found = median(seen.per_second for seen in rounds)
    notes = (
        f"p50 {median(seen.p50 for seen in rounds):.1f}, p99 {median(seen.p99 for seen in rounds):.1f} ms",
        "by round: " + ", ".join(f"{seen.per_second:,.0f}" for seen in rounds),
    )
    title = "POST …/simpleenroll, from request to ACTIVE slot, durable"
    return Outcome("enrol", title, f"≥ {_LEAST}/s", f"{found:,.0f}/s", found >= _LEAST, notes, profile)


def _open(server: Server) -> None:
    server.ask("POST", "/v1/dms", {"name": "line", "settings": {"admission": {"proof": "NO_AUTH"}}})


def _round(server: Server, number: int, settings: Settings) -> Seen:
    devices = max(200, int(settings.seconds * _FASTEST))
    asked = [_request(f"bench-{number}-{device}") for device in range(devices)]
    return drive(Plan(server.port, asked, 200, 600.0, CONNECTIONS, total=devices))


def _request(ident: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ident)])
    body = encodings.est(requests.make(_KEY, subject))
    head = f"POST {_TARGET} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/pkcs10\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
