"""Templates: their parts, what they make of devices, and what they refuse."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec import structs

from fleetroll.core import limits
from fleetroll.core.model import Datastream, DatastreamKind, Metafield, MetafieldKind
from fleetroll.store.port import Records
from tests.support.app import App, Response, running
from tests.support.postgres import held_up, new_database

TEMPERATURE = {"pin": "V1", "type": "double", "alias": "temperature", "unit": "celsius", "unit_symbol": "C"}
SERIAL = {"name": "Serial Number", "type": "Text", "mandatory": True}
HOT = {"code": "hot", "name": "Too hot", "type": "CRITICAL", "daily_limit": 3}
METER = {"name": "meter", "datastreams": [TEMPERATURE], "events": [HOT], "metafields": [SERIAL]}


def made(app: App, **members: Any) -> dict[str, Any]:
    reply = app.request("POST", "/v1/templates", {**METER, **members})
    assert reply.status == 201, reply.body
    found: dict[str, Any] = reply.json()
    return found


def within(app: App, slug: str) -> dict[str, str]:
    app.request("POST", "/v1/organizations", {"slug": slug})
    return {"fleetroll-organization": slug}


def refused(reply: Response) -> tuple[int, str, str | None]:
    return reply.status, reply.json()["code"], reply.json().get("field")


def test_a_template_is_read_as_it_was_made_with_a_number_for_each_part(app: App) -> None:
    template = made(app)
    nothing = dict.fromkeys(("label", "min", "max", "default"))
    assert template["datastreams"] == [{**TEMPERATURE, **nothing, "pin": "v1", "id": 1}]
    assert (template["events"][0]["id"], template["metafields"][0]["id"]) == (2, 3)
    assert template["template_id"].startswith("TMPL")
    assert len(template["template_id"]) == 13
    assert app.request("GET", "/v1/templates/meter").json() == template
    assert app.request("GET", "/v1/templates").json()["templates"] == [template]


def test_parts_keep_their_numbers_and_no_number_is_given_twice(app: App) -> None:
    template = made(app)
    renamed = {**template["metafields"][0], "name": "Serial"}
    other = {"pin": "v2", "type": "string"}
    change = {"datastreams": [other, {"pin": "v1"}], "metafields": [renamed], "events": []}
    after = app.request("PATCH", "/v1/templates/meter", change).json()
    assert [(one["pin"], one["id"]) for one in after["datastreams"]] == [("v2", 4), ("v1", 1)]
    assert [(one["name"], one["id"]) for one in after["metafields"]] == [("Serial", 3)]
    again = app.request("PATCH", "/v1/templates/meter", {"datastreams": [], "events": [HOT]}).json()
    assert again["events"][0]["id"] == 5


def test_a_device_of_a_template_has_its_metrics_beside_its_own(app: App) -> None:
    number = made(app)["id"]
    body = {"schema": {"own": "number"}, "template": number, "metadata": {"Serial Number": "SN:1"}}
    device = app.request("PUT", "/v1/devices/d", body)
    assert device.status == 201, device.body
    metric = {"type": "number", "unit": "celsius", "unit_symbol": "C"}
    assert device.json()["schema"] == {"own": {"type": "number"}, "temperature": metric}
    assert device.json()["template"] == number
    # What a template gives cannot be taken away by hand, so saying the same again changes nothing.
    assert app.request("PUT", "/v1/devices/d", body).json()["revision"] == 1
    left = app.request("PATCH", "/v1/devices/d", {"template": None}).json()
    assert left["schema"] == {"own": {"type": "number"}}


def test_new_datastreams_reach_the_devices_there_are_wherever_they_are(app: App) -> None:
    number = made(app, metafields=[])["id"]
    inside = within(app, "child")
    app.request("PUT", "/v1/devices/here", {"template": number})
    assert app.request("PUT", "/v1/devices/there", {"template": number}, headers=inside).status == 201
    change = {"datastreams": [{"pin": "v7", "type": "string"}]}
    assert app.request("PATCH", "/v1/templates/meter", change).status == 200
    for name, headers in (("here", {}), ("there", inside)):
        device = app.request("GET", f"/v1/devices/{name}", headers=headers).json()
        assert device["schema"] == {"v7": {"type": "string"}}
        newest = app.request("GET", f"/v1/devices/{name}/timeline", headers=headers).json()["events"][0]
        assert (newest["type"], newest["data"]) == ("device.updated", {"changed": ["schema"]})


def test_new_datastreams_reach_all_devices_or_none(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many they are, as long as one transaction may take them."""
    number = made(app, metafields=[])["id"]
    count = 2 * limits.SWEEP_BATCH + 1
    inside = within(app, "child")
    for place, some in (({}, range(3)), (inside, range(3, count))):
        rows = b"".join(b'{"ident": "d%d", "template": %d}\n' % (one, number) for one in some)
        headers = {**place, "content-type": "application/x-ndjson"}
        results = app.request("POST", "/v1/devices:import", raw=rows, headers=headers).lines()
        assert [one["outcome"] for one in results] == ["created"] * len(some)
    monkeypatch.setattr(limits, "MAX_TEMPLATE_SWEEP", count - 1)
    change = {"datastreams": [{"pin": "v7", "type": "string"}]}
    reply = app.request("PATCH", "/v1/templates/meter", change)
    assert refused(reply) == (409, "too_many_devices", "datastreams")
    assert app.request("GET", "/v1/devices/d0").json()["revision"] == 1
    monkeypatch.setattr(limits, "MAX_TEMPLATE_SWEEP", count)
    assert app.request("PATCH", "/v1/templates/meter", change).status == 200
    shown = [app.request("GET", "/v1/devices?limit=1000", headers=place).json()["devices"] for place in ({}, inside)]
    assert [one["schema"] for devices in shown for one in devices] == [{"v7": {"type": "string"}}] * count


def test_an_organization_that_is_deleted_while_its_devices_are_sought_is_left_out(tmp_path: Path) -> None:
    """Another process may do so, if it is far enough below that of the template."""
    url = asyncio.run(new_database())
    with running(tmp_path / "data", database=url) as app:
        number = made(app, metafields=[])["id"]
        inside = within(app, "first")
        for place in (inside, within(app, "gone")):
            assert app.request("POST", "/v1/devices", {"ident": "d", "template": number}, headers=place).status == 201

        async def story() -> Response:
            session, observer = await asyncpg.connect(url), await asyncpg.connect(url)
            async with session.transaction():
                await session.execute("LOCK TABLE device")
                change = {"datastreams": [{"pin": "v7", "type": "string"}]}
                changing = asyncio.ensure_future(app.call("PATCH", "/v1/templates/meter", change))
                await held_up(observer)
                await session.execute("DELETE FROM organization WHERE slug = 'gone'")
            await session.close()
            await observer.close()
            return await changing

        assert app.run(story()).status == 200
        device = app.request("GET", "/v1/devices/d", headers=inside)
        assert device.json()["schema"] == {"v7": {"type": "string"}}


def test_metadata_keeps_to_the_metafields_on_every_way_in(app: App) -> None:
    number = made(app, metafields=[{"name": "floor", "type": "Number"}])["id"]
    app.request("PUT", "/v1/devices/d", {"template": number, "metadata": {"floor": 2}})
    bad = {"metadata": {"floor": "two"}}
    ways = [
        app.request("POST", "/v1/devices", {"ident": "e", "template": number, **bad}),
        app.request("PUT", "/v1/devices/d", {"template": number, **bad}),
        app.request("PATCH", "/v1/devices/d", bad),
        app.request("POST", "/api/ext-v1/device", {"identifier": "d", "properties": {"floor": "two"}}),
        app.request("POST", "/api/ext-v1/device/bulk-metadata", {"devices": {"d": {"floor": "two"}}}),
    ]
    assert [reply.status for reply in ways] == [400] * len(ways)
    assert refused(ways[0]) == (400, "invalid_metafield", "metadata.floor")
    row = b'{"ident":"e","template":%d,"metadata":{"floor":"two"}}' % number
    result = app.request("POST", "/v1/devices:import", raw=row, headers={"content-type": "application/x-ndjson"})
    assert result.lines()[0]["error"]["code"] == "invalid_metafield"
    assert app.request("GET", "/v1/devices/d").json()["metadata"] == {"floor": 2}
    assert app.request("PATCH", "/v1/devices/d", {"metadata": {"other": "two"}}).status == 200


def test_a_template_with_devices_stays_and_one_of_elsewhere_is_unknown(app: App) -> None:
    number = made(app, metafields=[])["id"]
    inside = within(app, "child")
    assert app.request("PUT", "/v1/devices/d", {"template": number}, headers=inside).status == 201
    assert refused(app.request("DELETE", "/v1/templates/meter"))[:2] == (409, "template_has_devices")
    assert app.request("DELETE", "/v1/devices/d", headers=inside).status == 204
    below = app.request("POST", "/v1/templates", {"name": "below"}, headers=inside).json()["id"]
    unknown = (400, "unknown_template", "template")
    assert refused(app.request("PUT", "/v1/devices/d", {"template": below})) == unknown
    assert refused(app.request("PUT", "/v1/devices/d", {"template": below + 1})) == unknown
    assert app.request("DELETE", "/v1/templates/meter").status == 204
    assert refused(app.request("PUT", "/v1/devices/d", {"template": number})) == unknown


def test_an_event_is_logged_by_its_code_as_often_as_it_may(app: App) -> None:
    number = made(app, metafields=[])["id"]
    app.request("PUT", "/v1/devices/d", {"template": number})
    app.request("PUT", "/v1/devices/e", {})
    log = "/v1/devices/d:log-event"
    assert app.request("POST", log, {"code": "hot", "description": "51 °C"}).status == 204
    newest = app.request("GET", "/v1/devices/d/timeline").json()["events"][0]
    said = {"event": 2, "code": "hot", "name": "Too hot", "description": "51 °C"}
    assert (newest["type"], newest["data"]) == ("device.event.critical", said)
    assert [app.request("POST", log, {"code": "hot"}).status for _ in range(2)] == [204, 204]
    over = app.request("POST", log, {"code": "hot"})
    assert refused(over)[:2] == (429, "too_many_events")
    assert 0 < int(over.headers["retry-after"]) <= 86_400
    for path, code in ((log, "cold"), ("/v1/devices/e:log-event", "hot")):
        assert refused(app.request("POST", path, {"code": code}))[:2] == (404, "event_code_not_found")
    assert app.request("POST", log, {"code": "hot", "description": "x" * 301}).status == 400
    assert app.request("GET", "/v1/devices/d").json()["revision"] == 1


def test_a_device_is_found_by_its_template_and_exported_with_it(app: App) -> None:
    number = made(app, metafields=[])["id"]
    app.request("PUT", "/v1/devices/d", {"template": number})
    app.request("PUT", "/v1/devices/e", {})
    found = app.request("GET", f"/v1/devices?filter=template%20=%20{number}").json()["devices"]
    assert [device["ident"] for device in found] == ["d"]
    exported = app.request("GET", "/v1/devices:export?format=csv").body
    again = app.request("POST", "/v1/devices:import", raw=exported, headers={"content-type": "text/csv"})
    assert [row["outcome"] for row in again.lines()] == ["unchanged", "unchanged"]


def test_a_device_that_moves_keeps_a_template_that_serves_it_there_and_loses_any_other(app: App) -> None:
    number = made(app, metafields=[])["id"]
    left, right = within(app, "left"), within(app, "right")
    local = app.request("POST", "/v1/templates", {**METER, "name": "local", "metafields": []}, headers=left).json()
    for ident, template in (("shared", number), ("lost", local["id"])):
        body = {"template": template, "schema": {"own": "json"}}
        assert app.request("PUT", f"/v1/devices/{ident}", body, headers=left).status == 201
    moved = {}
    for ident in ("shared", "lost"):
        reply = app.request("POST", f"/v1/devices/{ident}:transfer", {"organization": "right"}, headers=left)
        assert reply.status == 200, reply.body
        moved[ident] = app.request("GET", f"/v1/devices/{ident}", headers=right).json()
    assert (moved["shared"]["template"], list(moved["shared"]["schema"])) == (number, ["own", "temperature"])
    assert (moved["lost"]["template"], list(moved["lost"]["schema"])) == (None, ["own"])


# Datastreams with a default that no device could report there, or with bounds that leave nothing to report.
NO_STREAMS: list[dict[str, Any]] = [
    {"type": "integer", "default": "abc"},
    {"type": "integer", "default": ""},
    {"type": "integer", "default": 1.5},
    {"type": "integer", "default": 1e30},
    {"type": "integer", "default": 0, "min": 1},
    {"type": "integer", "min": 1.2, "max": 1.8},
    {"type": "enum", "default": "on"},
    {"type": "enum", "min": 1e300},
    {"type": "double", "default": "abc"},
    {"type": "double", "default": "1e999"},
    {"type": "double", "default": 1, "min": 5},
    {"type": "double", "default": 9, "max": 5},
    {"type": "location", "default": 5},
    {"type": "location", "default": "5"},
    {"type": "string", "default": "x" * 1025},
]


@pytest.mark.parametrize("stream", NO_STREAMS)
def test_a_default_is_a_value_of_its_datastream_in_the_other_api_too(app: App, stream: dict[str, Any]) -> None:
    types = {"integer": "INT", "double": "DOUBLE", "enum": "ENUM", "location": "LOCATION", "string": "STRING"}
    named = {"type": types[stream["type"]], "min": stream.get("min"), "max": stream.get("max")}
    body = {"name": "t", "datastreams": [{"pin": 1, **named, "defaultValue": stream.get("default")}]}
    reply = app.request("POST", "/api/v1/organization/template/create", body)
    assert reply.status == 400
    assert reply.json()["error"]["message"].startswith("datastreams: ")
    assert app.request("GET", "/v1/templates").json()["templates"] == []


@pytest.mark.parametrize(
    ("stream", "kept"),
    [
        ({"type": "integer", "default": 7}, 7),
        ({"type": "integer", "default": "7"}, 7),
        ({"type": "integer", "default": 2, "min": 1.2, "max": 2.8}, 2),
        ({"type": "enum", "default": -1}, -1),
        ({"type": "double", "default": "1.5"}, 1.5),
        ({"type": "double", "default": 5, "min": 5, "max": 5}, 5),
        ({"type": "string", "default": "7"}, "7"),
        ({"type": "string", "default": 7}, "7"),
        ({"type": "string", "default": ""}, ""),
        ({"type": "string", "min": 1.2, "max": 1.8}, None),
        ({"type": "location"}, None),
    ],
)
def test_a_default_is_kept_as_a_value_of_its_type(app: App, stream: dict[str, Any], kept: Any) -> None:
    reply = app.request("POST", "/v1/templates", {"name": "t", "datastreams": [{"pin": "v1", **stream}]})
    assert reply.status == 201, reply.body
    assert reply.json()["datastreams"][0]["default"] == kept
    assert app.request("GET", "/v1/templates/t").body == reply.body
    found = reply.json()
    same = app.request("PATCH", "/v1/templates/t", {"datastreams": found["datastreams"]})
    assert same.json()["datastreams"] == found["datastreams"]


def test_a_part_stored_before_it_was_forbidden_is_in_the_way_of_no_other_change(app: App) -> None:
    made(app, metafields=[])
    stale = (
        Datastream(1, "v1", DatastreamKind.INTEGER, "temperature", default="abc"),
        Datastream(8, "v8", DatastreamKind.INTEGER, min=1.2, max=1.8),
    )
    fields = (Metafield(9, "f", MetafieldKind.TIME_ZONE, default="CEST"),)

    async def keep(records: Records) -> None:
        was = await records.templates.get(1, "meter")
        assert was is not None
        now = structs.replace(was, datastreams=stale, metafields=fields, last_part=9, revision=was.revision + 1)
        await records.templates.replace(now)

    app.runner.run(app.services.store.write(keep))
    found = app.request("GET", "/v1/templates/meter").json()
    assert [one["default"] for one in found["datastreams"]] == ["abc", None]
    parts = {"datastreams": found["datastreams"], "metafields": found["metafields"]}
    changed = app.request("PATCH", "/v1/templates/meter", {"description": "Old", **parts})
    assert changed.status == 200, changed.body
    assert {name: changed.json()[name] for name in parts} == parts
    for name, member in (("datastreams", {"max": 9}), ("metafields", {"hint": "Where it is"})):
        reply = app.request("PATCH", "/v1/templates/meter", {name: [{**parts[name][0], **member}]})
        assert refused(reply) == (400, "invalid_template", name)
    number = found["id"]
    assert app.request("PUT", "/v1/devices/d", {"template": number}).status == 201
    device = app.request("GET", "/v1/devices/d").json()["id"]
    shown = app.request("GET", f"/api/v1/organization/device?deviceId={device}").json()
    assert shown["metaFieldValues"][0]["value"] == {"type": "Tz", "value": None}


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"datastreams": [{"pin": "x1"}]}, "datastreams"),
        ({"datastreams": [{"pin": "v1000"}]}, "datastreams"),
        ({"datastreams": [{"pin": "v1"}, {"pin": "V1"}]}, "datastreams"),
        ({"datastreams": [{"pin": "v1", "alias": "a"}, {"pin": "v2", "alias": "a"}]}, "datastreams"),
        ({"datastreams": [{"pin": "v1", "alias": "v2"}]}, "datastreams"),
        ({"datastreams": [{"pin": "v1", "alias": "two words"}]}, "datastreams"),
        ({"datastreams": [{"pin": "v1", "min": 2, "max": 1}]}, "datastreams"),
        ({"datastreams": [{"pin": "v1", "id": 9}]}, "datastreams"),
        *(({"datastreams": [{"pin": "v1", **stream}]}, "datastreams") for stream in NO_STREAMS),
        ({"events": [{"code": "a b", "name": "n", "type": "WARNING"}]}, "events"),
        ({"events": [HOT, HOT]}, "events"),
        ({"metafields": [{"name": "f", "type": "Number", "default": "x"}]}, "metafields"),
        ({"metafields": [{"name": "f", "type": "Number", "default": 10**400}]}, "metafields"),
        ({"metafields": [{"name": "f", "type": "Number", "default": 10**20}]}, "metafields"),
        ({"metafields": [{"name": "f", "type": "Coordinates", "default": {"lat": 1, "lon": 10**400}}]}, "metafields"),
        ({"metafields": [SERIAL, SERIAL]}, "metafields"),
        ({"metafields": [{"name": f"f{number}", "type": "Text"} for number in range(257)]}, "metafields"),
    ],
)
def test_parts_that_break_a_rule_are_refused_and_nothing_is_kept(app: App, members: dict[str, Any], field: str) -> None:
    assert refused(app.request("POST", "/v1/templates", {"name": "t", **members})) == (400, "invalid_template", field)
    assert app.request("GET", "/v1/templates").json()["templates"] == []


TURNED = "\u202eabc"  # which would turn round what is shown after it


@pytest.mark.parametrize(
    ("member", "part"),
    [
        *(("datastreams", {"pin": "v1", name: TURNED}) for name in ("label", "unit", "unit_symbol")),
        *(("events", {**HOT, name: TURNED}) for name in ("name", "description")),
        *(("metafields", {**SERIAL, name: TURNED}) for name in ("name", "description", "hint", "icon")),
        ("metafields", {"name": "f", "type": "List", "options": ["a", TURNED]}),
    ],
)
def test_the_texts_of_a_part_are_such_as_people_can_read(app: App, member: str, part: dict[str, Any]) -> None:
    reply = app.request("POST", "/v1/templates", {"name": "t", member: [part]})
    assert refused(reply) == (400, "invalid_text", member)


def fields(count: int) -> list[dict[str, Any]]:
    return [{"name": f"f{number}", "type": "Text"} for number in range(count)]


def choice(count: int) -> dict[str, Any]:
    return {"name": "f", "type": "List", "options": [f"o{number}" for number in range(count)]}


@pytest.mark.parametrize(
    ("member", "just", "beyond"),
    [
        ("datastreams", [{"pin": "v1", "alias": "v1"}], [{"pin": "v1", "alias": "V2"}]),
        ("datastreams", [{"pin": "v1", "min": 1, "max": 1}], [{"pin": "v1", "min": 2, "max": 1}]),
        ("events", [{**HOT, "daily_limit": 0}], [HOT, {**HOT, "daily_limit": 0}]),
        ("metafields", fields(limits.MAX_METAFIELDS), fields(limits.MAX_METAFIELDS + 1)),
        ("metafields", [choice(limits.MAX_OPTIONS)], [choice(limits.MAX_OPTIONS + 1)]),
    ],
)
def test_parts_are_taken_up_to_their_bounds(app: App, member: str, just: list[Any], beyond: list[Any]) -> None:
    assert refused(app.request("POST", "/v1/templates", {"name": "t", member: beyond})) == (
        400,
        "invalid_template",
        member,
    )
    assert app.request("POST", "/v1/templates", {"name": "t", member: just}).status == 201


def test_no_two_parts_are_given_the_same_number(app: App) -> None:
    parts = [{"pin": "v1"}, {"pin": "v2"}]
    made = app.request("POST", "/v1/templates", {"name": "t", "datastreams": parts}).json()
    number = made["datastreams"][0]["id"]
    same = {"datastreams": [{**part, "id": number} for part in parts]}
    assert refused(app.request("PATCH", "/v1/templates/t", same)) == (400, "invalid_template", "datastreams")


LONG = "\u6f22" * 150


@pytest.mark.parametrize(
    ("member", "part"),
    [
        ("datastreams", {"pin": "v{}", "label": LONG, "unit": LONG, "unit_symbol": LONG}),
        ("events", {**HOT, "code": "c{}", "description": LONG * 3}),
        ("metafields", {"name": "f{}", "type": "Text", "hint": LONG * 3}),
    ],
)
def test_all_parts_of_a_template_together_have_a_bound(app: App, member: str, part: dict[str, Any]) -> None:
    key = next(name for name, value in part.items() if "{}" in str(value))
    parts = [{**part, key: part[key].format(number)} for number in range(200)]
    reply = app.request("POST", "/v1/templates", {"name": "t", member: parts})
    assert refused(reply) == (400, "template_too_large", None)
    assert app.request("POST", "/v1/templates", {"name": "t", member: parts[:100]}).status == 201
