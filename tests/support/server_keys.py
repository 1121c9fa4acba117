"""Server keys that are not a registry's, and registries that know of none."""

import contextlib
from pathlib import Path

import apsw

ANOTHER_KEY = "0f1e2d3c4b5a6978" * 4


def unmark(file: Path) -> None:
    """Turn a database file into one of a release that left no marks."""
    with contextlib.closing(apsw.Connection(str(file))) as connection:
        connection.execute("DELETE FROM server_key")
