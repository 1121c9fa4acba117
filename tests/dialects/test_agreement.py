"""One device written by several APIs in any order: after each write, every API shows the same, and keeps its own."""

import itertools
import string
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct, field

from tests.support.app import App, running
from tests.support.effort import often

MEMFAULT = "/api/v0/organizations/default/projects/default"
LAMASSU = "/api/devmanager/v1/devices"
BLYNK = "/api/v1/organization/device"
ICONS = {"icon": "CgChip", "icon_color": "#111-#eee"}
CONFIG = {"interval": 30, "nested": {"deep": [1, None, "x"]}}
LETTERS = st.characters(exclude_categories=["C"])
TYPES = {"site": st.text(LETTERS, max_size=20), "floor": st.integers(-(2**53) + 1, 2**53 - 1), "on": st.booleans()}
"""The values of each metadata key: a type that is defined holds for every API."""

numbers = itertools.count()


class Expected(Struct):
    """What every API is to show of the device."""

    ident: str
    id: int
    name: str = "Pump"
    kind: str = "sensor"
    cohort: str = "default"
    dms: str = "line-1"
    metadata: dict[str, Any] = field(default_factory=dict)


Write = Callable[[App, Expected], None]


def succeeded(app: App, method: str, target: str, body: Any) -> None:
    reply = app.request(method, target, body)
    assert reply.status in {200, 201, 204}, (method, target, body, reply.body)


def patched(app: App, device: Expected, document: dict[str, Any]) -> None:
    succeeded(app, "PATCH", f"/v1/devices/{device.ident}", document)


# --- writes ----------------------------------------------------------------------------------------------------------


def memfault(device: Expected) -> str:
    return f"{MEMFAULT}/devices/{device.ident}"


def lamassu(app: App, device: Expected, *patches: dict[str, Any]) -> None:
    succeeded(app, "PATCH", f"{LAMASSU}/{device.ident}/metadata", {"patches": patches})


def setting(member: str, send: Callable[[App, Expected, str], None]) -> Callable[[str], Write]:
    """Writes of a member of the device."""

    def of(value: str) -> Write:
        def write(app: App, device: Expected) -> None:
            send(app, device, value)
            setattr(device, member, value)

        return write

    return of


def keeping(send: Callable[[App, Expected, str, Any], None]) -> Callable[[tuple[str, Any]], Write]:
    """Writes of a key of the device's metadata."""

    def of(pair: tuple[str, Any]) -> Write:
        def write(app: App, device: Expected) -> None:
            send(app, device, *pair)
            device.metadata.update([pair])

        return write

    return of


def without(key: str, *, by_pointer: bool) -> Write:
    """The key taken away, by JSON Patch or by merge patch."""

    def write(app: App, device: Expected) -> None:
        if by_pointer and key in device.metadata:
            lamassu(app, device, {"op": "remove", "path": f"/{key}"})
        else:
            patched(app, device, {"metadata": {key: None}})
        device.metadata.pop(key, None)

    return write


def telemetron_device(kind: str, metadata: dict[str, Any]) -> Write:
    def write(app: App, device: Expected) -> None:
        body = {"identifier": device.ident, "type": kind, "properties": metadata}
        succeeded(app, "POST", "/api/ext-v1/device", body)
        device.kind, device.metadata = kind, dict(metadata)

    return write


NAMING = [
    setting("name", lambda app, device, name: patched(app, device, {"name": name})),
    setting("name", lambda app, device, name: succeeded(app, "PATCH", memfault(device), {"nickname": name})),
    setting("name", lambda app, device, name: succeeded(app, "PUT", f"{BLYNK}?deviceId={device.id}", {"name": name})),
]
PLACING = [
    setting("cohort", lambda app, device, cohort: patched(app, device, {"cohort": cohort})),
    setting("cohort", lambda app, device, cohort: succeeded(app, "PATCH", memfault(device), {"cohort": cohort})),
]
KEEPING = [
    keeping(lambda app, device, key, value: patched(app, device, {"metadata": {key: value}})),
    keeping(
        lambda app, device, key, value: succeeded(
            app, "PATCH", f"{memfault(device)}/attributes", [{"string_key": key, "value": value}]
        )
    ),
    keeping(lambda app, device, key, value: lamassu(app, device, {"op": "add", "path": f"/{key}", "value": value})),
]
names = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=20)
cohorts = st.sampled_from(["default", "beta"])
documents = st.fixed_dictionaries({}, optional=TYPES)
pairs = st.one_of([st.tuples(st.just(key), values) for key, values in TYPES.items()])
writes = st.one_of(
    *(st.builds(write, names) for write in NAMING),
    *(st.builds(write, cohorts) for write in PLACING),
    *(st.builds(write, pairs) for write in KEEPING),
    st.builds(without, st.sampled_from([*TYPES]), by_pointer=st.booleans()),
    st.builds(telemetron_device, names, documents),
)


# --- what is shown ---------------------------------------------------------------------------------------------------


def read(app: App, target: str) -> Any:
    reply = app.request("GET", target)
    assert reply.status == 200, (target, reply.body)
    return reply.json()


def check(app: App, device: Expected) -> None:
    native = read(app, f"/v1/devices/{device.ident}")
    shown = {name: native[name] for name in ("ident", "id", "name", "kind", "cohort", "dms", "metadata")}
    assert shown == {name: getattr(device, name) for name in shown}
    assert native["config"] == CONFIG

    project = read(app, memfault(device))["data"]
    assert (project["nickname"], project["cohort"]["slug"]) == (device.name, device.cohort)
    attributes = read(app, f"{memfault(device)}/attributes?per_page=100")["data"]
    states = {one["string_key"]: one["state"]["value"] for one in attributes if one["state"]}
    assert states == device.metadata
    assert {type(value) for value in states.values()} == {type(value) for value in device.metadata.values()}

    managed = read(app, f"{LAMASSU}/{device.ident}")
    assert (managed["alias"], managed["dms_owner"], managed["metadata"]) == (device.name, device.dms, device.metadata)
    assert {name: managed[name] for name in ICONS} == ICONS

    assert read(app, f"{BLYNK}?deviceId={device.id}")["name"] == device.name


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("agreement") / "data") as app:
        app.request("POST", "/v1/cohorts", {"slug": "beta"})
        for key, kind in {"site": "string", "floor": "integer", "on": "boolean"}.items():
            assert app.request("POST", "/v1/metadata-fields", {"name": key, "type": kind}).status == 201
        yield app


@settings(max_examples=often(60), suppress_health_check=[HealthCheck.too_slow])
@given(written=st.lists(writes, max_size=12))
def test_every_api_shows_what_any_of_them_has_written(app: App, written: list[Write]) -> None:
    ident = f"device-{next(numbers)}"
    made = {"id": ident, "alias": "Pump", "tags": ["iot"], "metadata": {}, "dms_id": "line-1", **ICONS}
    succeeded(app, "POST", LAMASSU, made)
    device = Expected(ident, read(app, f"/v1/devices/{ident}")["id"])
    patched(app, device, {"kind": device.kind, "config": CONFIG})
    for write in written:
        write(app, device)
        check(app, device)
