"""The named SQL statements, loaded once from the .sql files: `-- name: what it does`, then text up to a semicolon.

The name of a statement in braces, within the text of another, stands for its text.
"""

import re
from importlib import resources

_STATEMENT = re.compile(r"^-- (?P<name>\w+): (?P<about>.+)\n(?P<text>(?:(?!^-- ).*\n?)+?.*;)\s*$", re.MULTILINE)
_PART = re.compile(r"\{(\w+)\}")


def load() -> dict[str, str]:
    """Every statement by its name. Raises ValueError if two share one."""
    statements: dict[str, str] = {}
    for source in sorted(resources.files("fleetroll.store").joinpath("sql").iterdir(), key=lambda file: file.name):
        for match in _STATEMENT.finditer(source.read_text("utf-8")):
            if match["name"] in statements:
                raise ValueError(f"two statements are named {match['name']}")
            statements[match["name"]] = match["text"].strip().rstrip(";")
    return {name: _PART.sub(lambda part: statements[part[1]], text) for name, text in statements.items()}


SQL = load()
