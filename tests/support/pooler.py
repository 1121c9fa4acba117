"""PgBouncer before the PostgreSQL of the tests."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.ports import free_port
from tests.support.waiting import PATIENCE

_PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")  # where Debian has it
installed = pytest.mark.skipif(_PROGRAM is None, reason="pgbouncer is not installed")


@contextmanager
def pooled(url: str, mode: str, folder: Path) -> Iterator[str]:
    """The URL of a database behind a pooler with the settings that it is installed with, except its pool mode."""
    place, port = urlsplit(url), free_port()
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n{place.path[1:]} = host={place.hostname} port={place.port} user={place.username}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\npool_mode = {mode}\n"
    )
    own = ["-u", "nobody"] if os.geteuid() == 0 else []  # it will not run as root
    with subprocess.Popen([str(_PROGRAM), "-q", *own, settings], stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(process, port)
            yield place._replace(netloc=f"{place.username}@127.0.0.1:{port}").geturl()
        finally:
            process.terminate()


def _wait_for(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError("pgbouncer does not come up")
