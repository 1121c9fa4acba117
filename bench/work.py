"""The requests of each row, ready to be sent."""

import binascii
import contextlib
import random
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import cbor2
from msgspec import Struct

from bench.fleet import CUSTOMERS, DECOMMISSIONED, ident
from bench.load import Plan
from bench.servers import KEY, Server, ask

MATCHING = 'tags:"production" AND status = "NO_IDENTITY"'
SEEN_DAYS = 30
RELEASES = ("2.4.0", "2.3.1", "2.3.0", "2.2.0", "2.1.0", *(f"1.{number}.0" for number in range(10)))
RELEASES_WEIGHTS = (35, 25, 15, 10, 5, *[1] * 10)
_SPREAD = 20_000
_PAGES = 40
_SPEAKERS = 2_000
_ORGANIZATION = "/api/v1/organization"
_MANAGER = "/api/devmanager/v1"
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
    """One request. A body may have places for numbers, which are filled in with nine digits."""
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
    """An update as the vendor's page has it, without the type: devices report what changes, and stay what they are."""
    body = (
        b'{"identifier":"SN%(index)09d","properties":{"location":"Warehouse 7, row 3",'
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


def new_listings(server: Server, devices: int) -> Work:
    """The first page of a filter that nobody has asked before; what else it asks is true of all devices."""
    wanted = f'{MATCHING} AND name != "n%s"'
    target = _target(wanted).replace("%", "%%").replace("%%25s", "%(number)09d")
    return Work([request("GET", target)], numbered=True)


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
                ask(connection, "PUT", f"/v1/devices/{name}", {})
            shown = ask(connection, "GET", f"/v1/devices/{name}/credentials")
            if "device_token" in shown:
                yield shown["device_token"]


def devices_pages(server: Server, devices: int) -> Work:
    pages = range(min(_PAGES, max(1, devices // 50)))
    return Work([request("GET", f"{_ORGANIZATION}/devices?size=50&page={page}") for page in pages])


def patches(server: Server, devices: int) -> Work:
    """One member of the metadata of an existing device, another value each time."""
    body = b'{"patches":[{"op":"replace","path":"/firmware","value":"2.%(number)09d"}]}'
    target = f"{_MANAGER}/devices/SN%(index)09d/metadata"
    return Work([request("PATCH", target, body)], numbered=True, span=devices)


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


def searches(server: Server, devices: int) -> dict[str, Work]:
    """By what they find."""
    return _searches("/v1/devices?q=", {**needles(devices), **HARD_NEEDLES})


def blynk_searches(server: Server, devices: int) -> dict[str, Work]:
    """The same as Blynk's: each answer also says how many devices there are."""
    return _searches(f"{_ORGANIZATION}/search/devices?query=", needles(devices))


def _searches(target: str, texts: dict[str, list[str]]) -> dict[str, Work]:
    return {name: Work([request("GET", target + quote(text)) for text in some]) for name, some in texts.items()}


def lamassu_lists(server: Server, devices: int) -> dict[str, Work]:
    """Pages of 25 by the status of most devices, of some, of few and of none, with a frequent and a rare tag."""
    by = {"of most": "RENEWAL_WINDOW", "of some": "ABOUT_TO_EXPIRE", "of few": "EXPIRED", "of none": "REVOKED"}
    return {
        name: Work([page for tag in ("production", "canary") for page in _bookmarked(server, status, tag)])
        for name, status in by.items()
    }


def _bookmarked(server: Server, status: str, tag: str) -> Iterator[bytes]:
    """The first pages of a list."""
    place = f"filter={quote(f'status[eq]{status}')}&filter={quote(f'tags[contains]{tag}')}"
    for _ in range(_PAGES):
        target = f"{_MANAGER}/devices?page_size=25&{place}"
        yield request("GET", target)
        following = server.get(target)["next"]
        if not following:
            return
        place = f"bookmark={quote(following)}"


def memfault_lists(server: Server, devices: int) -> dict[str, Work]:
    """Pages of 50 by repeated keys, by a range of `last_seen`, by release, and by all of them."""
    chance = random.Random(8)
    keys = "&hardware_version=dvt&hardware_version=evt&cohort=beta&cohort=canary"
    asked = {
        "repeated keys": [f"{keys}&page={page}" for page in range(1, _PAGES + 1)],
        "an hour of last_seen": [f"{_seen(chance, 1)}&sort=-last_seen" for _ in range(_PAGES)],
        "a day of last_seen": [f"{_seen(chance, 24)}&sort=-last_seen" for _ in range(_PAGES)],
        "a release that few have": [f"&release={RELEASES[-1]}&page={page}" for page in range(1, _PAGES + 1)],
        "a release that many have": [f"&release={RELEASES[0]}&page={page}" for page in range(1, _PAGES + 1)],
        "all of them": [f"{keys}{_seen(chance, 24)}&release={RELEASES[0]}" for _ in range(_PAGES)],
    }
    target = f"{_PROJECT}/devices?per_page=50"
    return {name: Work([request("GET", target + one) for one in some]) for name, some in asked.items()}


def _seen(chance: random.Random, hours: int) -> str:
    """So many hours out of the days in which the devices were last seen."""
    since = time.time() - 3600 * (hours + chance.randrange((SEEN_DAYS - 1) * 24))
    bounds = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (since, since + hours * 3600))
    return "&last_seen_since={}&last_seen_until={}".format(*map(quote, bounds))


def mixed(works: list[Work]) -> Work:
    requests = [one for work in works for one in work.requests]
    return Work(random.Random(4).sample(requests, len(requests)))
