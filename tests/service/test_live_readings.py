"""Followers of readings: each has the newest of its own organization, in bounded memory, however slow it is."""

import asyncio

from fleetroll.bus.broker import Off
from fleetroll.bus.permissions import Authority
from fleetroll.core import limits
from fleetroll.service.live_readings import Live, LiveReading

ORG, OTHER = 1, 2


def live() -> Live:
    return Live(Off(Authority(b"k" * 32), lambda: 0))


def told(*values: int, org: int = ORG) -> list[LiveReading]:
    return [LiveReading(org, 1, "d", "m", value, value) for value in values]


def test_a_slow_follower_has_the_newest_and_knows_how_many_it_missed() -> None:
    async def story() -> None:
        hub, changed = live(), asyncio.Event()
        with hub.following(ORG, changed) as feed:
            await hub.publish(told(*range(limits.LIVE_READINGS - 1)))
            await hub.publish(told(-1, -2, -3))
            assert changed.is_set()
            taken, missed = feed.take()
            assert missed == 2
            assert [one.value for one in taken] == [*range(2, limits.LIVE_READINGS - 1), -1, -2, -3]
            assert feed.take() == ([], 0)
            await hub.publish(told(7))
            assert [one.value for one in feed.take()[0]] == [7]

    asyncio.run(story())


def test_each_follower_has_its_own_organizations_readings() -> None:
    async def story() -> None:
        hub = live()
        with hub.following(ORG, asyncio.Event()) as one, hub.following(OTHER, asyncio.Event()) as two:
            await hub.publish([*told(1), *told(2, org=OTHER), *told(3)])
            assert [reading.value for reading in one.take()[0]] == [1, 3]
            assert [reading.value for reading in two.take()[0]] == [2]

    asyncio.run(story())


def test_nobody_is_told_who_does_not_follow() -> None:
    async def story() -> None:
        hub = live()
        with hub.following(ORG, asyncio.Event()) as feed:
            assert hub.wants(ORG)
        assert not hub.wants(ORG)
        await hub.publish(told(1))
        assert feed.take() == ([], 0)

    asyncio.run(story())
