"""`fleetroll serve`: its options, each with an environment variable, and nothing else. The backend does the work."""

import functools
import math
from pathlib import Path
from typing import Any

import click

from fleetroll.cli import files
from fleetroll.cli.backend import LoadBackend
from fleetroll.cli.failures import ServeExit
from fleetroll.config import USUAL_BROKER, Config, ConfigError, address, host_name, network, origin, secret, url
from fleetroll.core import limits


class _Number(click.FloatRange):
    """A number within a range. Neither `nan` nor `inf` is one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number


_option = functools.partial(click.Option, show_default=True, show_envvar=True)
_SECRETS = """\b
Secrets are read from the environment only, where no process list shows them;
both need 32 random characters or more:
  FLEETROLL_ADMIN_KEY   the first admin key, instead of a random one
  FLEETROLL_SERVER_KEY  the server's own key, instead of server.key"""
_OPTIONS: tuple[click.Option, ...] = (
    _option(
        ["--data"],
        type=click.Path(path_type=Path, readable=False),  # whether it can be used, `serve` says itself
        default=Path("fleetroll-data"),
        help="Directory that holds the registry; created if absent.",
    ),
    _option(["--http"], default="127.0.0.1:8080", help="HOST:PORT to listen on."),
    _option(
        ["--nats"],
        default=USUAL_BROKER,
        help="HOST:PORT of the embedded broker, `off`, or the URL of a cluster.",
    ),
    _option(["--public-url"], metavar="URL", help="Where clients reach this server, if not where it listens."),
    _option(["--nats-ws"], metavar="HOST:PORT", help="Where the embedded broker accepts WebSockets; off if omitted."),
    _option(["--mqtt"], metavar="HOST:PORT", help="Where the embedded broker accepts MQTT; off if omitted."),
    _option(
        ["--nats-silence"],
        type=_Number(limits.MIN_BUS_SILENCE, limits.MAX_BUS_SILENCE),
        default=limits.BUS_SILENCE,
        help="Seconds after which the embedded broker considers a silent client gone. It pings each about four times "
        "as often.",
    ),
    _option(
        ["--nats-replicas"],
        type=click.IntRange(1, limits.MAX_BUS_REPLICAS),
        default=1,
        help="How many servers of a cluster keep each stream.",
    ),
    _option(
        ["--database"],
        help="postgresql://USER@HOST/NAME; by default SQLite in the data directory. Put a password into "
        "FLEETROLL_DATABASE or ~/.pgpass.",
    ),
    _option(["--migrate"], is_flag=True, help="Upgrade an older PostgreSQL schema."),
    _option(
        ["--allow-unsafe-database"],
        is_flag=True,
        help="Accept a PostgreSQL that may lose acknowledged data.",
    ),
    _option(
        ["--workers"],
        type=int,
        default=1,
        help="Processes; more than 1 needs PostgreSQL.",
    ),
    _option(
        ["--key-rate"],
        type=_Number(0, limits.MAX_RATE),
        default=1000.0,
        help="Requests per second of one key; 0 means no limit.",
    ),
    _option(
        ["--organization-rate"],
        type=_Number(0, limits.MAX_RATE),
        default=5000.0,
        help="Requests per second of one organization; 0 means no limit.",
    ),
    _option(["--cors"], multiple=True, help="Origin whose pages may call; repeatable."),
    _option(["--est"], help="HOST:PORT to listen on with TLS, for devices that enrol; off if omitted."),
    _option(["--est-name"], multiple=True, help="Name or address that its certificate is for; repeatable."),
    _option(
        ["--est-certificate"], type=files.EXISTING, help="Its certificate chain in PEM, instead of the server's own."
    ),
    _option(["--est-key"], type=files.EXISTING, help="The key of --est-certificate in PEM."),
    _option(
        ["--trusted-proxy"],
        multiple=True,
        help="Proxy, by address or range, whose client certificate headers are trusted; repeatable.",
    ),
    _option(
        ["--lamassu-profile"],
        default="documented",
        type=click.Choice(["documented", "upstream"]),
        help="Answer as Lamassu's documentation says, or as its server does.",
    ),
    _option(
        ["--memfault-hardware-version"],
        default="string",
        type=click.Choice(["string", "object"]),
        help="Show Memfault's hardware versions as strings, or as objects, as newer clients expect.",
    ),
    _option(
        ["--keep-events"],
        type=click.IntRange(0, limits.MAX_KEPT_DAYS),
        metavar="DAYS",
        default=0,
        help="How long to keep the timeline; 0 means for ever.",
    ),
    _option(
        ["--keep-readings"],
        type=click.IntRange(0, limits.MAX_KEPT_DAYS),
        metavar="DAYS",
        default=0,
        help="How long to keep readings, except the last of each metric; 0 means for ever.",
    ),
    _option(["--disable"], multiple=True, help="Dialect to switch off: all its paths answer 404; repeatable."),
    _option(
        ["--log-level"],
        default="info",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="Least severe log line, other than those of requests.",
    ),
    _option(
        ["--log-requests/--no-log-requests"],
        default=True,
        help="Whether to log a line per request.",
    ),
    click.Option(["--admin-key"], hidden=True),
    click.Option(["--server-key"], hidden=True),
)


def command(load: LoadBackend) -> click.Command:
    """The command around the function that runs a server."""

    @click.pass_context
    def run(context: click.Context, /, **values: Any) -> None:
        try:
            config = _config(values)
        except ConfigError as problem:
            click.echo(f"fleetroll: {problem}", err=True)
            context.exit(ServeExit.CONFIG)
        context.exit(load().serve(config))

    return click.Command(
        "serve",
        callback=run,
        params=list(_OPTIONS),
        help="Run the server.",
        epilog=_SECRETS,
        context_settings={"auto_envvar_prefix": "FLEETROLL"},
    )


def _config(values: dict[str, Any]) -> Config:
    """What was given, by the names of options, as the configuration: most are its fields' names. Raises ConfigError."""
    host, port = address(values.pop("http"), "--http")
    est, public_url = values.pop("est"), values.pop("public_url")
    return Config(
        host=host,
        port=port,
        public_url=url(public_url, "--public-url") if public_url else None,
        est=address(est, "--est") if est else None,
        est_names=tuple(host_name(text, "--est-name") for text in values.pop("est_name")),
        trusted_proxies=tuple(network(text, "--trusted-proxy") for text in values.pop("trusted_proxy")),
        cors_origins=tuple(origin(text, "--cors") for text in values.pop("cors")),
        disabled_dialects=values.pop("disable"),
        admin_key=secret(values.pop("admin_key"), "FLEETROLL_ADMIN_KEY"),
        server_key=secret(values.pop("server_key"), "FLEETROLL_SERVER_KEY"),
        **values,
    )
