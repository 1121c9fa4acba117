"""Whatever clients do to one device at once is as if they had done it one after the other.

A history is what each of several clients did at random, from when until when, and what it was told. There must be an
order of all that in which each is told what it was, and nothing comes before what had ended when it began.
"""

import asyncio
import itertools
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec import Struct, field

from fleetroll.core.ids import base36
from tests.support.app import App, Response, running
from tests.support.effort import often

CLIENTS, STEPS = 8, 4
MEMFAULT = "/api/v0/organizations/default/projects/default/devices"
LAMASSU = "/api/devmanager/v1/devices"

Known = tuple[int, int, str] | None
"""The device as a client may know it, by its number, revision and name; None where there is none."""
Rule = Callable[[Known], tuple[bool, Known]]
"""Whether what was told can be true of a device, and what is there afterwards."""
Ending = tuple[Rule, str]


class Told(Struct, frozen=True):
    """Something that was done, and when."""

    begun: int
    ended: int
    rule: Rule
    what: str


class Story(Struct):
    """What is done to one device. `known` is what somebody saw last."""

    app: App
    ident: str
    names: Iterator[str] = field(default_factory=lambda: map("name-{}".format, itertools.count()))
    known: Known = None


def of(device: Any) -> Known:
    return device["id"], device["revision"], device["name"]


# --- what clients do -------------------------------------------------------------------------------------------------


async def get(story: Story) -> Ending:
    reply = await story.app.call("GET", f"/v1/devices/{story.ident}")
    story.known = of(reply.json()) if reply.status == 200 else None
    return _shown(story.known)


async def find(story: Story) -> Ending:
    found = (await story.app.call("GET", f"/v1/devices?filter=ident%3D{story.ident}")).json()["devices"]
    return _shown(of(found[0]) if found else None)


def _shown(seen: Known) -> Ending:
    return lambda was: (was == seen, was), f"saw {seen}"


async def get_by_memfault(story: Story) -> Ending:
    reply = await story.app.call("GET", f"{MEMFAULT}/{story.ident}")
    return _named(reply.json()["data"]["nickname"] if reply.status == 200 else None)


async def find_by_lamassu(story: Story) -> Ending:
    found = (await story.app.call("GET", f"{LAMASSU}?filter=id[eq]{story.ident}")).json()["list"]
    return _named(found[0]["alias"] if found else None)


def _named(seen: str | None) -> Ending:
    return lambda was: ((was and was[2]) == seen, was), f"saw the name {seen}"


async def create(story: Story) -> Ending:
    name = next(story.names)
    reply = await story.app.call("POST", "/v1/devices", {"ident": story.ident, "name": name})
    if reply.status == 409:
        return lambda was: (was is not None, was), "found it there"
    made = of(reply.json())
    return lambda was: (was is None, made), f"created {made}"


async def put(story: Story) -> Ending:
    name = next(story.names)
    reply = await story.app.call("PUT", f"/v1/devices/{story.ident}", {"name": name})
    if reply.status == 200:
        return _written(reply, name)
    made = of(reply.json())
    return lambda was: (was is None, made), f"created {made}"


async def patch(story: Story) -> Ending:
    name = next(story.names)
    return _written(await story.app.call("PATCH", f"/v1/devices/{story.ident}", {"name": name}), name)


async def patch_as_known(story: Story) -> Ending:
    name = next(story.names)
    number, revision, _ = story.known or (0, 0, "")
    tag = f'"{base36(number)}.{base36(revision)}"'
    reply = await story.app.call("PATCH", f"/v1/devices/{story.ident}", {"name": name}, headers={"if-match": tag})
    if reply.status == 412:
        return lambda was: (was is None or was[:2] != (number, revision), was), f"found {tag} stale"
    return _written(reply, name)


def _written(reply: Response, name: str) -> Ending:
    if reply.status == 404:
        return lambda was: (was is None, was), "found nothing to change"
    now = of(reply.json())
    return lambda was: (was is not None and (was[0], was[1] + 1, name) == now, now), f"changed it to {now}"


async def patch_by_memfault(story: Story) -> Ending:
    name = next(story.names)
    if (await story.app.call("PATCH", f"{MEMFAULT}/{story.ident}", {"nickname": name})).status == 404:
        return lambda was: (was is None, was), "found nothing to change"
    return lambda was: (was is not None, was and (was[0], was[1] + 1, name)), f"renamed it to {name}"


async def delete(story: Story) -> Ending:
    is_there = (await story.app.call("DELETE", f"/v1/devices/{story.ident}")).status == 204
    return lambda was: ((was is not None) == is_there, None), "deleted it" if is_there else "found nothing to delete"


READING = [get, find, get_by_memfault, find_by_lamassu]
WRITING = [create, put, patch, patch, patch_as_known, patch_as_known, patch_by_memfault, delete]


# --- histories -------------------------------------------------------------------------------------------------------


async def history(story: Story, chance: random.Random) -> list[Told]:
    clock, told = itertools.count(), list[Told]()

    async def client() -> None:
        for _ in range(STEPS):
            do = chance.choice(READING if chance.random() < 0.5 else WRITING)
            for _ in range(chance.choice([0, 0, 1, 5])):
                await asyncio.sleep(0)
            begun = next(clock)
            rule, what = await do(story)
            told.append(Told(begun, next(clock), rule, what))

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return told


def has_an_order(told: list[Told]) -> bool:
    """Search it: whatever had begun before the first of the rest ended may come next (Wing and Gong, 1993)."""
    seen, waiting = set[tuple[int, Known]](), [(0, None)]
    while waiting:
        done, now = waiting.pop()
        if (done, now) in seen:
            continue
        seen.add((done, now))
        rest = [number for number in range(len(told)) if not done >> number & 1]
        if not rest:
            return True
        first = min(told[number].ended for number in rest)
        for number in rest:
            if told[number].begun < first:
                can_be, then = told[number].rule(now)
                if can_be:
                    waiting.append((done | 1 << number, then))
    return False


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("order") / "data") as app:
        yield app


def test_what_is_done_at_once_has_an_order(app: App) -> None:
    chance = random.Random(os.environ["FLEETROLL_SEED"])
    for number in range(often(40)):
        told = app.run(history(Story(app, f"d{number}"), chance))
        assert has_an_order(told), sorted((one.begun, one.ended, one.what) for one in told)


@pytest.mark.parametrize(
    ("seen", "begun", "can_be"),
    [
        ("new", 40, True),
        ("old", 40, False),
        ("old", 25, True),
        ("new", 25, True),
        ("old", 15, True),
        ("new", 15, False),
    ],
)
def test_an_order_that_cannot_be_is_found_out(seen: str, begun: int, can_be: bool) -> None:
    """Else the test above could not fail."""

    def shown(name: str) -> Rule:
        return lambda was: (was == (1, 1, name), was)

    def written(name: str) -> Rule:
        return lambda was: (True, (1, 1, name))

    writes = [Told(0, 10, written("old"), ""), Told(20, 30, written("new"), "")]
    assert has_an_order([*writes, Told(begun, begun + 4, shown(seen), "")]) is can_be
