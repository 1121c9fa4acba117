"""The supervisor of several processes by itself: what is sent to it while they end."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager

SUPERVISED = """
    import os, random, signal, time
    from fleetroll.supervisor import Supervisor

    def end(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(random.random() / 20)
        os._exit(0)

    def work(ready):
        signal.signal(signal.SIGTERM, end)
        ready()
        time.sleep(60)
        return 0

    raise SystemExit(Supervisor(6, work).run(lambda: print("ready", flush=True)))
"""


@contextmanager
def supervising() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SUPERVISED)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"ready\n"
        yield supervisor


def test_who_is_told_to_stop_again_and_again_still_waits_until_all_have_ended() -> None:
    with supervising() as supervisor:
        while supervisor.poll() is None:
            os.kill(supervisor.pid, signal.SIGTERM)
            time.sleep(0.0001)
        assert supervisor.stderr is not None
        assert (supervisor.returncode, supervisor.stderr.read()) == (0, b"")


def test_a_terminal_that_closes_ends_all() -> None:
    with supervising() as supervisor:
        os.kill(supervisor.pid, signal.SIGHUP)
        assert supervisor.wait(20) == 0
