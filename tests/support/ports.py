"""Ports that are known before anybody listens on them."""

import contextlib
import random
import socket

# Linux gives ports from 32768 on to whoever asks for any, every client among them; those below stay free.
_ASKED_FOR_BY_NUMBER = range(20_000, 32_768)


def free_port() -> int:
    """A port that nobody listens on, and that nobody is given by chance before its user does, or between two runs."""
    choose = random.SystemRandom()  # two test processes with one seed must not meet
    while True:
        port = choose.choice(_ASKED_FOR_BY_NUMBER)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
