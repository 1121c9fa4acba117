"""What an operator may decide: every option of `fleetroll serve` and its environment variable."""

import errno
import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from fleetroll.core import limits

NO_BROKER = "off"
USUAL_BROKER = "127.0.0.1:4222"
_POSTGRES = ("postgresql://", "postgres://")
_SQLITE = "sqlite:"
_BROKER = ("nats://", "tls://")
_ABOUT_BROKER = "--nats must be HOST:PORT, off, or the URL of a cluster, as in nats://127.0.0.1:4222."
# As browsers write it: in lower case, without a path, and without the scheme's default port.
_ORIGIN = re.compile(r"(?!http://.*:80$|https://.*:443$)[a-z][a-z0-9+.-]*://[a-z0-9._:\[\]-]+")


class ConfigError(Exception):
    """An invalid option; the message is one sentence for the operator."""


class Config(Struct, frozen=True):
    """The options of one server."""

    data: Path = Path("fleetroll-data")
    host: str = "127.0.0.1"
    port: int = 8080
    nats: str = USUAL_BROKER
    nats_ws: str | None = None
    mqtt: str | None = None
    nats_silence: float = limits.BUS_SILENCE
    nats_replicas: int = 1
    public_url: str | None = None
    database: str | None = None
    workers: int = 1
    admin_key: str | None = None
    server_key: str | None = None
    key_rate: float = 1_000.0
    organization_rate: float = 5_000.0
    cors_origins: tuple[str, ...] = ()
    disabled_dialects: tuple[str, ...] = ()
    log_level: str = "info"
    log_requests: bool = True
    lamassu_profile: str = "documented"
    memfault_hardware_version: str = "string"
    est: tuple[str, int] | None = None
    est_names: tuple[str, ...] = ()
    est_certificate: Path | None = None
    est_key: Path | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    keep_events: int = 0
    keep_readings: int = 0
    migrate: bool = False
    allow_unsafe_database: bool = False

    @property
    def presents_own(self) -> bool:
        """Whether the listener for enrolment shows a certificate of this server's own making."""
        return self.est is not None and self.est_certificate is None

    @property
    def keeps_broker(self) -> bool:
        """Whether the broker is the embedded one."""
        return self.nats != NO_BROKER and "://" not in self.nats

    @property
    def postgres(self) -> str | None:
        """The URL of the database, where it is PostgreSQL. Raises ConfigError."""
        return postgres_url(self.database)


def address(text: str, option: str) -> tuple[str, int]:
    """HOST:PORT. Raises ConfigError."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not _is_resolvable(host) or not (port.isascii() and port.isdigit() and int(port) < 65_536):
        raise ConfigError(f"{option} must be HOST:PORT, as in 127.0.0.1:8080.")
    return host, int(port)


def _is_resolvable(host: str) -> bool:
    """Whether a resolver can be asked for it, unlike `a..b`."""
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def host_and_port(host: str, port: int) -> str:
    """An address as `address` reads it."""
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def cannot_listen(option: str, host: str, port: int, problem: OSError) -> ConfigError:
    """The error for an address, given by `option`, at which the system does not let us listen."""
    return ConfigError(
        f"cannot listen on {host_and_port(host, port)}: {_why_not(problem)}; name another address with {option}."
    )


def _why_not(problem: OSError) -> str:
    if problem.errno == errno.EADDRINUSE:
        return "the address is already in use"
    if problem.errno is not None and problem.errno > 0:
        return os.strerror(problem.errno)  # without the words that asyncio and socket add
    return str(problem.strerror)  # a resolver's


def postgres_url(text: str | None) -> str | None:
    """The URL of a PostgreSQL database; None where SQLite in the data directory is meant. Raises ConfigError."""
    if text is None or text == _SQLITE:
        return None
    if not text.startswith(_POSTGRES):
        raise ConfigError(
            "--database must be postgresql://USER@HOST/NAME, or sqlite: for SQLite in the data directory, which is "
            "named with --data."
        )
    try:
        hosts = urlsplit(text).netloc.rpartition("@")[2].split(",")
        known = all(urlsplit(f"//{host}").port != 0 for host in hosts)
    except ValueError:  # an invalid port
        known = False
    if not known:
        raise ConfigError("--database must be like postgresql://USER@HOST:5432/NAME: a host or port is invalid.")
    return text


def broker_urls(text: str) -> list[str]:
    """The servers of a cluster, separated by commas. Raises ConfigError."""
    urls = text.split(",")
    try:
        known = all(url.startswith(_BROKER) and urlsplit(url).hostname and urlsplit(url).port != 0 for url in urls)
    except ValueError:  # an invalid port
        known = False
    if not known:
        raise ConfigError(_ABOUT_BROKER)
    return urls


def _require_broker(text: str) -> None:
    if "://" in text:
        broker_urls(text)
        return
    try:
        address(text, "--nats")
    except ConfigError:
        raise ConfigError(_ABOUT_BROKER) from None


def network(text: str, option: str) -> IPv4Network | IPv6Network:
    """An address or a range of them. Raises ConfigError."""
    try:
        return ip_network(text)
    except ValueError:
        raise ConfigError(f"{option} must be an address or a range, as in 10.0.0.0/8, not {text}.") from None


def url(text: str, option: str) -> str:
    """The base URL of a server, without a slash at its end. Raises ConfigError."""
    try:
        parts = urlsplit(text)
        known = parts.scheme in {"http", "https"} and _is_resolvable(parts.hostname or "") and parts.port != 0
    except ValueError:  # an invalid port
        known = False
    if not known or parts.query or parts.fragment or " " in text or not text.isprintable():
        raise ConfigError(f"{option} must be like https://fleet.example.com or http://127.0.0.1:8080, not {text!r}.")
    return text.rstrip("/")


def host_name(text: str, option: str) -> str:
    """A name or an address that a certificate can be for. Raises ConfigError."""
    if not (text.isascii() and text.isprintable() and text and " " not in text):
        raise ConfigError(f"{option} must be a name or an address, as in fleet.example.com, not {text!r}.")
    return text


def origin(text: str, option: str) -> str:
    """The origin of a page as a browser writes it, which is `null` for some, or a star for any. Raises ConfigError."""
    if text not in {"*", "null"} and not _ORIGIN.fullmatch(text):
        raise ConfigError(
            f"{option} must be an origin as browsers write it, as in https://console.example.com, not {text}."
        )
    return text


def secret(text: str | None, option: str) -> str | None:
    """A preset secret. Raises ConfigError for one that is too short to be random, or that a header could not carry."""
    if text is None:
        return None
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise ConfigError(f"{option} must be printable ASCII without spaces.")
    if len(text) < limits.MIN_SECRET:
        raise ConfigError(
            f"{option} must be at least {limits.MIN_SECRET} random characters; make one with: openssl rand -hex 32"
        )
    if len(text) > limits.MAX_CREDENTIAL:
        raise ConfigError(f"{option} must be at most {limits.MAX_CREDENTIAL} characters.")
    return text


def require_supported(config: Config) -> None:
    """Raises ConfigError for what this release cannot do, saying why."""
    postgres_url(config.database)
    if config.nats != NO_BROKER:
        _require_broker(config.nats)
    for option, listener in (("--nats-ws", config.nats_ws), ("--mqtt", config.mqtt)):
        if listener is not None and not config.keeps_broker:
            raise ConfigError(f"{option} needs the embedded broker: leave it out, or give --nats as HOST:PORT.")
    if config.nats_replicas > 1 and "://" not in config.nats:
        raise ConfigError("--nats-replicas above 1 needs a cluster: name its servers with --nats.")
    if (config.est_certificate is None) != (config.est_key is None):
        raise ConfigError("--est-certificate and --est-key must be given together.")
    if not 1 <= config.workers <= limits.MAX_WORKERS:
        raise ConfigError(f"--workers must be 1 to {limits.MAX_WORKERS}.")
    if config.workers > 1 and config.postgres is None:
        raise ConfigError("--workers above 1 needs PostgreSQL: SQLite allows only one writing process.")
