"""The embedded broker's configuration file, and its files in the data directory."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from msgspec import Struct

from fleetroll.bus.permissions import Authority
from fleetroll.bus.port import Certificate
from fleetroll.core import limits

Address = tuple[str, int]
_PINGS = 2  # that may be unanswered
_NOTING_SECONDS = 0.1  # the part of the silence that is left to report it
_NO_TLS: dict[str, object] = {"no_tls": True}


class Listeners(Struct, frozen=True):
    """Where the embedded broker listens. A port of 0 is any free one.

    A client that is silent for `silence` seconds, although it was pinged, is taken to be gone.
    """

    nats: Address
    websocket: Address | None = None
    mqtt: Address | None = None
    silence: float = limits.BUS_SILENCE


class Files:
    """What the broker keeps in its directory. All of it is private to the server's user."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.configuration = directory / "nats-server.conf"
        self.pid = directory / "nats-server.pid"
        self.addresses = directory / "addresses.json"
        self.streams = directory / "streams"
        self.accounts = directory / "accounts"
        self.certificate = directory / "certificate-and-key.pem"  # one file, so that they always belong together

    def forget_streams(self, accounts: Iterable[str]) -> None:
        """Remove what is stored of accounts that the broker has closed: it leaves that where it is."""
        for account in accounts:
            shutil.rmtree(self.streams / "jetstream" / account, ignore_errors=True)

    def streams_of(self, account: str) -> set[str]:
        """The names of an account's streams, also of those that the broker cannot read."""
        folder = self.streams / "jetstream" / account / "streams"
        return {one.name for one in folder.iterdir()} if folder.exists() else set()

    def make(self) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)


def write(files: Files, listeners: Listeners, authority: Authority, at: int, known: Mapping[str, str]) -> None:
    """Write the configuration for the next start. `known` is where it listened before, so that it stays there.

    `at` is the time in Unix seconds.
    """
    files.make()
    _write_private(files.configuration, _configuration(files, listeners, authority, at, known))


def note_addresses(files: Files, addresses: Mapping[str, str]) -> None:
    """Let all processes over this directory know where the broker listens."""
    _write_private(files.addresses, msgspec.json.encode(addresses).decode())


def address_of(files: Files) -> str:
    """Where clients find the broker. Raises OSError if that is not known."""
    try:
        return msgspec.json.decode(files.addresses.read_bytes(), type=dict[str, str])["client"]
    except (msgspec.MsgspecError, KeyError):  # damaged; each start writes it anew
        raise OSError from None


def _write_private(file: Path, content: str) -> None:
    """Replace a file at once: a reader finds the old content or the new, even after a power cut."""
    part = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)


def trust(authority: Authority, at: int) -> dict[str, object]:
    """The settings that any broker, ours or a cluster, needs to trust our credentials."""
    return {
        "operator": authority.operator_token(at),
        "system_account": authority.system.public,
        "resolver_preload": {
            authority.system.public: authority.system_token(at),
            authority.platform.public: authority.platform_token(at),
        },
    }


def _configuration(files: Files, listeners: Listeners, authority: Authority, at: int, known: Mapping[str, str]) -> str:
    settings: dict[str, object] = {
        "server_name": "fleetroll",
        **_listener(listeners.nats, known.get("client")),
        "pid_file": str(files.pid),
        "logtime": False,
        "max_payload": limits.MAX_BUS_PAYLOAD,
        **_pings(listeners.silence),
        # By default, clients have two seconds to authenticate, and for a handshake: less than a distant device may
        # need.
        "authorization": {"timeout": limits.HEADER_DEADLINE},
        # For every account that may store something the broker reserves all that it may store, by default no more in
        # total than the disk has: after some hundred devices that speak MQTT it would refuse the next. What is really
        # stored is bounded by the streams' own bounds.
        "jetstream": {"store_dir": str(files.streams), "max_file": limits.BUS_DISK, "sync_interval": "always"},
        "resolver": {"type": "full", "dir": str(files.accounts), "allow_delete": True, "hard_delete": True},
        **trust(authority, at),
    }
    certificate = _certificate(files)
    if certificate:
        settings |= {"tls": certificate, "allow_non_tls": True}
    if listeners.websocket:
        settings["websocket"] = _listener(listeners.websocket, known.get("websocket")) | (
            {"tls": certificate} if certificate else _NO_TLS
        )
    if listeners.mqtt:
        settings["mqtt"] = _listener(listeners.mqtt, known.get("mqtt")) | ({"tls": certificate} if certificate else {})
    return render(settings)


def render(settings: Mapping[str, object]) -> str:
    """Settings in the broker's own syntax, in which JSON is a value."""
    return "".join(f"{name}: {msgspec.json.encode(value).decode()}\n" for name, value in settings.items())


def keep_certificate(files: Files, certificate: Certificate) -> None:
    """Put a certificate where the next start finds it. The broker takes a key only without a password."""
    files.make()
    pair = serialization.load_pem_private_key(certificate.key.encode(), certificate.password.encode())
    plain = pair.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_private(files.certificate, certificate.chain + plain.decode())


def _pings(silence: float) -> dict[str, object]:
    """How often to ask, so that a silent client is cut off in time.

    The broker checks each client once per interval. It pings only those not heard since the last check, and cuts off at
    the check after the last ping: a client that falls silent just after a check has one more interval.
    """
    interval = (silence - _NOTING_SECONDS) / (_PINGS + 2)
    return {"ping_interval": f"{round(interval * 1000)}ms", "ping_max": _PINGS}


def names_to_renew(files: Files, at: int) -> list[str]:
    """The names of the kept certificate if less than a third of its life is left at Unix second `at`, else none."""
    if not files.certificate.exists():
        return []
    kept = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    begin, end = kept.not_valid_before_utc.timestamp(), kept.not_valid_after_utc.timestamp()
    if end - at > (end - begin) / 3:
        return []
    names = kept.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def _listener(address: Address, known: str | None) -> dict[str, object]:
    host, port = address
    return {"host": host, "port": port or int((known or "-1").rpartition(":")[2])}


def _certificate(files: Files) -> dict[str, object]:
    if not files.certificate.exists():
        return {}
    file = str(files.certificate)
    return {"cert_file": file, "key_file": file, "timeout": limits.HEADER_DEADLINE}
