"""Ends a PostgreSQL when those who use it have ended: `caretaker.py FOLDER [FILE…]`.

They hold a shared lock on the file `used` in its folder, which the kernel takes from them however they end. Then the
server is stopped, and its folder and the other files are removed. A program of its own, as a test run may be killed.
"""

import fcntl
import os
import shutil
import signal
import sys
import time
from pathlib import Path

_SECONDS = 20


def main() -> None:
    folder, *files = map(Path, sys.argv[1:])
    with (folder / "used").open() as used:
        fcntl.flock(used, fcntl.LOCK_EX)
        postmaster = folder / "data" / "postmaster.pid"
        if postmaster.exists():
            _stop(int(postmaster.read_text().split("\n")[0]))
        shutil.rmtree(folder, ignore_errors=True)
        for file in files:
            file.unlink(missing_ok=True)


def _stop(pid: int) -> None:
    """Stop it fast, by SIGINT; kill it if that takes too long."""
    for request, seconds in ((signal.SIGINT, _SECONDS), (signal.SIGKILL, 1)):
        deadline = time.monotonic() + seconds
        if _is_running(pid):
            os.kill(pid, request)
        while _is_running(pid) and time.monotonic() < deadline:
            time.sleep(0.02)


def _is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


if __name__ == "__main__":
    main()
