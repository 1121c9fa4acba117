"""`fleetroll serve`: its options, each with an environment variable, and nothing else. What it starts is main's."""

from collections.abc import Callable
from pathlib import Path

import click

from fleetroll.config import Config, ConfigError, address, secret

Serve = Callable[[Config], int]


def command(serve: Serve) -> click.Command:
    """The command around the function that runs a server."""

    @click.command("serve", help="Run the server.", context_settings={"auto_envvar_prefix": "FLEETROLL"})
    @click.option(
        "--data",
        type=click.Path(path_type=Path),
        default=Path("fleetroll-data"),
        show_default=True,
        envvar="FLEETROLL_DATA",
        help="Directory that holds the registry; made if absent.",
    )
    @click.option(
        "--http", default="127.0.0.1:8080", show_default=True, envvar="FLEETROLL_HTTP", help="HOST:PORT to listen on."
    )
    @click.option(
        "--nats",
        default="127.0.0.1:4222",
        show_default=True,
        envvar="FLEETROLL_NATS",
        help="HOST:PORT of the embedded broker, `off`, or the URL of a cluster. (Used once the relay dialect is there.)",
    )
    @click.option(
        "--database", envvar="FLEETROLL_DATABASE", help="URL of the database; SQLite in the data directory if left out."
    )
    @click.option(
        "--workers",
        type=int,
        default=1,
        show_default=True,
        envvar="FLEETROLL_WORKERS",
        help="Processes; above 1 needs PostgreSQL.",
    )
    @click.option(
        "--key-rate",
        type=click.FloatRange(0),
        default=1000.0,
        show_default=True,
        envvar="FLEETROLL_KEY_RATE",
        help="Requests per second of one key; 0 is no limit.",
    )
    @click.option(
        "--organization-rate",
        type=click.FloatRange(0),
        default=5000.0,
        show_default=True,
        envvar="FLEETROLL_ORGANIZATION_RATE",
        help="Requests per second of one organization; 0 is no limit.",
    )
    @click.option("--cors", multiple=True, envvar="FLEETROLL_CORS", help="Origin whose pages may call; repeatable.")
    @click.option("--disable", multiple=True, envvar="FLEETROLL_DISABLE", help="Dialect that answers 404; repeatable.")
    @click.option(
        "--log-level",
        default="info",
        show_default=True,
        envvar="FLEETROLL_LOG_LEVEL",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="Least severe log line.",
    )
    @click.option(
        "--log-requests/--no-log-requests",
        default=True,
        show_default=True,
        envvar="FLEETROLL_LOG_REQUESTS",
        help="Whether to log a line per request.",
    )
    @click.option("--admin-key", envvar="FLEETROLL_ADMIN_KEY", hidden=True)
    @click.option("--server-key", envvar="FLEETROLL_SERVER_KEY", hidden=True)
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
