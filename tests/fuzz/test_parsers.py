"""What strangers send to a parser is read or refused, at once; `python -m tests.fuzz` looks for more, and longer."""

import contextlib
import os
import random
import time

import pytest

from fleetroll.core.faults import Fault
from tests.fuzz.parsers import PARSERS, Parser
from tests.hostile.test_random_requests import spoil
from tests.support.effort import often

SECONDS = 0.02  # that a reader may keep others waiting


@pytest.mark.parametrize("name", PARSERS)
def test_what_changes_begin_with_is_good(name: str) -> None:
    for data in PARSERS[name].good:
        PARSERS[name].read(data)


@pytest.mark.parametrize("name", PARSERS)
def test_whatever_is_changed_is_read_or_refused_at_once(name: str) -> None:
    chance, parser = random.Random(f"{name} {os.environ['FLEETROLL_SEED']}"), PARSERS[name]
    for _ in range(often(400)):
        data = chance.choice(parser.good)
        for _ in range(chance.choice((1, 2, 3, 8))):
            data = spoil(chance, data)
        # What is slow only once was interrupted.
        assert any(taken(parser, data) < SECONDS for _ in range(5)), data


def taken(parser: Parser, data: bytes) -> float:
    begun = time.process_time()
    with contextlib.suppress(Fault):
        parser.read(data)
    return time.process_time() - begun
