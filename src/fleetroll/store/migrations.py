"""Numbered forward migrations: which there are, and the part of each that an engine runs."""

import logging
import re
from importlib import resources
from typing import NamedTuple

from msgspec import Struct

_SECTION = re.compile(r"^-- engine: (\w+)\n", re.MULTILINE)


class Migration(Struct, frozen=True):
    """One step of the schema. `number` is the schema version that it leads to."""

    number: int
    name: str
    text: str


class Description(NamedTuple):
    """What a database says of itself: its schema's number, the newest that we know, and its server key's mark."""

    schema: int
    newest: int
    mark: str | None


class Upgrade(NamedTuple):
    """The number of a database's schema, and the steps that this release would take."""

    schema: int
    steps: list[Migration]


def load(engine: str) -> list[Migration]:
    """The migrations in order, without a gap, each with the section for `engine`."""
    files = sorted(resources.files("fleetroll.store").joinpath("ddl").iterdir(), key=lambda file: file.name)
    found = [_read(file.name, file.read_text("utf-8"), engine) for file in files if file.name.endswith(".sql")]
    assert [step.number for step in found] == list(range(1, len(found) + 1)), "migration numbers have a gap"
    return found


def log_step(logger: logging.Logger, step: Migration, since: int) -> None:
    """Log a step that was taken from schema `since` on; those of a new database (0) are for debugging only."""
    logger.log(logging.INFO if since else logging.DEBUG, "schema %d (%s) applied", step.number, step.name)


def _read(filename: str, text: str, engine: str) -> Migration:
    number, name = filename.removesuffix(".sql").split("_", 1)
    _, *parts = _SECTION.split(text)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    return Migration(int(number), name, sections[engine])
