"""The command line as its users have it: what the program runs, against a real server in a process of its own."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from msgspec import Struct

from fleetroll import __main__
from tests.support import process


class Result(Struct):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Result]


@pytest.fixture(scope="session", autouse=True)
def _plain() -> None:
    """No shell and no CI machine asks for colours, or says how wide its terminal is."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
        os.environ.pop(name, None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of the module's server."""
    return tmp_path_factory.mktemp("server") / "data"


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[process.Process]:
    with process.serving(home) as started:
        yield started


def run(*arguments: str, stdin: bytes = b"", **variables: str) -> Result:
    """Run the command line in this process, with no variables of Fleetroll's but the given ones."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETROLL_")}
    with (
        mock.patch.dict(os.environ, {**kept, **variables}, clear=True),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8")),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        __main__.run(arguments)
    return Result(int(end.value.code or 0), *(_written(stream) for stream in (out, err)))


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(errors="surrogateescape")  # a CRL is no text


def counts(out: str) -> dict[str, int]:
    """The numbers that an import prints at its end, by what they count."""
    words = out.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


@pytest.fixture
def fleetroll(server: process.Process) -> Command:
    """The command line, connected to the module's server as its first admin."""

    def connected(*arguments: str, **rest: Any) -> Result:
        return run(*arguments, **{"FLEETROLL_URL": server.url, "FLEETROLL_KEY": server.key, **rest})

    return connected


@pytest.fixture
def alone() -> Command:
    """The command line with nothing in its environment."""
    return run


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
