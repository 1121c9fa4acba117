"""Who may not connect any more is cut off, however that came about, and stays out until it may again."""

import asyncio
import time
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client

from fleetroll.bus.port import Minted
from fleetroll.bus.settings import Files
from tests.support.broker import client
from tests.support.nats_sockets import LEFT
from tests.support.relay import Vendor, run, vendor
from tests.support.waiting import PATIENCE, eventually, until

pytestmark = LEFT


class Connected:
    """A connection with a credential, and whether it was ended."""

    def __init__(self, url: str, made: dict[str, str]) -> None:
        self._url = url
        self._minted = Minted("", "", made["api_key"], made["secret"])
        self._ended = asyncio.Event()
        self._client: Client

    async def open(self) -> "Connected":
        async def note() -> None:
            self._ended.set()

        self._ended.clear()
        self._client = await client(self._url, self._minted, closed_cb=note)
        return self

    async def comes_back(self) -> None:
        """It tries again for a while, as clients do: the broker is told in the background if it is slow."""
        await eventually(self.open, nats.errors.Error)

    async def is_there(self) -> None:
        await self._client.flush()

    async def is_cut_off(self, *, at_once: bool = True) -> None:
        """No new connection is let in from the reply on, or before long; the open one ends soon."""
        if at_once:
            assert await self._is_refused()
        await eventually(self._is_refused)
        await asyncio.wait_for(self._ended.wait(), PATIENCE)

    async def _is_refused(self) -> bool:
        try:
            await (await client(self._url, self._minted)).close()
        except nats.errors.Error:
            return True
        return False

    async def close(self) -> None:
        await self._client.close()


async def settled(served: Vendor, method: str, path: str, body: Any = None) -> bool:
    """Change something. Returns whether the broker had heard of it before the reply, which waits two seconds for it."""
    began = time.monotonic()
    await served.ask(method, path, body)
    return time.monotonic() - began < 2


async def device(served: Vendor, url: str, ident: str, within: str = "") -> Connected:
    await served.ask("POST", "/v1/devices", {"ident": ident}, within)
    made = await served.ask("POST", f"/v1/devices/{ident}/credentials", {}, within)
    return await Connected(url, made["nats"]).open()


async def app(served: Vendor, url: str, within: str = "") -> tuple[Connected, int]:
    made = await served.ask("POST", "/v1/keys", {"name": "app", "role": "operator", "kind": "nats"}, within)
    return await Connected(url, made["nats"]).open(), made["id"]


WAYS: dict[str, tuple[str, str, Any]] = {
    "deleted": ("DELETE", "/v1/devices/gone", None),
    "rotated": ("POST", "/v1/devices/gone:rotate-credentials", None),
    "decommissioned": ("POST", "/v1/devices/gone:decommission", None),
    "moved": ("POST", "/v1/devices/gone:transfer", {"organization": "other"}),
    "deleted with others": ("POST", "/v1/devices:delete", {"filter": 'ident = "gone"'}),
    "deleted as Blynk does": ("DELETE", "/api/v1/organization/device?deviceId={id}", None),
    "handed over as Blynk does": (
        "POST",
        "/api/v1/organization/device/transfer",
        {"deviceId": "{id}", "orgId": "{other}"},
    ),
    "deleted as Lamassu does": ("DELETE", "/api/devmanager/v1/devices/gone", None),
    "decommissioned as Lamassu does": ("DELETE", "/api/devmanager/v1/devices/gone/decommission", None),
}


async def named(served: Vendor, row: tuple[str, str, Any]) -> tuple[str, str, Any]:
    """A row with the numbers of the device and of the other organization in it."""
    method, path, body = row
    numbers = {
        "{id}": (await served.ask("GET", "/v1/devices/gone"))["id"],
        "{other}": (await served.ask("GET", "/v1/organizations/other"))["id"],
    }
    filled = body and {name: numbers.get(value, value) for name, value in body.items()}
    return method, path.replace("{id}", str(numbers["{id}"])), filled


def test_a_device_that_may_not_connect_any_more_is_cut_off(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            url = await served.point()
            await served.ask("POST", "/v1/organizations", {"slug": "other"})
            stays = await device(served, url, "stays")
            for row in WAYS.values():
                gone = await device(served, url, "gone")
                await gone.is_cut_off(at_once=await settled(served, *await named(served, row)))
                await served.ask("POST", "/v1/devices:delete", {"filter": 'ident = "gone"'})
                await served.ask("POST", "/v1/devices:delete", {"filter": 'ident = "gone"'}, "other")
                await stays.is_there()
            await stays.close()

    run(story())


def test_applications_are_told_that_a_device_of_theirs_is_gone_and_no_others_are(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            url = await served.point()
            await served.ask("POST", "/v1/organizations", {"slug": "other"})
            apps, heard = [await served.app(), await served.app(org="other")], asyncio.Queue[tuple[int, str, str]]()
            for number, one in enumerate(apps):
                await one.connection.presence(
                    lambda told, number=number: heard.put_nowait((number, told["device_ident"], told["event"]))
                )
            for way in ("rotated", "moved", "deleted"):
                await device(served, url, "gone")
                assert await asyncio.wait_for(heard.get(), PATIENCE) == (0, "gone", "connected"), way
                await served.ask(*WAYS[way])
                assert await asyncio.wait_for(heard.get(), PATIENCE) == (0, "gone", "disconnected"), way
                for within in ("", "other"):
                    await served.ask("POST", "/v1/devices:delete", {"filter": 'ident = "gone"'}, within)
            await device(served, url, "stays", "other")
            assert await asyncio.wait_for(heard.get(), PATIENCE) == (1, "stays", "connected")
            for one in apps:
                await one.disconnect()

    run(story())


@pytest.mark.parametrize("way", ["rotated", "decommissioned", "moved", "revoked"])
def test_a_device_that_was_cut_off_is_not_connected(tmp_path: Path, way: str) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            url = await served.point()
            await served.ask("POST", "/v1/organizations", {"slug": "other"})
            await device(served, url, "gone")
            await served.until(lambda found: found["connected"], "GET", "/v1/devices/gone")
            (credential,) = (await served.ask("GET", "/v1/devices/gone/credentials"))["broker"]
            revoked = ("DELETE", f"/v1/devices/gone/credentials/{credential['id']}", None)
            await served.ask(*WAYS.get(way, revoked))
            within = "other" if way == "moved" else ""
            await served.until(lambda found: not found["connected"], "GET", "/v1/devices/gone", within)

    run(story())


def test_an_application_whose_key_is_revoked_is_cut_off(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            url = await served.point()
            (gone, number), (stays, _) = await app(served, url), await app(served, url)
            await gone.is_cut_off(at_once=await settled(served, "DELETE", f"/v1/keys/{number}"))
            await stays.is_there()
            await stays.close()

    run(story())


def test_a_disabled_organization_and_all_below_it_are_cut_off_until_it_is_enabled(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            url = await served.point()
            await served.ask("POST", "/v1/organizations", {"slug": "child"})
            await served.ask("POST", "/v1/organizations", {"slug": "grandchild"}, "child")
            stays = await device(served, url, "stays")
            cut = [await device(served, url, "one", within) for within in ("child", "child.grandchild")]
            cut += [(await app(served, url, within))[0] for within in ("child", "child.grandchild")]
            at_once = await settled(served, "PATCH", "/v1/organizations/child", {"disabled": True})
            for one in cut:
                await one.is_cut_off(at_once=at_once)
            await stays.is_there()
            await served.ask("PATCH", "/v1/organizations/child", {"disabled": False})
            for one in cut:
                await one.comes_back()
                await one.is_there()
                await one.close()
            await stays.close()

    run(story())


def test_a_disabled_organization_stays_out_when_the_broker_has_lost_everything(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            url = await served.point()
            await served.ask("POST", "/v1/organizations", {"slug": "child"})
            cut = [await device(served, url, "one", "child"), (await app(served, url, "child"))[0]]
            await served.ask("PATCH", "/v1/organizations/child", {"disabled": True})
        for account in (tmp_path / "data" / "nats" / "accounts").iterdir():
            account.unlink()
        async with vendor(tmp_path / "data", broker=url.removeprefix("nats://")) as served:
            await served.point()
            for one in cut:
                await one.is_cut_off()

    run(story())


def test_the_applications_of_a_deleted_organization_are_cut_off(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            url = await served.point()
            await served.ask("POST", "/v1/organizations", {"slug": "child"})
            gone, _ = await app(served, url, "child")
            await gone.is_cut_off(at_once=await settled(served, "DELETE", "/v1/organizations/child"))

    run(story())


def test_the_broker_keeps_nothing_of_a_deleted_organization(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            await served.point()
            kept = Files(tmp_path / "data" / "nats")
            before = known(kept)
            await served.ask("POST", "/v1/organizations", {"slug": "child"})
            for scopes in ((), ("devices:read",)):
                await served.key("operator", "child", scopes)
            await until(lambda: known(kept)[1] - before[1])
            await served.ask("DELETE", "/v1/organizations/child")
            await until(lambda: known(kept) == before)

    run(story())


def known(kept: Files) -> tuple[set[str], set[str]]:
    """Which accounts the broker has, and which of them have streams."""
    return names(kept.accounts), names(kept.streams / "jetstream")


def names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}
