"""Rates per key and per organization, and a Retry-After that is true to the second."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetroll.core.faults import Fault
from fleetroll.wire.rate_limits import (
    Limiter,
    LimitState,
    LocalLimitState,
    Rate,
    SharedLimitState,
    SteadyLimiter,
    Window,
    admit,
)
from tests.support.app import App, running
from tests.support.effort import often


class Clock:
    """Counts seconds when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def refused(*budgets: tuple[Limiter, int | str]) -> float | None:
    """The seconds of Retry-After, or None if the request passed."""
    try:
        admit(*budgets)
    except Fault as fault:
        return fault.retry_after
    return None


@pytest.mark.parametrize("rate", [Rate(1, 1), Rate(1, 5), Rate(0.1, 1), Rate(0.3, 0), Rate(7, 3), Rate(50, 100)])
@pytest.mark.parametrize("early", [0.0, 0.4])
def test_waiting_as_long_as_was_said_succeeds_and_a_second_less_does_not(rate: Rate, early: float) -> None:
    for less, passes in ((0.0, True), (1.0, False)):
        clock = Clock()
        limiter = SteadyLimiter(rate, clock, "key")
        while (wait := refused((limiter, 1))) is None:
            pass
        clock.now += early / rate.per_second  # part of the way to the next request
        wait = refused((limiter, 1))
        assert wait is not None
        clock.now += wait - less
        assert (refused((limiter, 1)) is None) is passes


rates = st.builds(Rate, st.sampled_from([0.0, 0.2, 1.0, 3.0, 40.0]), st.integers(0, 6))


@settings(max_examples=often(150))
@given(rates, rates, st.lists(st.tuples(st.integers(1, 3), st.floats(0, 4)), max_size=30))
def test_whoever_waits_is_admitted_by_all_budgets_together(
    by_key: Rate, by_organization: Rate, steps: list[tuple[int, float]]
) -> None:
    clock = Clock()
    keys, organizations = SteadyLimiter(by_key, clock, "key"), SteadyLimiter(by_organization, clock, "organization")
    for key, pause in steps:
        clock.now += pause
        if (wait := refused((keys, key), (organizations, 1))) is not None:
            clock.now += wait
            assert refused((keys, key), (organizations, 1)) is None


def test_in_the_long_run_the_rate_holds_whatever_the_burst() -> None:
    clock = Clock()
    limiter = SteadyLimiter(Rate(5, 20), clock, "key")
    passed = 0
    for _ in range(1000):
        passed += refused((limiter, 1)) is None
        clock.now += 0.05
    assert 250 <= passed <= 270


def test_a_refused_request_costs_nothing() -> None:
    clock = Clock()
    limiter = SteadyLimiter(Rate(1, 2), clock, "key")
    while refused((limiter, 1)) is None:
        pass
    waits = {refused((limiter, 1)) for _ in range(100)}
    assert waits == {1}


@pytest.mark.parametrize("times", [LocalLimitState, SharedLimitState])
def test_a_window_has_its_requests_and_no_more_until_it_ends(times: Callable[[], LimitState]) -> None:
    clock = Clock()
    window = Window(10_000, 60, clock, "organization", times())
    for number in range(10_000):
        clock.now = 1_000 + 30 * number / 10_000
        assert refused((window, 1)) is None
    clock.now = 1_030.0
    assert refused((window, 1)) == 30
    assert refused((window, 2)) is None
    clock.now += 29
    assert [refused((window, 1)) for _ in range(3)] == [1] * 3, "nothing comes back before the end, nor is it put off"
    clock.now += 1
    assert [refused((window, 1)) for _ in range(10_001)] == [None] * 10_000 + [60]


def test_whoever_waits_for_a_window_is_admitted_by_the_rate_beside_it() -> None:
    clock = Clock()
    budgets = (SteadyLimiter(Rate(2, 1), clock, "key"), 1), (Window(3, 10, clock, "organization"), 1)
    for _ in range(20):
        if (wait := refused(*budgets)) is not None:
            clock.now += wait
            assert refused(*budgets) is None


def test_principals_do_not_share_a_budget() -> None:
    clock = Clock()
    limiter = SteadyLimiter(Rate(1, 1), clock, "key")
    assert [refused((limiter, principal)) for principal in (1, 2, 1, 2)] == [None, None, 1, 1]


def test_a_rate_of_nothing_is_no_limit() -> None:
    limiter = SteadyLimiter(Rate(0, 0), Clock(), "key")
    assert [refused((limiter, 1)) for _ in range(1000)] == [None] * 1000


def test_principals_who_left_are_forgotten_and_those_who_wait_are_not() -> None:
    clock = Clock()
    limiter = SteadyLimiter(Rate(1, 1), clock, "key")
    for principal in range(45_000):
        admit((limiter, principal))
        clock.now += 0.0001
    assert {refused((limiter, principal)) for principal in range(35_100, 45_000)} == {1}
    assert limiter.state.get("key", 1) is None
    assert refused((limiter, 1)) is None


def test_shared_and_own_memory_say_the_same() -> None:
    clock = Clock()
    steady = random.Random(os.environ["FLEETROLL_SEED"])
    alone = SteadyLimiter(Rate(3, 5), clock, "key")
    shared = SteadyLimiter(Rate(3, 5), clock, "key", SharedLimitState())
    for _ in range(5_000):
        principal = steady.choice((1, 2, "device:7", "key:1"))
        assert refused((alone, principal)) == refused((shared, principal))
        clock.now += steady.random() / 4


def test_a_full_table_forgets_whoever_is_whole_first_and_nobody_else() -> None:
    clock = Clock()
    limiter = SteadyLimiter(Rate(0.001, 1), clock, "key", SharedLimitState())
    for principal in range(80_000):
        clock.now += 0.001
        assert refused((limiter, principal)) is None
    assert all(refused((limiter, principal)) for principal in range(72_000, 80_000))


def test_processes_that_share_a_budget_share_a_limit() -> None:
    """Five processes ask as fast as they can; a sixth dies in the middle of it, holding the lock."""
    limiter = SteadyLimiter(Rate(0.001, 1_000), time.monotonic, "key", SharedLimitState())

    def ask() -> int:
        return sum(refused((limiter, "key:1")) is None for _ in range(400))

    def die() -> int:
        limiter.state.__enter__()
        os._exit(9)

    processes = [fork(die), *(fork(ask) for _ in range(5))]
    passed = [int(read.read() or b"0") for _, read in processes]
    for pid, read in processes:
        os.waitpid(pid, 0)
        read.close()
    assert sum(passed) == 1_000


def fork(work: Callable[[], int]) -> tuple[int, BinaryIO]:
    """Run `work` in a process of its own, which writes its answer."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writer, b"%d" % work())
        os._exit(0)
    os.close(writer)
    return pid, os.fdopen(reader, "rb")


SLOW = 0.001  # one request at once, and the next after a quarter of an hour


def until_refused(app: App, key: str, headers: dict[str, str] | None = None) -> int:
    """How many requests passed before the first refusal, which must be a proper one."""
    for passed in range(1000):
        reply = app.request("GET", "/v1/me", key=key, headers=headers)
        if reply.status == 429:
            assert reply.json()["code"] == "rate_limited"
            assert reply.headers["content-type"] == "application/problem+json"
            assert 900 <= int(reply.headers["retry-after"]) <= 1000
            return passed
        assert reply.status == 200
    raise AssertionError("there was no limit")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def made(data: Path) -> list[str]:
    """Two keys of one organization, made while nothing was limited; there is a child organization too."""
    with running(data) as app:
        app.request("POST", "/v1/organizations", {"slug": "kid"})
        return [app.request("POST", "/v1/keys", {"name": "k", "role": "viewer"}).json()["key"] for _ in "ab"]


def test_each_key_has_its_own_rate(data: Path, made: list[str]) -> None:
    with running(data, key_rate=SLOW) as app:
        assert [until_refused(app, key) for key in (*made, app.key, *made)] == [1, 1, 1, 0, 0]


def test_the_keys_of_an_organization_share_its_rate_and_other_organizations_have_their_own(
    data: Path, made: list[str]
) -> None:
    with running(data, organization_rate=SLOW) as app:
        assert [until_refused(app, key) for key in (*made, app.key)] == [1, 0, 0]
        assert until_refused(app, app.key, {"Fleetroll-Organization": "kid"}) == 1


def test_health_and_strangers_are_not_counted(data: Path) -> None:
    with running(data, key_rate=SLOW, organization_rate=SLOW) as app:
        for _ in range(5):
            assert app.request("GET", "/health").status == 200
            assert app.request("GET", "/v1/me", key="wrong").status == 401
        assert until_refused(app, app.key) == 1


def test_strangers_at_a_dms_have_its_rate_and_nothing_of_its_organizations(data: Path) -> None:
    with running(data) as app:
        app.request("POST", "/v1/dms", {"name": "line", "settings": {"admission": {"proof": "NO_AUTH"}}})
    with running(data, key_rate=SLOW, organization_rate=SLOW) as app:
        asked = [app.request("GET", f"/.well-known/est/{label}/cacerts").status for label in ("line", "line", "~line")]
        assert asked == [200, 429, 429]
        assert until_refused(app, app.key) == 1
