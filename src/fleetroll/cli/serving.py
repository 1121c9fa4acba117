"""`fleetroll serve`: its options, each with an environment variable, and nothing else. What it starts is main's."""

import functools
from collections.abc import Callable
from pathlib import Path

import click

from fleetroll.config import Config, ConfigError, address, secret

Serve = Callable[[Config], int]
_option = functools.partial(click.option, show_default=True, show_envvar=True)
_SECRETS = """\b
Secrets are taken from the environment alone, where no list of processes shows
them; both need 32 random characters or more:
  FLEETROLL_ADMIN_KEY   the first admin key, instead of a random one
  FLEETROLL_SERVER_KEY  the server's own key, instead of server.key"""


def command(serve: Serve) -> click.Command:
    """The command around the function that runs a server."""

    @click.command(
        "serve", help="Run the server.", epilog=_SECRETS, context_settings={"auto_envvar_prefix": "FLEETROLL"}
    )
    @_option(
        "--data",
        type=click.Path(path_type=Path),
        default=Path("fleetroll-data"),
        help="Directory that holds the registry; made if absent.",
    )
    @_option("--http", default="127.0.0.1:8080", help="HOST:PORT to listen on.")
    @_option(
        "--nats",
        default="127.0.0.1:4222",
        help="HOST:PORT of the embedded broker, `off`, or the URL of a cluster.",
    )
    @_option("--database", help="URL of the database; SQLite in the data directory if left out.")
    @_option(
        "--workers",
        type=int,
        default=1,
        help="Processes; above 1 needs PostgreSQL.",
    )
    @_option(
        "--key-rate",
        type=click.FloatRange(0),
        default=1000.0,
        help="Requests per second of one key; 0 is no limit.",
    )
    @_option(
        "--organization-rate",
        type=click.FloatRange(0),
        default=5000.0,
        help="Requests per second of one organization; 0 is no limit.",
    )
    @_option("--cors", multiple=True, help="Origin whose pages may call; repeatable.")
    @_option("--disable", multiple=True, help="Dialect that answers 404; repeatable.")
    @_option(
        "--log-level",
        default="info",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="Least severe log line.",
    )
    @_option(
        "--log-requests/--no-log-requests",
        default=True,
        help="Whether to log a line per request.",
    )
    @click.option("--admin-key", hidden=True)
    @click.option("--server-key", hidden=True)
    @click.pass_context
    def run(
        context: click.Context,
        data: Path,
        http: str,
        nats: str,
        database: str | None,
        workers: int,
        key_rate: float,
        organization_rate: float,
        cors: tuple[str, ...],
        disable: tuple[str, ...],
        log_level: str,
        log_requests: bool,
        admin_key: str | None,
        server_key: str | None,
    ) -> None:
        try:
            host, port = address(http, "--http")
            config = Config(
                data=data,
                host=host,
                port=port,
                nats=nats,
                database=database,
                workers=workers,
                admin_key=secret(admin_key, "FLEETROLL_ADMIN_KEY"),
                server_key=secret(server_key, "FLEETROLL_SERVER_KEY"),
                key_rate=key_rate,
                organization_rate=organization_rate,
                cors_origins=cors,
                disabled_dialects=disable,
                log_level=log_level,
                log_requests=log_requests,
            )
        except ConfigError as problem:
            click.echo(f"fleetroll: {problem}", err=True)
            context.exit(78)
        context.exit(serve(config))

    return run
