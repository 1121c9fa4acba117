"""Programs behind `strace`, which notes their system calls and spoils those that it is told to."""

import shutil
import subprocess
from pathlib import Path

import pytest


def _works() -> bool:
    if not (strace := shutil.which("strace")):
        return False
    return subprocess.run([strace, "-f", "true"], capture_output=True, check=False).returncode == 0


traced = pytest.mark.skipif(not _works(), reason="it needs strace, and the right to use it")


def tracing(calls: str, log: Path, spoilt: str | None = None) -> list[str]:
    """The words before a command by which its calls are noted, and `spoilt` as strace's `inject` says."""
    options = [] if spoilt is None else ["-e", f"inject={calls}:{spoilt}"]
    return ["strace", "-f", "-qq", "-e", "signal=none", "-e", f"trace={calls}", *options, "-o", str(log), "--"]
