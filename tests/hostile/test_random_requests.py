"""Requests that nobody wrote: the samples of every route, changed in several places by a seeded hand.

Whatever comes, the reply is no 5xx but for what needs the broker that is not there, a refusal is in the envelope of a
dialect and says nothing of our insides, and the server goes on.
"""

import asyncio
import base64
import binascii
import json
import os
import random
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import cbor2
import pytest

from fleetroll.application import DIALECTS
from tests.support.effort import often
from tests.support.raw import NATIVE, Raw, assert_refused, deliver, send
from tests.support.samples import DEVICE, World
from tests.support.state import Rows

MUTANTS = often(20_000)
SEED = int(os.environ.get("FLEETROLL_SEED", "1"))
AT_ONCE = 64
VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, -0.0, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**400, "", " ", ".", "..", "a/b",
    "a\nb", "\u202e", "\ud800", "x" * 300, "%00", "null", "*", "{}", [], {}, [[]], {"": {}}, [None] * 50,
    {"a": {"b": {"c": [1]}}},
]  # fmt: skip
BYTES = [
    b"", b"\x00", b"\xff", b"%", b"%00", b"%2F", b"%ff", b"..", b"//", b"?", b"&", b"=", b"#", b";", b"{", b"]", b'"',
    b"\\", b"'--", b"\r\n", b"1e999", b"\xef\xbb\xbf", "é".encode(), b"A" * 5000,
]  # fmt: skip
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "QUERY", ""]
HEADERS = [
    b"authorization", b"content-type", b"content-encoding", b"if-match", b"if-none-match", b"idempotency-key",
    b"fleetroll-organization", b"x-request-id", b"last-event-id", b"accept", b"range", b"x-forwarded-for", b"origin",
]  # fmt: skip
# The key that all of this is sent with must survive it, and so must the template that the samples name by number.
SPARED = (b"/v1/keys/1", b"/v1/templates/", b"/organization/template")

NOT_THERE = {401, 403, 404}
EVENT = b"\x02" + cbor2.dumps({1: 1_700_000_000, 2: 2, 4: {1: 3}, 6: "evt", 9: "1.0.0", 10: "main", 11: b"\x01"})

Mutation = Callable[[random.Random, Raw], Raw]


def changed(request: Raw, **members: Any) -> Raw:
    return Raw(**{name: members.get(name, getattr(request, name)) for name in Raw.__struct_fields__})


def spoil(chance: random.Random, text: bytes) -> bytes:
    """Bytes with one place cut, doubled, replaced or flipped."""
    start = chance.randrange(len(text) + 1)
    end = min(len(text), start + chance.choice([0, 1, 1, 2, 5, 20]))
    part = chance.choice([b"", text[start:end] * 2, chance.choice(BYTES), bytes([chance.randrange(256)])])
    return text[:start] + part + text[end:]


def other_method(chance: random.Random, request: Raw) -> Raw:
    return changed(request, method=chance.choice(METHODS))


def other_target(chance: random.Random, request: Raw) -> Raw:
    # Spaces and controls end a request line, so the HTTP server lets none of them through.
    target = bytes(byte for byte in spoil(chance, request.target) if 0x20 < byte < 0x7F)
    return changed(request, target=target if target.startswith(b"/") else b"/" + target)


def other_headers(chance: random.Random, request: Raw) -> Raw:
    fields = list(request.headers)
    if fields and chance.random() < 0.5:
        place = chance.randrange(len(fields))
        name, value = fields[place]
        fields[place : place + 1] = chance.choice([[], [(name, value)] * 2, [(name, spoil(chance, value))]])
    else:
        fields.append((chance.choice(HEADERS), chance.choice([b"*", b'"1.1"', b"text/csv", b"gzip", *BYTES])))
    return changed(request, headers=tuple(fields))


def other_bytes(chance: random.Random, request: Raw) -> Raw:
    return changed(request, parts=(spoil(chance, request.body),))


def other_document(chance: random.Random, request: Raw) -> Raw:
    try:
        document = json.loads(request.body)
    except ValueError:
        return other_bytes(chance, request)
    return changed(request, parts=(json.dumps(grafted(chance, document)).encode(),))


def grafted(chance: random.Random, value: Any) -> Any:
    """The document with one node replaced, doubled, moved or left out."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        name = chance.choice(list(value))
        action = chance.randrange(4)
        if action == 0:
            return {key: member for key, member in value.items() if key != name}
        if action == 1:
            return {**value, chance.choice(["", "id", "__class__", "x" * 300, name.upper()]): value[name]}
        return {**value, name: grafted(chance, value[name])}
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        return [*value[:place], grafted(chance, value[place]), *value[place + chance.randrange(2) :]]
    return chance.choice([*VALUES, [value], {"value": value}])


MUTATIONS: list[Mutation] = [other_method, other_target, other_target, other_headers, other_bytes, other_document]


def mutant(chance: random.Random, request: Raw) -> Raw:
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        request = chance.choice(MUTATIONS)(chance, request)
    return request


@pytest.mark.long
def test_whatever_comes_is_answered_in_form_and_the_server_goes_on(world: World) -> None:
    chance = random.Random(SEED)
    for number in range(0, MUTANTS, AT_ONCE):
        if number % (AT_ONCE * 50) == 0:
            world.prepare()
            samples = world.samples()
        requests = [mutant(chance, chance.choice(samples).raw()) for _ in range(AT_ONCE)]
        world.app.runner.run(
            check_all(world, [one for one in requests if not any(part in one.target for part in SPARED)])
        )
    world.prepare()
    assert world.app.request("GET", "/v1/devices/sample").status == 200


def framed(message: bytes) -> bytes:
    """A chunk with all of a message, and a checksum that is right."""
    return b"\x08" + message + binascii.crc_hqx(message, 0).to_bytes(2, "little")


def from_device(chance: random.Random, requests: list[Raw]) -> Raw:
    """One of the requests, of which the first has the event in a chunk, changed within its frame or anywhere."""
    if chance.random() < 0.2:
        return changed(requests[0], parts=(framed(spoil(chance, spoil(chance, EVENT))),))
    return mutant(chance, chance.choice(requests))


def of_devices(world: World) -> list[Raw]:
    """What devices send by themselves, which no key of an application is good for."""
    encoded = base64.b64encode(b":" + world.app.key.encode()).decode()
    path = "/api/v0/organizations/default/projects/default/api_key"
    shown = world.app.request("GET", path, key=None, headers={"authorization": f"Basic {encoded}"}).json()
    project = (b"memfault-project-key", shown["data"]["api_key"].encode())
    token = world.app.request("GET", f"/v1/devices/{DEVICE}/credentials").json()["device_token"].encode()
    as_json, as_parts = (b"content-type", b"application/json"), (b"content-type", b"multipart/mixed; boundary=x")
    chunk = framed(EVENT)
    parts = b"".join(b"--x\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(one), one) for one in (chunk, chunk[:20]))
    event = {
        "type": "heartbeat",
        "device_serial": "S1",
        "hardware_version": "evt",
        "software_version": "1",
        "reason": 3,
    }
    asked = b"?device_serial=S1&hardware_version=evt&software_type=main&current_version=1"
    query = b"?token=" + token
    noted = b'[{"string_key": "a", "value": 1.5}]'
    return [
        Raw("POST", b"/api/v0/chunks/S1", (project, (b"content-type", b"application/octet-stream")), (chunk,)),
        Raw("POST", b"/api/v0/chunks/S1", (project, as_parts), (parts + b"--x--\r\n",)),
        Raw("POST", b"/api/v0/events", (project, as_json), (json.dumps([event]).encode(),)),
        Raw("POST", b"/api/v0/device-config", (project, as_json), (json.dumps({"device": event}).encode(),)),
        Raw("GET", b"/api/v0/releases/latest" + asked, (project,)),
        Raw("PATCH", b"/api/v0/attributes?device_serial=S1", (project, as_json), (noted,)),
        Raw("GET", b"/external/api/batch/update" + query + b"&v1=1&v1=2"),
        Raw("POST", b"/external/api/batch/update" + query + b"&pin=v1", (as_json,), (b"[[1700000000000,1.5]]",)),
        Raw("GET", b"/external/api/data/get" + query + b"&pin=v1&period=DAY&granularityType=HOURLY&sourceType=AVG"),
        Raw("GET", b"/external/api/device/meta/update" + query + b"&metaFieldId=1&value=x"),
    ]


def test_whatever_devices_send_is_answered_in_form_and_the_server_goes_on(world: World) -> None:
    chance = random.Random(SEED)
    world.prepare()
    requests = of_devices(world)
    assert not {send(world.app, request).status for request in requests} & NOT_THERE
    for _ in range(0, MUTANTS // 4, AT_ONCE):
        world.app.runner.run(check_all(world, [from_device(chance, requests) for _ in range(AT_ONCE)]))
    assert not {send(world.app, request).status for request in requests} & NOT_THERE


@pytest.mark.long
def test_what_is_refused_changes_nothing(world: World) -> None:
    """One after the other, so that what changes is known to be the last one's doing."""
    chance = random.Random(f"alone {SEED}")
    for number in range(MUTANTS // 10):
        if number % 2_000 == 0:
            world.prepare()
            devices = of_devices(world)
            samples = world.samples()
        by_device = chance.random() < 0.2
        request = from_device(chance, devices) if by_device else mutant(chance, chance.choice(samples).raw())
        if any(part in request.target for part in SPARED):
            continue
        before, begun = kept(world), time.process_time()
        response = send(world.app, request)
        assert time.process_time() - begun < 1, request
        if 400 <= response.status < 500:
            assert kept(world) == before, (request, response)


def kept(world: World) -> Rows:
    """All that there is but the answers to requests that may be sent again, which a refusal can be."""
    return {table: rows for table, rows in world.state.all().items() if table != "replay"}


async def check_all(world: World, requests: list[Raw]) -> None:
    """All at once, so that their writes share commits."""
    await asyncio.gather(*(check(world, request) for request in requests))


async def check(world: World, request: Raw) -> None:
    try:
        response = await deliver(world.app, request)
    except Exception as problem:
        raise AssertionError(f"{request}: {problem!r}") from problem
    assert response.status < 500 or response.status == 503, (request, response)
    if 400 <= response.status < 500 and request.method != "HEAD":
        assert_refused(response, envelope_of(request), loud=True)


def envelope_of(request: Raw) -> Any:
    path = unquote(request.target.partition(b"?")[0].decode())
    return next((dialect for dialect in DIALECTS if path.startswith(dialect.prefixes)), NATIVE)
