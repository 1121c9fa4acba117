"""The yardstick on PostgreSQL, in a process of its own: asyncpg with its own pool, running one statement in a loop.

No HTTP, no credential, no rule: what is left between it and the product is the product's own work.
"""

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import uvloop
from msgspec import Struct

from bench.fleet import ident
from fleetroll.store.postgres_syntax import numbered
from fleetroll.store.statements import SQL


class Loop(Struct, frozen=True):
    """What to run: `get` and `insert` are one statement, `create` the transaction that makes a device."""

    url: str
    what: str
    seconds: float
    connections: int
    pool: int
    devices: int
    first: int


_EVENT = {"type": "device.created", "subject": "device", "actor": "key:1", "request": "bench", "data": "{}"}


class _Bare:
    def __init__(self, loop: Loop, pool: Any, org: int) -> None:
        self._loop = loop
        self._pool = pool
        self._org = org
        self._number = loop.first
        self._chance = random.Random(loop.first)

    async def get(self) -> None:
        values = {"org": self._org, "ident_key": ident(self._chance.randrange(self._loop.devices))}
        await self._pool.fetchrow(*_bound("device_get", values))

    async def insert(self) -> None:
        await self._pool.fetchrow(*_bound("device_insert", self._device()))

    async def create(self) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            device = self._device()
            row = await connection.fetchrow(*_bound("device_insert", device))
            for tag in ("production", "eu-west"):
                link = {"org": self._org, "tag": tag, "folded": None, "device": row[0]}
                await connection.execute(*_bound("device_tag_insert", link))
            used = {"org": self._org, "noun": "devices", "count": 1, "quota": 1 << 40}
            await connection.fetchrow(*_bound("usage_add", used))
            event = {"org": self._org, "at": device["at"], "subject_id": row[0], "name": device["ident"], **_EVENT}
            await connection.execute(*_bound("timeline_insert", event))

    def _device(self) -> dict[str, Any]:
        self._number += 1
        name = f"bare-{self._number:09d}"
        return {
            "org": self._org,
            "ident": name,
            "ident_key": name,
            "search": f"{name}\nwarehouse 7 thermostat 0042",
            "name": "Warehouse 7 thermostat 0042",
            "kind": "thermostat",
            "metadata": '{"location":"Warehouse 7, row 3","firmware":"2.3.4","installed":"2025-03-04"}',
            "tags": '["production","eu-west"]',
            "owners": "[]",
            "metric_schema": "{}",
            "config": "{}",
            "extras": "{}",
            "status": "NO_IDENTITY",
            "at": time.time_ns() // 1000,
        }


def _bound(name: str, values: dict[str, Any]) -> list[Any]:
    """The text and its values, null where there are none."""
    text, names = numbered(SQL[name])
    return [text, *[values.get(one) for one in names]]


async def _run(loop: Loop) -> float:
    pool = await asyncpg.create_pool(loop.url, min_size=loop.pool, max_size=loop.pool)
    org = await pool.fetchval("SELECT min(id) FROM organization")
    work: Callable[[], Awaitable[None]] = getattr(_Bare(loop, pool, org), loop.what)
    done, counting = 0, False
    until = time.monotonic() + loop.seconds * 1.15

    async def repeat() -> None:
        nonlocal done
        while time.monotonic() < until:
            await work()
            done += counting

    tasks = [asyncio.ensure_future(repeat()) for _ in range(loop.connections)]
    await asyncio.sleep(loop.seconds * 0.15)
    counting = True
    await asyncio.gather(*tasks)
    await pool.close()
    return done / loop.seconds


if __name__ == "__main__":
    sys.stdout.write(str(uvloop.run(_run(msgspec.json.decode(sys.stdin.buffer.read(), type=Loop)))))
