"""One stream on its way into the store: what has been asked for, and what has arrived and is not stored."""

from collections import deque
from collections.abc import Mapping
from typing import Final

from nats.aio.msg import Msg

from fleetroll.bus.port import Message
from fleetroll.core import limits

COMMANDS_FAMILY = "commands"
_UNSENT, _UNSENT_BYTES = "Nats-Pending-Messages", "Nats-Pending-Bytes"  # at the end of a request: what it still lacked
USUAL_BYTES: Final = limits.BUS_BATCH_BYTES // limits.BUS_BATCH  # of a message: a full batch has both bounds at once


class Missed(Exception):
    """The broker has sent something that did not arrive."""


class Intake:
    """Reads one incarnation of a stream, which `name` tells apart from others.

    While it is open, each request to the broker is either *standing*, for the next message whenever it comes, or for a
    portion of those of which the broker has said that they are `pending`.
    """

    def __init__(self, stream: str, incarnation: str) -> None:
        self.stream = stream
        self.incarnation = incarnation
        self.name = f"{stream} {incarnation}"
        self.consumer = ""  # another one at each opening: what was asked for before is ignored
        self.arrived: deque[Message] = deque()
        self.weight = 0  # of what has arrived
        self.read = self.stored = 0  # sequence numbers of the last message that has arrived, and that is in the store
        self.pending = 0  # messages that wait on the broker, as it said last
        self.has_standing = False
        self.heard = 0  # how often the broker has sent something
        self._due = self._due_bytes = 0  # what was asked for and is still to come
        self._count = 0  # messages of the consumer so far

    @property
    def is_open(self) -> bool:
        return bool(self.consumer)

    def open(self, consumer: str, after: int, pending: int) -> None:
        """From now on what follows sequence number `after` arrives, once it is asked of the consumer."""
        self.consumer = consumer
        self.read = self.stored = after
        self.pending = pending
        self._count = 0

    def close(self) -> None:
        """Discard what has arrived and is not stored: it will be read again."""
        self.consumer = ""
        self.arrived.clear()
        self.weight = self.pending = self._due = self._due_bytes = 0
        self.has_standing = False

    @property
    def load(self) -> int:
        """What it takes of the room on the way to the store: one for each message, and one for each `USUAL_BYTES`.

        A standing request takes none.
        """
        return self.weight if self.has_standing else self.weight + self._due + self._due_bytes // USUAL_BYTES

    @property
    def lacks(self) -> int:
        """How many messages are known to wait on the broker that were not asked for."""
        return max(0, self.pending - self._due)

    @property
    def is_unasked(self) -> bool:
        """Whether nothing is known to wait on the broker, and nothing was asked for."""
        return not self._due and not self.pending

    @property
    def is_waiting(self) -> bool:
        """Whether nothing is to be done until the next message comes, or until it is opened."""
        return not self.arrived and (self.has_standing or not self.is_open)

    @property
    def is_at_end(self) -> bool:
        """Whether nothing more is known to wait, on the way or on the broker."""
        return not self.arrived and not self.pending

    def ask(self, count: int, size: int, *, standing: bool = False) -> None:
        self._due += count
        self._due_bytes += size
        self.has_standing = standing

    def take_in(self, found: Msg) -> None:
        """A message has arrived. Raises Missed.

        Its reply subject says its number in the stream, how many were sent, when it was stored, how many wait.
        """
        *_, sequence, count, at, pending = found.reply.split(".")
        self.heard += 1
        self._count += 1
        if int(count) != self._count:
            raise Missed
        self.read, self.pending = int(sequence), int(pending)
        self._lower(1, len(found.data))
        self.arrived.append(_message(found, self.read, int(at) // 1000))
        self.weight += _weight(found.data)

    def end_request(self, headers: Mapping[str, str] | None) -> None:
        """A request has ended, with or without all that it asked for. Raises Missed if that is not known."""
        self.heard += 1
        if headers is None or _UNSENT not in headers:  # the consumer is gone
            raise Missed
        if self.has_standing and headers.get("Status") == "409":
            self.pending = max(1, self.pending)  # the next message is too large for it
        if unsent := int(headers[_UNSENT]):
            if headers.get("Status") == "408":  # it has waited in vain: what was pending was removed
                self.pending = 0
            self._lower(unsent, int(headers.get(_UNSENT_BYTES, 0)))

    def _lower(self, count: int, size: int) -> None:
        self._due = max(0, self._due - count)
        self._due_bytes = max(0, self._due_bytes - size) if self._due else 0
        if not self._due:
            self.has_standing = False

    def take(self, count: int, size: int) -> list[Message]:
        """The next messages to be stored: at least one, at most `count`, and beyond the first at most `size` bytes."""
        taken = [self.arrived.popleft()]
        size -= len(taken[0].body)
        while self.arrived and len(taken) < count and len(self.arrived[0].body) <= size:
            taken.append(self.arrived.popleft())
            size -= len(taken[-1].body)
        self.weight -= sum(_weight(one.body) for one in taken)
        return taken

    def put_back(self, messages: list[Message]) -> None:
        """Take back messages that could not be stored."""
        self.arrived.extendleft(reversed(messages))
        self.weight += sum(_weight(one.body) for one in messages)


def stream_of(name: str) -> str:
    """The stream of an incarnation's name."""
    return name.partition(" ")[0]


def _weight(body: bytes) -> int:
    return 1 + len(body) // USUAL_BYTES


def _message(found: Msg, sequence: int, at: int) -> Message:
    subject = found.subject.split(".")
    if subject[0] == "command":
        _, org, env, device, name = subject
        family = COMMANDS_FAMILY
    else:
        _, org, env, family, device, name = subject
    return Message(sequence, at, org, env, family, device, name, found.data)
