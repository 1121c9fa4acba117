"""Runs a program that is killed with its parent, however the parent ends: `launcher.py PARENT PROGRAM ARGUMENT…`.

A program of its own, because between fork and exec a process with threads may do very little.
"""

import ctypes
import os
import signal
import sys

_SET_PARENT_DEATH_SIGNAL = 1


def main() -> None:
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() == int(parent):  # else it died before the signal was set
        os.execv(command[0], command)  # noqa: S606  # the broker, found by us


if __name__ == "__main__":
    main()
