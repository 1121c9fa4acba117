"""Listening sockets that a service manager has opened for this process: socket activation, as in sd_listen_fds(3).

They stay open while the server restarts: whoever connects meanwhile waits for the next process, and is not refused.
"""

import os
import socket
from collections.abc import MutableMapping, Sequence

from msgspec import Struct

from fleetroll.config import ConfigError

EST = "est"  # the name of those that devices enrol at; all others are for HTTP, whatever they are called
_FIRST = 3  # after standard input, output and error
_PROCESS, _COUNT, _NAMES = "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"


class Inherited(Struct, frozen=True):
    """Sockets by what they are for."""

    http: Sequence[socket.socket] = ()
    est: Sequence[socket.socket] = ()


def inherited(environment: MutableMapping[str, str]) -> Inherited:
    """The sockets that were passed to this process, which its own children are not told of. Raises ConfigError.

    What was meant for another process, such as the one that started this one, is left alone.
    """
    process, count, names = (environment.pop(name, "") for name in (_PROCESS, _COUNT, _NAMES))
    if process != str(os.getpid()):
        return Inherited()
    if not (count.isascii() and count.isdigit()):
        raise ConfigError(f"{_COUNT} must be the number of sockets that were passed.")
    of_name = dict(enumerate(names.split(":"), _FIRST))
    by_name = [(of_name.get(number, ""), _listening(number)) for number in range(_FIRST, _FIRST + int(count))]
    return Inherited(
        tuple(found for name, found in by_name if name != EST), tuple(found for name, found in by_name if name == EST)
    )


def _listening(number: int) -> socket.socket:
    """The socket of a file descriptor. Raises ConfigError unless it listens for TCP connections."""
    try:
        found = socket.socket(fileno=number)
    except OSError:
        raise _unusable(number) from None
    is_tcp = found.family in {socket.AF_INET, socket.AF_INET6} and found.type == socket.SOCK_STREAM
    if not (is_tcp and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
        found.detach()
        raise _unusable(number)
    found.set_inheritable(False)
    return found


def _unusable(number: int) -> ConfigError:
    return ConfigError(f"file descriptor {number}, which was passed by {_COUNT}, does not listen for TCP connections.")
