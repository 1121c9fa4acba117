"""Many clients change one device at once: under a guard no change is lost, and one that comes too late is refused."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.support.app import App, Response

DEVICE = "/v1/devices/d"
CLIENTS, INCREMENTS = 20, 20
SECONDS = 60  # far beyond what any of this takes: a client that never gets through fails instead of hanging


def at_once(app: App, calls: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    async def gathered() -> list[Any]:
        return list(await asyncio.wait_for(asyncio.gather(*calls), SECONDS))

    return app.runner.run(gathered())


async def increment(app: App) -> int:
    """Read, add one, write if nobody else did; again until it works. Returns the number written."""
    while True:
        read = await app.call("GET", DEVICE)
        number = read.json()["metadata"]["counter"] + 1
        body = {"metadata": {"counter": number}}
        reply = await app.call("PATCH", DEVICE, body, headers={"If-Match": read.headers["etag"]})
        if reply.status == 200:
            return int(number)
        assert reply.status == 412, reply.body


def history(app: App) -> Any:
    return app.request("GET", f"{DEVICE}/timeline").json()


def test_guarded_increments_of_many_clients_are_all_counted(app: App) -> None:
    app.request("PUT", DEVICE, {"metadata": {"counter": 0}})

    async def client() -> list[int]:
        return [await increment(app) for _ in range(INCREMENTS)]

    written = [number for numbers in at_once(app, [client() for _ in range(CLIENTS)]) for number in numbers]
    assert sorted(written) == list(range(1, CLIENTS * INCREMENTS + 1))
    assert app.request("GET", DEVICE).json()["metadata"] == {"counter": len(written)}


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("PATCH", {"metadata": {"counter": 9}}),
        ("PATCH", [{"op": "replace", "path": "/metadata/counter", "value": 9}]),
        ("PUT", {"metadata": {"counter": 9}}),
        ("DELETE", None),
    ],
)
def test_of_many_writes_to_one_version_the_first_wins_and_the_others_change_nothing(
    app: App, method: str, body: Any
) -> None:
    held = app.request("PUT", DEVICE, {"metadata": {"counter": 0}}).headers["etag"]
    kind = "application/json-patch+json" if isinstance(body, list) else "application/json"
    headers = {"If-Match": held, "Content-Type": kind}
    replies = at_once(app, [app.call(method, DEVICE, body, headers=headers) for _ in range(CLIENTS)])
    assert sorted(reply.status for reply in replies) == [204 if body is None else 200, *[412] * (CLIENTS - 1)]
    app.request("PUT", DEVICE, {"name": "last"})
    before = app.request("GET", DEVICE), history(app)
    late = app.request(method, DEVICE, body, headers=headers)
    assert (late.status, late.json()["code"]) == (412, "precondition_failed")
    after = app.request("GET", DEVICE), history(app)
    assert shown(after[0]) == shown(before[0])
    assert after[1] == before[1]


def shown(reply: Response) -> tuple[int, str, bytes]:
    return reply.status, reply.headers["etag"], reply.body


@pytest.mark.parametrize("tag", ["*", '"1.1"'])
@pytest.mark.parametrize(("method", "body"), [("PATCH", {"name": "n"}), ("PUT", {"name": "n"}), ("DELETE", None)])
def test_a_guarded_write_to_a_missing_device_is_refused_and_makes_none(
    app: App, method: str, body: Any, tag: str
) -> None:
    assert app.request(method, DEVICE, body, headers={"If-Match": tag}).status == 412
    assert app.request("GET", DEVICE).status == 404


def test_of_many_that_put_only_if_there_is_none_one_creates_the_device(app: App) -> None:
    names = [f"client {number}" for number in range(CLIENTS)]
    headers = {"If-None-Match": "*"}
    replies = at_once(app, [app.call("PUT", DEVICE, {"name": name}, headers=headers) for name in names])
    winners = [name for name, reply in zip(names, replies, strict=True) if reply.status == 201]
    assert sorted(reply.status for reply in replies) == [201, *[412] * (CLIENTS - 1)]
    assert [app.request("GET", DEVICE).json()["name"]] == winners
    assert [event["type"] for event in history(app)["events"]] == ["device.created"]


def test_unguarded_merge_patches_of_different_members_all_survive(app: App) -> None:
    app.request("PUT", DEVICE, {"metadata": {"kept": True}})
    numbers = {f"k{number}": number for number in range(CLIENTS)}
    calls = [app.call("PATCH", DEVICE, {"metadata": {name: number}}) for name, number in numbers.items()]
    assert {reply.status for reply in at_once(app, calls)} == {200}
    assert app.request("GET", DEVICE).json()["metadata"] == {"kept": True, **numbers}
