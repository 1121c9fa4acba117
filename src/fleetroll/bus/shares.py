"""How streams share what the way to the store has room for, so that one that floods cannot keep another waiting.

No stream takes more of the room than it leaves free: one alone may take half, and there is always some for the next. In
a batch for the store, streams have equal shares; what one does not use goes to the others.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from fleetroll.bus.intake import USUAL_BYTES, Intake
from fleetroll.bus.port import Message
from fleetroll.core import limits

ROOM: Final = limits.BUS_BATCHES * limits.BUS_BATCH
# One message always fits, with its subject and all that the broker adds.
_LEAST_BYTES: Final = limits.MAX_BUS_MESSAGE + (8 << 10)
_LEAST: Final = 2 * _LEAST_BYTES // USUAL_BYTES
_STANDING_BYTES: Final = 4 << 10


class Ask(Struct, frozen=True):
    """A request for messages, to be sent to the broker."""

    intake: Intake
    count: int
    size: int
    is_standing: bool = False


class Part(Struct, frozen=True):
    """What one stream has in a batch."""

    intake: Intake
    messages: list[Message]


def asks(active: Sequence[Intake], streams: int) -> Iterator[Ask]:
    """What to ask for next, in turns. `active` are those where something has changed, of so many `streams`."""
    free = ROOM - sum(one.load for one in active)
    lacking = [one for one in active if one.is_open and one.lacks]
    while lacking:
        share = max(_LEAST, free // len(lacking))
        served = []
        for intake in lacking:
            before = intake.load
            room = min(share, (free - before) // 2)
            if room >= _LEAST:
                count = min(intake.lacks, limits.BUS_PORTION, room // 2)
                size = max(_LEAST_BYTES, count * USUAL_BYTES)
                intake.ask(count, size)
                free -= intake.load - before
                served.append(intake)
                yield Ask(intake, count, size)
        lacking = [one for one in served if one.lacks]
    for intake in active:
        if intake.is_open and intake.is_unasked and (not intake.arrived or free - intake.load >= _LEAST):
            size = min(_STANDING_BYTES, limits.BUS_STANDING_BYTES // streams)
            intake.ask(1, size, standing=True)
            yield Ask(intake, 1, size, is_standing=True)


def batch(active: Iterable[Intake]) -> list[Part]:
    """What to store next, of all streams of which something has arrived."""
    waiting = [one for one in active if one.arrived][: limits.BUS_BATCH]
    waiting.sort(key=lambda one: len(one.arrived))
    count, size, parts = limits.BUS_BATCH, limits.BUS_BATCH_BYTES, list[Part]()
    for index, intake in enumerate(waiting):
        left = len(waiting) - index
        taken = intake.take(count // left, size // left)
        count -= len(taken)
        size = max(0, size - sum(len(one.body) for one in taken))
        parts.append(Part(intake, taken))
    return parts
