"""A sixth dialect in one short file that touches no other: the executable proof that a dialect is data.

Pebble is nobody's API. It calls devices stones, their tags veins and their number a mark, pages by `from`, and
reports failures as an `oops`. Everything else it has from the kernel and the service, over the same store as the rest.
"""

import asyncio
from pathlib import Path

from msgspec import UNSET, Struct, UnsetType

from fleetroll.application import DIALECTS
from fleetroll.core import documents, ids, limits, names
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.model import Device, DeviceChange, NewDevice
from fleetroll.core.query import Page, Sort
from fleetroll.service import devices
from fleetroll.wire.dialect import API_KEY_HEADER, Dialect, Envelope, Parameter, Reply, Route
from fleetroll.wire.log import AccessLog
from fleetroll.wire.metrics import Metrics
from fleetroll.wire.openapi import describe
from fleetroll.wire.request import Request
from fleetroll.wire.serve import Kernel
from fleetroll.wire.settings import Settings
from tests.support.app import App, Response, asgi, running


class Stone(Struct):
    mark: str
    serial: str
    veins: tuple[str, ...]
    weight: int | None


class NewStone(Struct, forbid_unknown_fields=True):
    serial: str
    veins: list[str] = []
    weight: int | UnsetType = UNSET


class Pile(Struct):
    stones: list[Stone]
    next: str | None


class Oops(Struct):
    oops: str
    why: str


def stone(device: Device, request: Request | None = None) -> Stone:
    weight = documents.load(device.metadata).get("weight")
    return Stone(ids.prefixed("st_", device.id), device.ident, device.tags, weight)


def new_device(request: Request) -> NewDevice:
    body = request.body
    metadata = documents.EMPTY if body.weight is UNSET else documents.of({"weight": body.weight}, "weight")
    veins = names.unique([names.tag(vein, "veins") for vein in body.veins], limits.MAX_TAGS, "veins")
    return NewDevice(names.ident(body.serial, "serial"), metadata=metadata, tags=veins)


def put_device(request: Request) -> devices.Put:
    return devices.Put(request.path["serial"], DeviceChange(tags=new_device(request).tags))


def named(request: Request) -> devices.Named:
    return devices.Named(request.path["serial"])


def listing(request: Request) -> devices.Listing:
    token = request.query.get("from")
    return devices.Listing(None, Sort("ident"), Page(2, tuple(request.resume(token, "")) if token else None))


def pile(result: devices.Devices, request: Request) -> Pile:
    return Pile([stone(device) for device in result.devices], request.mark(result.next, "") if result.next else None)


def put_stone(result: devices.Stored, request: Request) -> Reply:
    return Reply(stone(result.device), status=201 if result.created else 200)


def oops(fault: Fault, status: int, request_id: str) -> Oops:
    return Oops(fault.code.upper(), fault.message)


STATUSES = {kind: 500 if kind is Kind.INTERNAL else 418 for kind in Kind} | {Kind.NOT_FOUND: 404, Kind.CONFLICT: 422}
ONE, ALL = "/pebble/stones/{serial}", "/pebble/stones"
FROM = (Parameter("from", "next of the pile before"),)
PEBBLE = Dialect(
    name="pebble",
    title="Pebble",
    prefixes=("/pebble/",),
    routes=(
        Route("POST", ALL, devices.create, new_device, stone, "Lay a stone", 201, body=NewStone, reply=Stone),
        Route("GET", ALL, devices.page, listing, pile, "See stones", reply=Pile, query=FROM),
        Route("PUT", ONE, devices.put, put_device, put_stone, "Carve veins", body=NewStone, reply=Stone),
        Route("GET", ONE, devices.get, named, stone, "See a stone", reply=Stone),
        Route("DELETE", ONE, devices.delete, named, lambda *_: None, "Take a stone away", 204),
    ),
    envelope=Envelope(STATUSES, oops, codes={"unauthenticated": 401}),
    credentials=(API_KEY_HEADER,),
)


def pebble(app: App, method: str, target: str, body: bytes = b"", key: str | None = None) -> Response:
    async def call() -> Response:
        log = AccessLog(None, asyncio.get_running_loop())
        kernel = Kernel(app.services, (*DIALECTS, PEBBLE), PEBBLE, Settings(), Metrics(), log)
        headers = {"x-api-key": key or app.key, "content-type": "application/json"}
        return await asgi(kernel, method, target, headers, body)

    return app.runner.run(call())


def test_a_sixth_dialect_writes_what_the_native_one_reads_and_the_other_way_round(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        laid = pebble(app, "POST", "/pebble/stones", b'{"serial":"b/1","veins":["gold"],"weight":7}')
        assert (laid.status, laid.json()) == (201, {"mark": "st_1", "serial": "b/1", "veins": ["gold"], "weight": 7})
        seen = app.request("GET", "/v1/devices/b%2F1").json()
        assert (seen["tags"], seen["metadata"]) == (["gold"], {"weight": 7})
        for ident in "ca":
            app.request("PUT", f"/v1/devices/{ident}", {"tags": ["grey"]})
        first = pebble(app, "GET", "/pebble/stones").json()
        rest = pebble(app, "GET", f"/pebble/stones?from={first['next']}").json()
        assert [stone["serial"] for stone in first["stones"] + rest["stones"]] == ["a", "b/1", "c"]
        assert pebble(app, "PUT", "/pebble/stones/c", b'{"serial":"c","veins":["tin"]}').status == 200
        assert pebble(app, "DELETE", "/pebble/stones/a").status == 204
        left = app.request("GET", "/v1/devices").json()["devices"]
        assert [device["tags"] for device in left] == [["gold"], ["tin"]]
        assert describe((PEBBLE,))["paths"]["/pebble/stones"]["post"]["summary"] == "Lay a stone"


def test_a_sixth_dialect_fails_in_its_own_words_and_is_guarded_like_the_rest(tmp_path: Path) -> None:
    refusals: list[tuple[str, str, bytes, str | None, int, str]] = [
        ("GET", "/pebble/stones/none", b"", None, 404, "DEVICE_NOT_FOUND"),
        ("GET", "/pebble/stones", b"", "wrong", 401, "UNAUTHENTICATED"),
        ("POST", "/pebble/stones", b'{"serial":"x"}', "viewer", 418, "PERMISSION_DENIED"),
        ("POST", "/pebble/stones", b'{"serial":" "}', None, 418, "INVALID_IDENT"),
        ("POST", "/pebble/stones", b"[" * 99, None, 418, "INVALID_JSON"),
        ("GET", "/pebble/nothing", b"", None, 404, "UNKNOWN_PATH"),
    ]
    with running(tmp_path / "data") as app:
        viewer = app.request("POST", "/v1/keys", {"name": "k", "role": "viewer"}).json()["key"]
        for method, target, body, key, status, code in refusals:
            reply = pebble(app, method, target, body, viewer if key == "viewer" else key)
            assert (reply.status, reply.json()["oops"], set(reply.json())) == (status, code, {"oops", "why"})
