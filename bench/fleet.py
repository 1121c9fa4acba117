"""The devices that are measured on, and how they come into a server and out of it."""

import contextlib
import http.client
import random
import threading
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.servers import AUTHORIZATION, Server, Watcher

DECOMMISSIONED = 25  # one device in so many
_KINDS = ("thermostat", "door sensor", "leak sensor", "gateway", "tracker", "camera", "meter", "controller")
_KIND_WEIGHTS = (30, 20, 15, 10, 10, 6, 5, 4)
_PLACES = ("Warehouse", "Office", "Store", "Depot", "Plant")
_STAGES = (("production", 70), ("staging", 20), ("canary", 10))
_REGIONS = (("eu-west", 40), ("us-east", 30), ("ap-south", 20), ("sa-east", 10))
CUSTOMERS = 200
_CHUNK = 1 << 18


class Bulk(Struct, frozen=True):
    """A bulk transfer: how many devices, how fast, and the memory that the server took meanwhile."""

    devices: int
    seconds: float
    growth: float
    peak: float

    @property
    def per_second(self) -> float:
        return self.devices / self.seconds


def ident(number: int) -> str:
    return f"SN{number:09d}"


def write(file: Path, count: int) -> None:
    """NDJSON of `count` devices, the same every time."""
    chance = random.Random(count)
    encode = msgspec.json.Encoder().encode_lines
    with file.open("wb") as out:
        for start in range(0, count, 10_000):
            out.write(encode([_device(chance, number) for number in range(start, min(count, start + 10_000))]))


def _device(chance: random.Random, number: int) -> dict[str, object]:
    kind = chance.choices(_KINDS, _KIND_WEIGHTS)[0]
    place = f"{chance.choice(_PLACES)} {chance.randrange(1, 40)}"
    return {
        "ident": ident(number),
        "name": f"{place} {kind} {chance.randrange(10_000):04d}",
        "kind": kind.replace(" ", "-"),
        "metadata": {
            "location": f"{place}, row {chance.randrange(1, 30)}",
            "firmware": f"2.{chance.randrange(8)}.{chance.randrange(20)}",
            "installed": f"2025-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}",
        },
        "tags": _tags(chance),
    }


def _tags(chance: random.Random) -> list[str]:
    pick = [chance.choices(*zip(*choices, strict=True))[0] for choices in (_STAGES, _REGIONS)]
    return [*pick, f"customer-{chance.randrange(CUSTOMERS):03d}"] if chance.random() < 0.5 else pick


def load(server: Server, file: Path, count: int) -> Bulk:
    """Import a file. The reply is read while the request is still being sent, as the server sends it."""
    with contextlib.closing(server.connect()) as connection, Watcher(server) as watcher, file.open("rb") as rows:
        began = time.perf_counter()
        connection.putrequest("POST", "/v1/devices:import")
        for name, value in AUTHORIZATION.items():
            connection.putheader(name, value)
        connection.putheader("content-type", "application/x-ndjson")
        connection.putheader("content-length", str(file.stat().st_size))
        connection.endheaders()
        sending = threading.Thread(target=connection.sock.sendfile, args=(rows,), daemon=True)
        sending.start()
        reply = connection.getresponse()
        created = _count(reply, b'"created"')
        took = time.perf_counter() - began
        sending.join()
    if created != count:
        raise RuntimeError(f"{created} of {count} devices were imported")
    return Bulk(created, took, watcher.growth, max(watcher.samples, default=server.resident))


def export(server: Server, count: int) -> Bulk:
    with contextlib.closing(server.connect()) as connection, Watcher(server) as watcher:
        began = time.perf_counter()
        connection.request("GET", "/v1/devices:export", headers=AUTHORIZATION)
        found = _count(connection.getresponse(), b"\n")
        took = time.perf_counter() - began
    if found != count:
        raise RuntimeError(f"{found} of {count} devices were exported")
    return Bulk(found, took, watcher.growth, max(watcher.samples, default=server.resident))


def _count(reply: http.client.HTTPResponse, word: bytes) -> int:
    """How often a word comes in a reply; it may be cut by the pieces that the reply arrives in."""
    found, rest = 0, b""
    while part := reply.read(_CHUNK):
        text = rest + part
        found += text.count(word)
        rest = text[len(text) - len(word) + 1 :] if len(word) > 1 else b""
    return found
