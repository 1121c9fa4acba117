"""Bodies that take their time: those of a tenant have a share of the memory, and what was refused can be sent again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from fleetroll.core import limits
from tests.support.app import ADMIN_KEY, App, Response, asgi, running
from tests.support.waiting import until

SHARE = 100_000
ENROL = "/.well-known/est/line/simpleenroll"
PAD = b" " * 60_000  # blanks, which mean nothing around a document


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    monkeypatch.setattr(limits, "MAX_TENANT_BODIES", SHARE)
    monkeypatch.setattr(limits, "MAX_BODIES", 3 * SHARE + 10_000)
    with running(tmp_path / "data") as app:
        for slug in ("east", "west"):
            app.request("POST", "/v1/organizations", {"slug": slug})
        app.request("POST", "/v1/organizations", {"slug": "below"}, headers={"fleetroll-organization": "east"})
        yield app


class Resume(asyncio.Event):
    """Tells how many wait for it."""

    waiting = 0

    async def wait(self) -> Literal[True]:
        self.waiting += 1
        return await super().wait()


async def send(app: App, org: str, ident: str, resume: Resume | None = None, target: str = "/v1/devices") -> Response:
    """Make a device by a request whose first part comes at once and whose second waits for `resume`."""
    parts = [PAD if target != ENROL else PAD[:20_000], b'{"ident":"%s"}' % ident.encode()]

    async def slow(scope: dict[str, object], receive: object, reply: object) -> None:
        async def part() -> dict[str, object]:
            if len(parts) == 1 and resume is not None:
                await resume.wait()
            content = parts.pop(0)
            return {"type": "http.request", "body": content, "more_body": bool(parts)}

        await app.application.asgi(scope, part, reply)

    media_type = {"/v1/devices": "application/json", ENROL: "application/pkcs10"}.get(target, "application/x-ndjson")
    headers = {"authorization": f"Bearer {ADMIN_KEY}", "content-type": media_type}
    return await asgi(slow, "POST", target, headers | {"fleetroll-organization": org}, b"")


def test_a_tenant_whose_bodies_do_not_end_has_its_share_and_others_have_theirs(app: App) -> None:
    async def work() -> None:
        resume = Resume()
        first = asyncio.create_task(send(app, "east", "first", resume))
        await until(lambda: resume.waiting == 1)
        for org in ("east", "east.below"):
            refused = await send(app, org, "second")
            assert (refused.status, refused.json()["code"]) == (503, "too_many_bodies")
            assert refused.headers["retry-after"] == "1"
            assert (
                await app.call("POST", "/v1/devices", {"ident": "whole"}, headers={"fleetroll-organization": org})
            ).status == 201
        assert [(await send(app, org, "second")).status for org in ("west", "self")] == [201, 201]
        resume.set()
        assert (await first).status == 201
        assert (await send(app, "east", "second")).status == 201

    app.runner.run(work())


def test_strangers_whose_bodies_do_not_end_take_nothing_of_a_tenants_share(app: App) -> None:
    app.request("POST", "/v1/dms", {"name": "line", "settings": {"admission": {"proof": "NO_AUTH"}}})

    async def work() -> None:
        resume = Resume()
        held = [asyncio.create_task(send(app, "self", "d", resume, ENROL)) for _ in range(15)]
        await until(lambda: resume.waiting + sum(one.done() for one in held) == 15)
        for org in ("self", "east", "west"):
            assert (await send(app, org, "late")).status == 201
        resume.set()
        assert {one.status for one in await asyncio.gather(*held)} == {400, 503}

    app.runner.run(work())


def test_the_root_has_what_there_is_and_no_more(app: App) -> None:
    async def work() -> None:
        first, resume = Resume(), Resume()
        held = [asyncio.create_task(send(app, "self", f"d{number}", resume)) for number in range(4)]
        ending = asyncio.create_task(send(app, "self", "first", first))
        await until(lambda: first.waiting + resume.waiting == 5)
        assert [(await send(app, org, "late")).status for org in ("self", "west")] == [503, 503]
        first.set()
        assert (await ending).status == 201
        held.append(asyncio.create_task(send(app, "self", "next", resume)))
        await until(lambda: resume.waiting == 5)
        assert (await send(app, "self", "late")).status == 503, "one that ends makes room for itself alone"
        resume.set()
        assert {one.status for one in await asyncio.gather(*held)} == {201}
        assert (await send(app, "west", "late")).status == 201

    app.runner.run(work())


def test_rows_that_do_not_end_take_of_the_same_share_and_give_it_back(app: App) -> None:
    """Only the row that has not ended, and no more of an import: the rows before it have been taken in."""
    load = "/v1/devices:import"

    async def work() -> None:
        resume = Resume()
        first = asyncio.create_task(send(app, "east", "first", resume, load))
        await until(lambda: resume.waiting == 1)
        refused = await send(app, "east.below", "second")
        assert (refused.status, refused.json()["code"]) == (503, "too_many_bodies")
        refused = await send(app, "east", "second", target=load)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert (await send(app, "west", "second", target=load)).lines()[0]["outcome"] == "created"
        resume.set()
        assert (await first).lines() == [{"outcome": "created", "ident": "first", "line": 1}]
        assert [(await send(app, "east", "second", target=load)).status for _ in range(3)] == [200] * 3

    app.runner.run(work())
