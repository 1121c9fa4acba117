"""A real `fleetroll serve` in a process of its own, on a free port."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.app import ADMIN_KEY, chosen_database
from tests.support.waiting import PATIENCE

SERVE = (sys.executable, "-m", "fleetroll", "serve")
_URL = re.compile(r"http://\S+?:(\d+)")


class Process:
    """A started server: where it listens, and the process to signal."""

    def __init__(self, popen: "subprocess.Popen[str]", url: str, announced: str) -> None:
        self.popen = popen
        self.url = url
        self.announced = announced
        self.port = int(url.rpartition(":")[2])
        self.key = ADMIN_KEY


def start(
    data: Path,
    *options: str,
    log: Path | None = None,
    under: Sequence[str] = (),
    passing: Sequence[int] = (),
    **environment: str,
) -> Process:
    """Start and wait until it announces itself. Raises AssertionError with its words if it ends instead.

    `under` is a command that runs the server's command in turn; `passing` are file descriptors that it inherits.
    """
    settings = {
        "FLEETROLL_ADMIN_KEY": ADMIN_KEY,
        "FLEETROLL_KEY_RATE": "0",
        "FLEETROLL_ORGANIZATION_RATE": "0",
        **environment,
    }
    if "FLEETROLL_DATABASE" not in settings:
        settings |= chosen_database(data)
    with (log or data.parent / f"{data.name}.log").open("a") as errors:
        popen = subprocess.Popen(
            [*under, *SERVE, "--data", str(data), "--http", "127.0.0.1:0", *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **settings},
            pass_fds=passing,
        )
    assert popen.stdout is not None
    announced = ""
    for line in popen.stdout:
        announced += line
        if match := _URL.search(line):
            rest = "" if "Docs" in line else popen.stdout.readline()
            return Process(popen, f"http://127.0.0.1:{match[1]}", announced + rest)
    popen.stdout.close()
    raise AssertionError(f"the server ended with {popen.wait()}: {Path(errors.name).read_text()}")


@contextmanager
def serving(
    data: Path, *options: str, log: Path | None = None, under: Sequence[str] = (), **environment: str
) -> Iterator[Process]:
    """A server as `start` makes it, which is stopped at the end."""
    process = start(data, *options, log=log, under=under, passing=(), **environment)
    try:
        yield process
    finally:
        end(process)


def end(process: Process) -> None:
    process.popen.terminate()
    process.popen.wait(PATIENCE)
    assert process.popen.stdout is not None
    process.popen.stdout.close()


def fleetroll(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own, with `variables` in its environment."""
    command = [sys.executable, "-m", "fleetroll", *arguments]
    given = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=given)
