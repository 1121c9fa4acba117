"""Programs that may hang, and leave behind what they have started."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence

from tests.mutants.breakages import ROOT


def outcome(program: Sequence[str], variables: Mapping[str, str], seconds: float) -> int:
    """Returns the status with which it ends, or is ended after so many seconds, and its whole process group with it."""
    run = subprocess.Popen(
        program, cwd=ROOT, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
    )
    late = threading.Timer(seconds, os.killpg, (run.pid, signal.SIGKILL))
    late.start()
    try:
        # Until it is collected nobody else can have its number, so the group is its own.
        os.waitid(os.P_PID, run.pid, os.WEXITED | os.WNOWAIT)
    finally:
        late.cancel()
        late.join()
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    return run.returncode
