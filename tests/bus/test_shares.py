"""How streams share the way to the store, without a broker."""

import itertools
from collections.abc import Sequence

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus import shares
from fleetroll.bus.intake import Intake, Missed
from fleetroll.core import limits

SIZES = (1, 100, limits.BUS_BATCH_BYTES // limits.BUS_BATCH, limits.MAX_BUS_MESSAGE)
ENDED = {"Status": "408", "Nats-Pending-Messages": "0", "Nats-Pending-Bytes": "0"}


class Stream:
    """A stream on the broker with so many messages, and what reads it."""

    def __init__(self, number: int, count: int, size: int = 10) -> None:
        self.intake = Intake(f"INGEST_org_{number}", "now")
        self.intake.open(f"store_{number}", 0, count)
        self.subject, self.body = f"data.org_{number}.production.telemetry.{number:024x}.t", bytes(size)
        self.left = count
        self._sequence = itertools.count(1)

    def deliver(self, count: int, size: int) -> None:
        """As the broker: what it has of what was asked for."""
        while self.left and count and len(self.body) <= size:
            self.left, count, size = self.left - 1, count - 1, size - len(self.body)
            number = next(self._sequence)
            self.intake.take_in(
                message(self.subject, f"$JS.ACK.{self.intake.stream}.c.1.{number}.{number}.5000.{self.left}", self.body)
            )
        if count:
            unsent = {"Nats-Pending-Messages": str(count), "Nats-Pending-Bytes": str(size)}
            self.intake.end_request({"Status": "409" if self.left else "408", **unsent})


def message(subject: str, reply: str, body: bytes) -> Msg:
    return Msg(_client=Client(), subject=subject, reply=reply, data=body)


def deliver(streams: Sequence[Stream]) -> None:
    """All that may be asked for."""
    of = {one.intake: one for one in streams}
    while asked := [ask for ask in shares.asks(list(of), len(of)) if not ask.is_standing]:
        for ask in asked:
            of[ask.intake].deliver(ask.count, ask.size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 2, 50, 2_000])
def test_however_many_flood_there_is_room_for_one_more_and_a_bound_for_all(count: int, size: int) -> None:
    loud = [Stream(number, 100_000, size) for number in range(count)]
    deliver(loud)
    arrived = sum(len(one.intake.arrived) for one in loud)
    assert shares.ROOM // 4 < sum(one.intake.load for one in loud) < 1.05 * shares.ROOM
    assert arrived * size < 1.05 * limits.BUS_BATCHES * limits.BUS_BATCH_BYTES
    if count < 600:
        newcomer = Stream(count, 30)
        deliver([*loud, newcomer])
        assert newcomer.intake.arrived


def test_those_for_whom_there_was_no_room_come_first_once_there_is() -> None:
    waiting = [Stream(number, 1_000) for number in range(2_000)]
    active = dict.fromkeys(one.intake for one in waiting)
    served = set()
    for _ in range(10):
        for ask in list(shares.asks(list(active), len(waiting))):
            served.add(ask.intake)
            del active[ask.intake]
            active[ask.intake] = None
            ask.intake.end_request({"Nats-Pending-Messages": str(ask.count), "Nats-Pending-Bytes": str(ask.size)})
    assert len(served) == len(waiting)


def test_a_batch_has_equal_shares_of_those_who_flood_and_all_of_those_who_do_not() -> None:
    loud, quiet = [Stream(number, 5_000) for number in range(2)], [Stream(number, 3) for number in range(2, 12)]
    deliver([*loud, *quiet])
    parts = {part.intake: len(part.messages) for part in shares.batch([one.intake for one in (*loud, *quiet)])}
    assert [parts[one.intake] for one in quiet] == [3] * len(quiet)
    assert [parts[one.intake] for one in loud] == [(limits.BUS_BATCH - 30) // 2] * 2


@pytest.mark.parametrize("size", SIZES)
def test_a_batch_is_bounded(size: int) -> None:
    loud = [Stream(number, 5_000, size) for number in range(5)]
    deliver(loud)
    messages = [one for part in shares.batch([one.intake for one in loud]) for one in part.messages]
    assert messages
    assert len(messages) <= limits.BUS_BATCH
    assert sum(len(one.body) for one in messages) <= limits.BUS_BATCH_BYTES


def test_a_stream_in_which_nothing_waits_has_one_small_request_and_takes_no_room() -> None:
    idle = [Stream(number, 0) for number in range(10_000)]
    asked = list(shares.asks([one.intake for one in idle], len(idle)))
    assert [ask.is_standing for ask in asked] == [True] * len(idle)
    assert sum(ask.size for ask in asked) <= limits.BUS_STANDING_BYTES
    assert sum(one.intake.load for one in idle) == 0
    assert not list(shares.asks([one.intake for one in idle], len(idle)))


def test_a_message_that_is_too_large_for_a_standing_request_is_asked_for() -> None:
    large = Stream(1, 0, limits.MAX_BUS_MESSAGE)
    [standing] = shares.asks([large.intake], 1)
    large.left = 1
    large.deliver(standing.count, standing.size)
    deliver([large])
    assert len(large.intake.arrived) == 1


def test_what_was_sent_and_did_not_arrive_is_noticed() -> None:
    stream = Stream(1, 2)
    stream.deliver(1, 100)
    with pytest.raises(Missed):
        stream.intake.take_in(message(stream.subject, "$JS.ACK.INGEST_org_1.c.1.3.3.5000.0", b"1"))
    with pytest.raises(Missed):
        stream.intake.end_request({"Status": "409", "Description": "Consumer Deleted"})
    with pytest.raises(Missed):
        stream.intake.end_request(None)
