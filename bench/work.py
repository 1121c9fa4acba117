"""The requests of each row, ready to be sent."""

import binascii
import contextlib
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import cbor2
import msgspec
from msgspec import Struct

from bench.fleet import CUSTOMERS, DECOMMISSIONED, ident
from bench.load import Plan
from bench.servers import AUTHORIZATION, KEY, Server

MATCHING = 'tags:"production" AND status = "NO_IDENTITY"'
_SPREAD = 20_000
_PAGES = 40
_SPEAKERS = 2_000
_PROJECT = "/api/v0/organizations/default/projects/default"
_FINDS_RARE, _FINDS_COMMON, _FINDS_NOTHING = "rare", "common", "absent"


class Work(Struct, frozen=True):
    """Requests that are repeated in a circle or, if `numbered`, made from one template; see `load.Plan`."""

    requests: list[bytes]
    status: int = 200
    numbered: bool = False
    span: int = 1

    def plan(self, port: int, seconds: float, connections: int, first: int) -> Plan:
        return Plan(port, self.requests, self.status, seconds, connections, self.numbered, first, self.span)

    def example(self, number: int) -> bytes:
        first = self.requests[0]
        return first % {b"number": number, b"index": number % self.span} if self.numbered else first


def request(method: str, target: str, body: bytes | None = None, *, credential: str = "authorization: Bearer") -> bytes:
    """One request. A body may hold numbers to be filled in, as they come with nine digits."""
    head = f"{method} {target} HTTP/1.1\r\nhost: bench\r\n{credential} {KEY}\r\n".encode()
    if body is None:
        return head + b"\r\n"
    size = len(body % {b"number": 0, b"index": 0})
    kind = b"content-type: application/json\r\n" if body else b""
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (head, kind, size, body)


def decommissions(devices: int) -> Work:
    targets = [f"/v1/devices/{ident(number)}:decommission" for number in range(0, devices, DECOMMISSIONED)]
    return Work([request("POST", target, b"") for target in targets])


def gets(server: Server, devices: int) -> Work:
    chance = random.Random(1)
    return Work([request("GET", f"/v1/devices/{ident(chance.randrange(devices))}") for _ in range(_SPREAD)])


def creates(server: Server, devices: int) -> Work:
    body = (
        b'{"ident":"SN%(number)09d","name":"Warehouse 7 thermostat 0042","kind":"thermostat","metadata":{"location":'
        b'"Warehouse 7, row 3","firmware":"2.3.4","installed":"2025-03-04"},"tags":["production","eu-west"]}'
    )
    return Work([request("POST", "/v1/devices", body)], 201, numbered=True)


def upserts(server: Server, devices: int) -> Work:
    body = (
        b'{"identifier":"SN%(index)09d","type":"thermostat","properties":{"location":"Warehouse 7, row 3",'
        b'"firmware":"2.%(number)09d","installed":"2025-03-04"}}'
    )
    return Work(
        [request("POST", "/api/ext-v1/device", body, credential="x-api-key:")], 200, numbered=True, span=devices
    )


def memfault_gets(server: Server, devices: int) -> Work:
    chance = random.Random(6)
    return Work([request("GET", f"{_PROJECT}/devices/{ident(chance.randrange(devices))}") for _ in range(_SPREAD)])


def memfault_listings(server: Server, devices: int) -> Work:
    pages = range(1, min(_PAGES, max(1, devices // 50)) + 1)
    return Work([request("GET", f"{_PROJECT}/devices?per_page=50&page={page}&sort=-last_seen") for page in pages])


def check_ins(server: Server, devices: int) -> Work:
    """One event of a device that is known, with nothing new in it after the first time."""
    key = server.get(f"{_PROJECT}/api_key")["data"]["api_key"]
    chance = random.Random(7)
    message = b"\x02" + cbor2.dumps({2: 1, 3: 1, 6: "evt", 9: "1.0.0", 10: "main"})
    chunk = b"\x08" + message + binascii.crc_hqx(message, 0).to_bytes(2, "little")
    head = "POST /api/v0/chunks/{} HTTP/1.1\r\nhost: bench\r\nmemfault-project-key: {}\r\n"
    kind = "content-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n"
    serials = [ident(chance.randrange(1, devices)) for _ in range(_SPEAKERS)]
    return Work([(head.format(serial, key) + kind.format(len(chunk))).encode() + chunk for serial in serials], 202)


def listings(server: Server, devices: int) -> Work:
    """Pages of several tags, frequent and rare, of the devices in service: nearly all have that status."""
    tags = ("production", "eu-west", "ap-south", "canary", f"customer-{CUSTOMERS // 2:03d}")
    return _listings(server, [f'tags:"{tag}" AND status = "NO_IDENTITY"' for tag in tags])


def selective(server: Server, devices: int) -> Work:
    """The same for the devices out of service: few have that status, many the tag."""
    return _listings(server, [f'tags:"{tag}" AND status = "DECOMMISSIONED"' for tag in ("production", "eu-west")])


def _listings(server: Server, filters: list[str]) -> Work:
    targets = []
    for wanted in filters:
        cursors = ["", *(cursor for cursor, _ in zip(walk(server, wanted, 50), range(_PAGES), strict=False))]
        targets += [_target(wanted, cursor) for cursor in cursors]
    random.Random(2).shuffle(targets)
    return Work([request("GET", target) for target in targets])


def _target(wanted: str, cursor: str = "", limit: int = 50) -> str:
    place = f"&cursor={cursor}" if cursor else ""
    return f"/v1/devices?limit={limit}&filter={quote(wanted)}{place}"


def pins(server: Server, devices: int) -> Work:
    """One value of one pin, of many devices, as each of them sends it."""
    chance = random.Random(5)
    idents = [ident(chance.randrange(1, devices)) for _ in range(_SPEAKERS)]
    made = [
        request("GET", f"/external/api/update?token={token}&v1={chance.random() * 100:.2f}")
        for token in tokens(server, idents)
    ]
    return Work(made)


def tokens(server: Server, idents: list[str], *, create: bool = False) -> Iterator[str]:
    """The tokens of devices that are in service, which are made first if `create`."""
    with contextlib.closing(server.connect()) as connection:
        for name in idents:
            if create:
                connection.request(
                    "PUT", f"/v1/devices/{name}", b"{}", AUTHORIZATION | {"content-type": "application/json"}
                )
                connection.getresponse().read()
            connection.request("GET", f"/v1/devices/{name}/credentials", headers=AUTHORIZATION)
            shown = msgspec.json.decode(connection.getresponse().read())
            if "device_token" in shown:
                yield shown["device_token"]


def walk(server: Server, wanted: str, limit: int, cursor: str = "") -> Iterator[str]:
    """The cursors of a list, page after page."""
    while True:
        page: dict[str, Any] = server.get(_target(wanted, cursor, limit))
        if page["next_cursor"] is None:
            return
        cursor = page["next_cursor"]
        yield cursor


def deep_pages(server: Server, start: str) -> Work:
    """Pages that follow one place in a long list."""
    cursors = [start, *(cursor for cursor, _ in zip(walk(server, MATCHING, 50, start), range(_PAGES), strict=False))]
    return Work([request("GET", _target(MATCHING, cursor)) for cursor in cursors])


def needles(devices: int) -> dict[str, list[str]]:
    """Search texts by what they find."""
    chance = random.Random(3)
    rare = [ident(chance.randrange(devices))[-7:] for _ in range(50)]
    rare += [f"pot {chance.randrange(1, 40)} thermostat {chance.randrange(1000):03d}" for _ in range(50)]
    absent = [f"{chance.randrange(10**8, 10**9)}" for _ in range(60)] + ["flux capacitor", "zeppelin"] * 20
    common = ["thermostat", "warehouse", "sensor", "gate", "Office 12", "sn000"] * 16
    return {_FINDS_RARE: rare, _FINDS_COMMON: common, _FINDS_NOTHING: absent}


# The two hard cases: too short for the index; and absent though each of its parts is in very many names.
HARD_NEEDLES = {"two letters, absent": ["qx"], "absent, made of frequent parts": ["sensor sensor"]}


def searches(texts: list[str]) -> Work:
    shuffled = random.Random(4).sample(texts, len(texts))
    return Work([request("GET", f"/v1/devices?q={quote(text)}") for text in shuffled])
