"""A dialect is four modules of data and pure functions; what it may not hold is found here by its syntax alone.

A module that would be long is a folder instead, with a file for each noun.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import fleetroll.dialects

HOME = Path(fleetroll.dialects.__file__).parent
DIALECTS = sorted(path.name for path in HOME.iterdir() if path.is_dir() and path.name != "__pycache__")
FILES = {"__init__", "shapes", "mapping", "routes", "envelope"}
WAITING = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Try, ast.TryStar, ast.Yield, ast.With)
FAULTS = {"Fault", "invalid", "not_found", "conflict", "stale"}
# No clock, randomness, logging or I/O; no store, no other layer's inside, and no authorization.
MODULES = re.compile(
    r"(asyncio|io|logging|os|pathlib|random|secrets|socket|sqlite3|subprocess|sys|time|uuid|apsw|starlette|uvicorn)\b"
    r"|fleetroll\.(store|main|config|cli|wire\.(serve|app|http_\w+|idempotency|rate_limits|credentials))\b"
    r"|fleetroll\.core\.policy\.(require|allows|outranks|MINIMUM_ROLE)"
)
ATTRIBUTES = {"now", "utcnow", "today", "require", "allows", "outranks", "perform", "store", "services", "principal"}
SQL = re.compile(r"\b(SELECT .+ FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM|WHERE \w+ ?=|ORDER BY)\b", re.DOTALL)


def impurities(source: str, name: str) -> Iterator[str]:
    """What in a dialect's file does not belong there, each with its line."""
    for node in ast.walk(ast.parse(source)):
        found = None
        if isinstance(node, WAITING):
            found = type(node).__name__
        elif isinstance(node, ast.Raise):
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            found = None if isinstance(raised, ast.Name) and raised.id in FAULTS else f"raise {ast.unparse(node)}"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            origin = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            imported = [origin + alias.name for alias in node.names]
            others = [other for other in DIALECTS if other != name]
            foreign = re.compile(rf"fleetroll\.dialects\.({'|'.join(others)})\b") if others else re.compile(r"(?!)")
            found = next((module for module in imported if MODULES.match(module) or foreign.match(module)), None)
        elif isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES:
            found = f".{node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value):
            found = "SQL"
        if found:
            yield f"line {node.lineno}: {found}"  # type: ignore[attr-defined]  # all of these have one


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_is_four_modules_and_nothing_else(name: str) -> None:
    found = [path for path in (HOME / name).iterdir() if path.name != "__pycache__"]
    assert sorted(path.stem for path in found) == sorted(FILES)
    assert not [path for path in (HOME / name).rglob("*.*") if path.suffix not in {".py", ".pyc"}]


@pytest.mark.parametrize("name", DIALECTS)
def test_a_folder_of_rows_has_a_file_for_each_noun_of_the_service(name: str) -> None:
    rows, mapping, service = (
        {path.stem for path in folder.glob("*.py")}
        for folder in (HOME / name / "routes", HOME / name / "mapping", HOME.parent / "service")
    )
    nouns = rows - {"parameters"}
    assert nouns <= service
    assert not nouns or not mapping or nouns <= mapping


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_holds_nothing_but_data_and_pure_functions(name: str) -> None:
    for path in (HOME / name).rglob("*.py"):
        assert not list(impurities(path.read_text(), name)), path


@pytest.mark.parametrize(
    "line",
    [
        "async def f(): pass",
        "try: pass\nexcept ValueError: pass",
        "raise ValueError('x')",
        "raise",
        "import time",
        "from datetime import datetime\nx = datetime.now()",
        "import random",
        "from logging import getLogger",
        "from fleetroll.store.port import Records",
        "from fleetroll.core.policy import require",
        "from fleetroll.dialects.native import mapping",
        "x = call.principal.key.role",
        "x = 'SELECT id FROM device'",
        "with open('x') as f: pass",
    ],
)
def test_an_impurity_is_found(line: str) -> None:
    assert list(impurities(line, "telemetron"))


# --- below the dialects ----------------------------------------------------------------------------------------------

VENDOR = re.compile(r"telemetron|memfault|blynk|lamassu|\brelayx?\b", re.IGNORECASE)
LAYERS = ("core", "store", "bus", "pki", "service", "wire")


def texts(source: str) -> Iterator[str]:
    """The strings of a module that are no docstrings."""
    tree = ast.parse(source)
    prose = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in prose:
            yield node.value


def test_below_the_dialects_one_module_knows_vendors_by_name() -> None:
    modules = [path for layer in LAYERS for path in (HOME.parent / layer).rglob("*.py")]
    found = {path for path in modules if any(VENDOR.search(text) for text in texts(path.read_text()))}
    assert found == {HOME.parent / "core" / "extras.py"}


def test_a_vendor_is_found_in_a_string_and_not_in_a_docstring() -> None:
    assert list(texts('"""As Blynk has it."""\nVENDOR = "blynk"')) == ["blynk"]
