"""What a metafield's value must be besides its form: a zone that exists, a device of the organization.

And what becomes of values when their metafield is defined anew.
"""

from typing import Any
from urllib.parse import quote

import pytest

from tests.support.app import App, Response

O = "/api/v1/organization"  # noqa: E741  # as the vendor's pages abbreviate it
INVALID = {"error": {"message": "The provided value for metafield is invalid."}}
FIELDS = [{"name": "Zone", "type": "Tz"}, {"name": "Gateway", "type": "DeviceReference"}]
ZONE, GATEWAY = 1, 2


def ask(app: App, method: str, path: str, body: Any = None) -> Response:
    return app.request(method, O + path, body)


def template(app: App, name: str, fields: list[dict[str, Any]]) -> str:
    made = ask(app, "POST", "/template/create", {"name": name, "metafields": fields})
    assert made.status == 201, made.body
    return str(made.json()["templateIds"][0])


def device(app: App, kind: str, **members: Any) -> dict[str, Any]:
    made = ask(app, "POST", "/device/create?baseInfo=true", {"templateId": kind, **members})
    assert made.status == 201, made.body
    found: dict[str, Any] = made.json()
    return found


def write(app: App, number: int, field: int, value: Any) -> Response:
    return ask(app, "POST", "/device/metafield", {"deviceId": number, "metaFieldId": field, "newValue": value})


def values(app: App, number: int) -> list[Any]:
    zone, gateway = ask(app, "GET", f"/device/metafield?deviceId={number}").json()
    return [zone["value"]["value"], gateway["value"]["selectedDeviceId"]]


@pytest.fixture
def kind(app: App) -> str:
    return template(app, "Meter", FIELDS)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "US/Pacific"])
def test_a_zone_is_one_of_the_tz_database(app: App, kind: str, zone: str) -> None:
    one = device(app, kind)
    assert write(app, one["id"], ZONE, zone).status == 204
    assert values(app, one["id"]) == [zone, None]


@pytest.mark.parametrize("zone", ["Mars/Base", "europe/berlin", "Europe", "localtime", "CEST", "UTC+1", "x" * 300, 1])
def test_a_zone_that_does_not_exist_is_refused_and_nothing_changes(app: App, kind: str, zone: Any) -> None:
    one = device(app, kind)
    assert write(app, one["id"], ZONE, "UTC").status == 204
    was = app.request("GET", "/v1/devices").json()
    refused = write(app, one["id"], ZONE, zone)
    assert (refused.status, refused.json()) == (400, INVALID)
    assert app.request("GET", "/v1/devices").json() == was


def test_a_reference_is_to_a_device_of_the_same_organization(app: App, kind: str) -> None:
    child = ask(app, "POST", "/create", {"name": "Branch"}).json()["id"]
    one, gateway = device(app, kind), device(app, kind)
    below, beside = device(app, kind, orgId=child), device(app, kind, orgId=child)
    for value in (gateway["id"], str(gateway["id"]), {"type": "DeviceReference", "selectedDeviceId": one["id"]}):
        assert write(app, one["id"], GATEWAY, value).status == 204
    assert values(app, one["id"]) == [None, one["id"]]
    was = app.request("GET", "/v1/devices").json()
    for value in (below["id"], 10**15, "99999", 0, -1, {"selectedDeviceId": below["id"]}):
        refused = write(app, one["id"], GATEWAY, value)
        assert (refused.status, refused.json()) == (400, INVALID), value
    assert app.request("GET", "/v1/devices").json() == was
    # What counts is the organization of the device that is written, not that of who writes it.
    assert write(app, below["id"], GATEWAY, beside["id"]).status == 204
    assert write(app, below["id"], GATEWAY, gateway["id"]).json() == INVALID
    assert values(app, below["id"]) == [None, beside["id"]]


def test_a_device_itself_names_none_but_its_organizations(app: App, kind: str) -> None:
    child = ask(app, "POST", "/create", {"name": "Branch"}).json()["id"]
    one, gateway, foreign = device(app, kind), device(app, kind), device(app, kind, orgId=child)

    def says(name: str, value: Any) -> int:
        query = f"token={one['token']}&metaFieldName={name}&value={value}"
        return app.request("GET", f"/external/api/device/meta/update?{query}", key=None).status

    assert [says("Gateway", gateway["id"]), says("Zone", "UTC")] == [200, 200]
    assert [says("Gateway", foreign["id"]), says("Gateway", 99_999), says("Zone", "Mars/Base")] == [400, 400, 400]
    assert values(app, one["id"]) == ["UTC", gateway["id"]]


def test_a_reference_is_judged_on_every_way_in_and_one_that_stays_is_not_judged_again(app: App, kind: str) -> None:
    gateway = device(app, kind)
    number = app.request("GET", "/v1/templates/Meter").json()["id"]
    known, unknown = {"Gateway": gateway["id"]}, {"Gateway": 99_999}
    for body, status in ((unknown, 400), (known, 201)):
        made = app.request("POST", "/v1/devices", {"ident": "d", "template": number, "metadata": body})
        assert made.status == status, made.body
    for method in ("PUT", "PATCH"):
        refused = app.request(method, "/v1/devices/d", {"template": number, "metadata": unknown})
        assert (refused.status, refused.json()["code"]) == (400, "invalid_metafield")
    row = b'{"ident":"e","template":%d,"metadata":{"Gateway":99999}}' % number
    result = app.request("POST", "/v1/devices:import", raw=row, headers={"content-type": "application/x-ndjson"})
    assert result.lines()[0]["error"]["code"] == "invalid_metafield"
    assert ask(app, "DELETE", f"/device?deviceId={gateway['id']}").status == 204
    changed = app.request("PATCH", "/v1/devices/d", {"metadata": {"Zone": "UTC"}})
    assert changed.json()["metadata"] == {**known, "Zone": "UTC"}
    # Once it is taken away, it cannot come back.
    assert app.request("PATCH", "/v1/devices/d", {"metadata": {"Gateway": None}}).status == 200
    assert app.request("PATCH", "/v1/devices/d", {"metadata": known}).status == 400


def test_a_metafield_for_devices_of_some_templates_names_no_other(app: App, kind: str) -> None:
    hub = template(app, "Hub", [])
    number = app.request("GET", "/v1/templates/Hub").json()["id"]
    fields = app.request("GET", "/v1/templates/Meter").json()["metafields"]
    fields[1]["templates"] = [number]
    assert app.request("PATCH", "/v1/templates/Meter", {"metafields": fields}).status == 200
    one, meter, gateway = device(app, kind), device(app, kind), device(app, hub)
    assert write(app, one["id"], GATEWAY, meter["id"]).json() == INVALID
    assert write(app, one["id"], GATEWAY, gateway["id"]).status == 204
    assert values(app, one["id"]) == [None, gateway["id"]]


# --- values that are none --------------------------------------------------------------------------------------------

FORMS = [
    {"name": "Number", "type": "Number"},
    {"name": "Place", "type": "Coordinates"},
    {"name": "Hours", "type": "Range"},
    {"name": "Contact", "type": "Contact"},
]
NUMBER, PLACE, HOURS, CONTACT = 1, 2, 3, 4


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (NUMBER, 10**400),
        (NUMBER, -(10**400)),
        (NUMBER, 99999999999999999999),
        (NUMBER, "99999999999999999999"),
        (NUMBER, "1e999"),
        (PLACE, "{"),
        (PLACE, '{"lat":1,"lon":2'),
        (PLACE, '{"lat":1,"lon":1e999}'),
        (PLACE, '{"lat":-0,"lon":2}'),
        (PLACE, '{"lat":{"lat":1},"lon":2}'),
        (PLACE, '{"a":' * 99),
        (PLACE, {"lat": 10**400, "lon": 1}),
        (PLACE, {"lat": 1, "lon": -(10**400)}),
        (HOURS, {"from": 1, "to": 10**400}),
        (CONTACT, '{"firstName":"\\u0001"}'),
        (CONTACT, '{"firstName":"\\ud800"}'),
        (CONTACT, {"firstName": "x" * 70_000}),
    ],
)
def test_what_cannot_be_read_or_kept_is_no_value_in_the_documented_words(app: App, field: int, value: Any) -> None:
    one = device(app, template(app, "Forms", FORMS))
    refused = write(app, one["id"], field, value)
    assert (refused.status, refused.json()) == (400, INVALID)
    text = quote(value) if isinstance(value, str) else str(value)
    if len(text) < 1000:
        query = f"token={one['token']}&metaFieldId={field}&value={text}"
        refused = app.request("GET", f"/external/api/device/meta/update?{query}", key=None)
        assert (refused.status, refused.json()) == (400, {"error": {"message": "Wrong value"}})


def test_a_value_keeps_its_place_in_the_metadata_and_the_same_again_is_no_change(app: App, kind: str) -> None:
    one = device(app, kind)
    (ident,) = [known["ident"] for known in app.request("GET", "/v1/devices").json()["devices"]]
    path = f"/v1/devices/{ident}"
    assert app.request("PATCH", path, {"metadata": {"Zone": "UTC", "site": "north"}}).status == 200
    was = app.request("GET", path).json()
    assert write(app, one["id"], ZONE, "UTC").status == 204
    assert app.request("GET", path).json() == was
    assert write(app, one["id"], ZONE, "US/Pacific").status == 204
    assert list(app.request("GET", path).json()["metadata"].items()) == [("Zone", "US/Pacific"), ("site", "north")]


# --- metafields that are defined anew --------------------------------------------------------------------------------

USUAL: dict[str, Any] = {
    "Text": "abc",
    "Number": 1.5,
    "Range": {"from": 1, "to": 2},
    "Time": 3600,
    "Coordinates": {"lat": 1, "lon": 2},
    "List": "abc",
    "TemplateId": "abc",
    "Contact": {"firstName": "Ann"},
    "Email": "ann@example.com",
    "Tz": "UTC",
}


def defined(app: App, kind: str, **members: Any) -> None:
    """The first metafield of the template `Anew` has another type from now on; the second stays what it was."""
    changed = {"name": "A", "type": kind, **members}
    reply = app.request("PATCH", "/v1/templates/Anew", {"metafields": [changed, {"name": "B", "type": "Text"}]})
    assert reply.status == 200, reply.body


def shown(app: App, one: dict[str, Any]) -> list[Any]:
    """The value of the first metafield, wherever a device shows it."""
    number, token = one["id"], one["token"]
    found = [
        ask(app, "GET", f"/device/metafield?deviceId={number}"),
        ask(app, "GET", f"/device?deviceId={number}"),
        app.request("GET", f"/external/api/device/meta?token={token}&metaFieldId=1", key=None),
    ]
    assert [reply.status for reply in found] == [200] * 3, [reply.body for reply in found]
    return [found[0].json()[0]["value"], found[1].json()["metaFieldValues"][0]["value"], found[2].json()]


@pytest.fixture
def anew(app: App) -> dict[str, Any]:
    return device(app, template(app, "Anew", [{"name": "A", "type": "Text"}, {"name": "B", "type": "Text"}]))


@pytest.mark.parametrize(
    ("kind", "none"),
    [
        ("Number", {"value": None}),
        ("Range", {"from": None, "to": None}),
        ("Time", {"time": None}),
        ("Coordinates", {"lat": None, "lon": None}),
        ("DeviceReference", {"selectedProductIds": [], "selectedDeviceId": None}),
        ("List", {"options": ["x"], "selectedOption": None}),
        ("Email", {"value": None}),
        ("Tz", {"value": None}),
    ],
)
def test_a_value_that_its_metafield_takes_no_more_is_shown_as_none(
    app: App, anew: dict[str, Any], kind: str, none: dict[str, Any]
) -> None:
    assert write(app, anew["id"], 1, "abc").status == 204
    defined(app, kind, options=["x"] if kind == "List" else [])
    assert shown(app, anew) == [{"type": kind, **none}] * 3


@pytest.mark.parametrize("kind", USUAL)
def test_a_value_outlives_whatever_its_metafield_is_meanwhile(app: App, anew: dict[str, Any], kind: str) -> None:
    defined(app, kind)
    assert write(app, anew["id"], 1, USUAL[kind]).status == 204
    before = shown(app, anew)
    for other in (*USUAL, "DeviceReference", "DeviceName", "DeviceOwner"):
        defined(app, other, options=["x"])
        assert [value["type"] for value in shown(app, anew)] == [other] * 3
    defined(app, kind)
    assert shown(app, anew) == before


def test_the_default_stands_in_for_a_value_that_no_longer_fits(app: App, anew: dict[str, Any]) -> None:
    assert write(app, anew["id"], 1, "abc").status == 204
    defined(app, "Coordinates", default={"lat": 1, "lon": 2})
    assert shown(app, anew) == [{"type": "Coordinates", "lat": 1, "lon": 2}] * 3


def test_a_value_that_stays_is_not_in_the_way_of_others_on_any_way_in(app: App, anew: dict[str, Any]) -> None:
    assert write(app, anew["id"], 1, "abc").status == 204
    ident = app.request("GET", "/v1/devices").json()["devices"][0]["ident"]
    path, attributes = f"/v1/devices/{ident}", "/api/v0/organizations/default/projects/default/devices/{}/attributes"
    defined(app, "Coordinates")

    def says(value: str) -> int:
        query = f"token={anew['token']}&metaFieldId=2&value={value}"
        return app.request("GET", f"/external/api/device/meta/update?{query}", key=None).status

    row = b'{"ident":"%s","metadata":{"A":"abc","B":"6"}}' % ident.encode()
    taken = [
        write(app, anew["id"], 2, "1").status,
        says("2"),
        app.request("PATCH", path, {"metadata": {"B": "3"}}).status,
        app.request("PUT", path, {"template": 1, "metadata": {"A": "abc", "B": "4"}}).status,
        app.request("PATCH", attributes.format(ident), [{"string_key": "B", "value": "5"}]).status,
        app.request("POST", "/v1/devices:import", raw=row, headers={"content-type": "application/x-ndjson"}).status,
    ]
    assert taken == [204, 200, 200, 200, 204, 200]
    assert app.request("GET", path).json()["metadata"] == {"A": "abc", "B": "6"}
    refused = [
        write(app, anew["id"], 1, "abd").status,
        app.request("PATCH", path, {"metadata": {"A": "abd"}}).status,
        app.request("PATCH", attributes.format(ident), [{"string_key": "A", "value": "abd"}]).status,
        app.request("POST", "/v1/devices", {"ident": "new", "template": 1, "metadata": {"A": "abc"}}).status,
    ]
    assert refused == [400] * 4
    assert write(app, anew["id"], 1, '{"lat":1,"lon":2}').status == 204
    assert app.request("PATCH", path, {"metadata": {"A": "abc"}}).status == 400, "it cannot come back"
    assert app.request("GET", path).json()["metadata"] == {"A": {"lat": 1, "lon": 2}, "B": "6"}


@pytest.mark.parametrize(
    ("definition", "value"), [({"type": "integer"}, "UTC"), ({"type": "string", "required": True}, None)]
)
def test_a_value_that_the_organization_does_not_allow_is_refused_in_the_vendors_words(
    app: App, kind: str, definition: dict[str, Any], value: Any
) -> None:
    one = device(app, kind)
    if value is None:
        assert write(app, one["id"], ZONE, "UTC").status == 204
    before = values(app, one["id"])
    assert app.request("POST", "/v1/metadata-fields", {"name": "Zone", **definition}).status == 201
    refused = write(app, one["id"], ZONE, value)
    assert (refused.status, refused.json()) == (400, INVALID)
    assert values(app, one["id"]) == before


def test_other_apis_are_told_which_member_the_template_does_not_allow(app: App, kind: str) -> None:
    one = device(app, kind)
    ident = app.request("GET", f"/v1/devices?filter=id={one['id']}").json()["devices"][0]["ident"]
    attributes = f"/api/v0/organizations/default/projects/default/devices/{ident}/attributes"
    given = [{"string_key": "Zone", "value": "Mars/Base"}, {"string_key": "floor", "value": 2}]
    refused = app.request("PATCH", attributes, given)
    words = "Zone does not fit a metafield of type Tz."
    assert (refused.status, refused.json()["error"]["message"]) == (400, words)
    patches = {"patches": [{"op": "add", "path": "/Zone", "value": "Mars/Base"}]}
    refused = app.request("PATCH", f"/api/devmanager/v1/devices/{ident}/metadata", patches)
    assert (refused.status, refused.json()) == (400, {"err": f"metadata.{words}"})
