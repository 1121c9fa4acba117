"""How late the event loop is: felt all the time, and at next to no cost where there is nothing to feel."""

import asyncio
import re
import time

from fleetroll.wire.metrics import Condition, Metrics, watch_loop_lag

_BEATS = re.compile(r"^fleetroll_loop_lag_seconds_count (\S+)$", re.MULTILINE)
_STALL = re.compile(r"^fleetroll_loop_stall_seconds (\S+)$", re.MULTILINE)


async def felt(seconds: float, stall: float = 0.0) -> tuple[float, float]:
    """How often the pulse was felt, and the longest stall, of a loop that idles for so long and then is held up."""
    metrics = Metrics()
    feeling = asyncio.ensure_future(watch_loop_lag(metrics))
    await asyncio.sleep(seconds)
    time.sleep(stall)  # noqa: ASYNC251  # as a call that blocks would
    await asyncio.sleep(0.1)
    feeling.cancel()
    page = metrics.render(Condition()).decode()
    return float(_BEATS.findall(page)[0]), float(_STALL.findall(page)[0])


def test_an_idle_loop_is_left_alone() -> None:
    beats, _ = asyncio.run(felt(1.0))
    assert 0 < beats < 100


def test_what_holds_up_an_idle_loop_is_felt() -> None:
    _, stall = asyncio.run(felt(0.2, 0.3))
    assert stall > 0.2
