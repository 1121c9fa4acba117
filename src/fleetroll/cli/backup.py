"""`fleetroll backup`: a copy of the whole registry, taken while it serves."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fleetroll.cli import files, output
from fleetroll.cli.connection import connected
from fleetroll.cli.failures import Exit, Failure
from fleetroll.data_directory import is_database

if TYPE_CHECKING:
    from fleetroll.cli.client import Client

_MAGIC = b"SQLite format 3\0"


@click.command("backup", help="Save a consistent copy of the whole registry to FILE, without stopping it.")
@click.argument("file", type=files.NAMED)
@connected
def backup(client: "Client", file: Path) -> None:
    if file.exists() and not file.is_file():
        raise click.UsageError(f"{file} is not a plain file.")
    if is_database(file):
        raise click.UsageError(f"{file} is the database of a server, which a backup must not replace.")
    with client.stream("GET", "/v1/backup") as reply:
        total = int(reply.headers["content-length"])
        with files.replacing(file, files.PRIVATE) as stream, output.progress("Saving", total, of_bytes=True) as advance:
            for part in reply.iter_bytes():
                stream.write(part)
                advance(len(part))
            stream.flush()
            _verify(Path(stream.name), total)
    click.echo(f"Saved {output.size(total)} to {output.plain(str(file))}.")
    output.note("Keep the server.key of its data directory too, in another place: without it no API key works.")


def _verify(file: Path, total: int) -> None:
    with file.open("rb") as stream:
        is_sqlite = stream.read(len(_MAGIC)) == _MAGIC
    if file.stat().st_size != total or not is_sqlite:
        raise Failure(Exit.UNREACHABLE, "What arrived is not a complete database; nothing was saved.", "Try again.")
