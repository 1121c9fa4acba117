"""One fleet over a tree of organizations: what moves with a device, what a refusal leaves alone, and who sees what."""

import asyncio
import itertools
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import structs

from fleetroll.dialects.blynk.mapping.numbered_devices import SORTS
from fleetroll.dialects.blynk.routes import DIALECT
from fleetroll.dialects.native.routes import DIALECT as NATIVE
from fleetroll.wire.log import AccessLog
from fleetroll.wire.metrics import Metrics
from fleetroll.wire.rate_limits import Rate
from fleetroll.wire.serve import Kernel
from fleetroll.wire.settings import Settings
from tests.support.app import App, Response, asgi, running

O = "/api/v1/organization"  # noqa: E741  # as the vendor's pages abbreviate it
DEVICE = "/external/api"
METER = {
    "name": "Meter",
    "datastreams": [{"pin": 1, "alias": "temp"}],
    "events": [{"eventCode": "hot", "name": "Hot", "type": "WARNING"}],
    "metafields": [{"name": "Site", "type": "Text"}],
}


def ask(app: App, method: str, path: str, body: Any = None, **more: Any) -> Response:
    return app.request(method, O + path, body, **more)


def organization(app: App, name: str, parent: int = 1) -> int:
    made = ask(app, "POST", "/create", {"name": name, "parentId": parent})
    assert made.status == 201, made.body
    return int(made.json()["id"])


def template(app: App) -> str:
    made = ask(app, "POST", "/template/create", METER)
    assert made.status == 201, made.body
    return str(made.json()["templateIds"][0])


def device(app: App, template: str, **members: Any) -> dict[str, Any]:
    made = ask(app, "POST", "/device/create?baseInfo=true", {"templateId": template, **members})
    assert made.status == 201, made.body
    found: dict[str, Any] = made.json()
    return found


def names(reply: Response) -> list[str]:
    return [one["name"] for one in reply.json()["content"]]


def test_a_page_goes_down_the_tree_and_counts_all_of_it(app: App) -> None:
    kind = template(app)
    left, right = organization(app, "left"), organization(app, "right")
    leaf = organization(app, "leaf", left)
    made = [device(app, kind, name=f"d{place}-{n}", orgId=org)["name"]
            for place, org in (("a", 1), ("b", left), ("c", right), ("d", leaf)) for n in range(3)]  # fmt: skip
    for size in (1, 2, 5, 12, 1000):
        pages = [ask(app, "GET", f"/devices?includeSubOrgDevices=true&page={page}&size={size}") for page in range(13)]
        assert list(itertools.chain.from_iterable(map(names, pages))) == made
        assert {page.json()["totalElements"] for page in pages} == {12}
    below = ask(app, "GET", f"/devices?includeSubOrgDevices=true&orgId={left}")
    assert (names(below), below.json()["totalElements"]) == ([*made[3:6], *made[9:]], 6)
    assert ask(app, "GET", f"/devices?orgId={left}").json()["totalElements"] == 3


def test_a_device_moves_with_its_readings_its_events_and_its_token(app: App) -> None:
    kind, branch = template(app), organization(app, "branch")
    one = device(app, kind)
    assert app.request("GET", f"{DEVICE}/update?token={one['token']}&v1=24.5", key=None).status == 200
    hot = {"deviceId": one["id"], "eventCode": "hot"}
    assert ask(app, "POST", "/device/trigger-event", hot).status == 204
    before = ask(app, "GET", f"/device/timeline?deviceId={one['id']}").json()
    moved = ask(app, "POST", "/device/transfer/to-organization", {"deviceId": one["id"], "newOrgId": branch})
    assert moved.status == 204
    inside = app.request(
        "POST", "/v1/keys", {"name": "k", "role": "admin"}, headers={"fleetroll-organization": "branch"}
    )
    key = inside.json()["key"]
    there = ask(app, "GET", f"/device?deviceId={one['id']}", key=key).json()
    assert (there["orgId"], there["token"], there["dataStreamValues"][0]["value"]) == (branch, one["token"], 24.5)
    after = ask(app, "GET", f"/device/timeline?deviceId={one['id']}", key=key).json()
    assert [event["id"] for event in after["content"]] == [event["id"] for event in before["content"]]
    assert app.request("GET", f"{DEVICE}/get?token={one['token']}&v1", key=None).json() == 24.5
    assert ask(app, "GET", "/devices").json()["totalElements"] == 0


def test_a_refused_transfer_changes_nothing(app: App) -> None:
    kind, branch = template(app), organization(app, "branch")
    ask(app, "POST", "/users/create-in-org", {"email": "ann@example.com"})
    ask(app, "POST", "/users/create-in-org", {"email": "bob@example.com", "orgId": branch})
    one = device(app, kind, ownerId=1)
    app.request("PATCH", "/v1/organizations/branch", {"quotas": {"devices": 0}})
    seen = [app.request("GET", path).json() for path in ("/v1/devices", "/v1/owners", "/v1/organizations/branch")]
    for body in ({"newUserId": 2}, {"newOrgId": branch}, {"newUserId": 99}, {"newOrgId": 99}, {"newUserId": 1}):
        assert ask(app, "POST", "/device/transfer", {"deviceId": one["id"], **body}).status in {400, 403, 404}, body
    assert [
        app.request("GET", path).json() for path in ("/v1/devices", "/v1/owners", "/v1/organizations/branch")
    ] == seen
    assert ask(app, "GET", f"/device/logs?deviceId={one['id']}").json()["totalElements"] == 1


def test_only_who_may_write_a_device_sees_its_token(app: App) -> None:
    kind = template(app)
    one = device(app, kind)
    for role, token in (("viewer", ""), ("operator", one["token"]), ("admin", one["token"])):
        key = app.request("POST", "/v1/keys", {"name": role, "role": role}).json()["key"]
        assert ask(app, "GET", "/devices", key=key).json()["content"][0]["token"] == token
        assert ask(app, "GET", f"/device?deviceId={one['id']}", key=key).json()["token"] == token


def test_a_device_that_is_out_of_service_has_no_token(app: App) -> None:
    one = device(app, template(app))
    (ident,) = (found["ident"] for found in app.request("GET", "/v1/devices").json()["devices"])
    assert app.request("POST", f"/v1/devices/{ident}:decommission").status == 200
    assert app.request("GET", f"/external/api/getAll?token={one['token']}", key=None).status == 400
    assert ask(app, "GET", "/devices").json()["content"][0]["token"] == ""
    assert ask(app, "GET", f"/device?deviceId={one['id']}").json()["token"] == ""


def test_a_reply_that_shows_the_token_of_a_device_is_not_to_be_stored(app: App) -> None:
    assert ask(app, "POST", "/users/create-in-org", {"email": "ann@example.com"}).status == 201
    kind = template(app)
    one = device(app, kind, name="One", ownerId=1)
    number = f"deviceId={one['id']}"
    asked: list[tuple[str, str, Any]] = [
        *(("GET", f"/{path}?{number}", None) for path in ("device", "device/baseInfo")),
        ("GET", "/devices", None),
        ("GET", "/search/devices?query=one", None),
        ("GET", "/device/by-owner?ownerEmail=ann@example.com", None),
        ("GET", "/device/by-user-org?userEmail=ann@example.com", None),
        ("PUT", f"/device?{number}", {"name": "Two"}),
        ("POST", "/device/create", {"templateId": kind}),
    ]
    for method, path, body in asked:
        reply = ask(app, method, path, body)
        assert b'"token":"AAAA' in reply.body, path
        assert reply.headers["cache-control"] == "no-store", path


def test_a_search_is_sorted_by_each_of_the_vendors_columns(app: App) -> None:
    kind = template(app)
    ask(app, "POST", "/users/create-in-org", {"email": "ann@example.com"})
    made = [
        device(app, kind, name="pump b", ownerId=1),
        device(app, kind, name="pump a"),
        device(app, kind, name="pump c"),
    ]
    assert app.request("GET", f"{DEVICE}/update?token={made[1]['token']}&v1=1", key=None).status == 200
    first = {"Name": "pump a", "Activated At": "pump a", "Last Reported At": "pump a"}
    for column, order in itertools.product(SORTS, ("ASC", "DESC")):
        reply = ask(app, "GET", f"/search/devices?query=pump&sortBy={column.replace(' ', '%20')}&sortOrder={order}")
        assert (reply.status, reply.json()["totalElements"]) == (200, 3), column
        assert sorted(names(reply)) == ["pump a", "pump b", "pump c"], column
        if column in first and (order == "ASC" or column != "Name"):
            assert names(reply)[0] == first[column], column
    assert names(ask(app, "GET", "/search/devices?query=pump&sortBy=Status&sortOrder=DESC"))[0] == "pump a"


def test_an_organization_has_so_many_requests_a_minute(tmp_path: Path) -> None:
    assert DIALECT.per_minute == 10_000
    dialect = structs.replace(DIALECT, per_minute=3)
    with running(tmp_path / "data") as app:

        async def calls(rate: float) -> list[Response]:
            log = AccessLog(None, asyncio.get_running_loop())
            limited = Settings(organization_rate=Rate(rate, 1_000_000))
            kernel = Kernel(app.services, (dialect, NATIVE), NATIVE, limited, Metrics(), log)
            headers = {"authorization": f"Bearer {app.key}"}
            return [await asgi(kernel, "GET", path, headers, b"") for path in (*[f"{O}/profile"] * 4, "/v1/me")]

        assert {reply.status for reply in app.runner.run(calls(0))} == {200}, "limits are switched off"
        *passed, last, native = app.runner.run(calls(1_000_000))
        assert [reply.status for reply in passed] == [200] * 3
        assert last.status == 429
        assert 30 < int(last.headers["retry-after"]) <= 60, "when the minute is over that began with the first of them"
        assert list(last.json()) == ["error"]
        assert native.status == 200, "it is the vendor's limit, and holds for its API alone"


def numbers(reply: Response) -> list[int]:
    return [one["id"] for one in reply.json()["content"]]


def test_the_devices_of_a_person_are_found_in_all_organizations_where_it_has_some(app: App) -> None:
    kind, branch = template(app), organization(app, "branch")
    ask(app, "POST", "/users/create-in-org", {"email": "ann@example.com"})
    ask(app, "POST", "/users/create-in-org", {"email": "bob@example.com", "orgId": branch})
    made = [device(app, kind, ownerId=1)["id"] for _ in range(4)]
    others = [device(app, kind)["id"], device(app, kind, orgId=branch, ownerId=2)["id"]]
    for number in made[1:3]:
        body = {"deviceId": number, "newOrgId": branch}
        assert ask(app, "POST", "/device/transfer/to-organization", body).status == 204
    here, there = [made[0], made[3]], made[1:3]
    by_owner = "/device/by-owner?ownerEmail=ann@example.com"
    for size in (1, 2, 3, 4, 1000):
        pages = [ask(app, "GET", f"{by_owner}&page={page}&size={size}") for page in range(5)]
        assert list(itertools.chain.from_iterable(map(numbers, pages))) == [*here, *there], size
        assert {page.json()["totalElements"] for page in pages} == {4}
    assert numbers(ask(app, "GET", f"{by_owner}&orgId={branch}")) == there
    # And the organizations of a person are all that it belongs to.
    found = ask(app, "GET", "/device/by-user-org?userEmail=ann@example.com&page=1&size=3")
    assert (numbers(found), found.json()["totalElements"]) == ([*there, others[1]], 6)
    assert numbers(ask(app, "GET", "/device/by-user-org?userEmail=bob@example.com")) == [*there, others[1]]


def test_a_user_whom_another_api_calls_by_no_address_is_asked_for_as_it_is_shown(app: App) -> None:
    fields = [{"name": "Whose", "type": "DeviceOwner"}]
    made = ask(app, "POST", "/template/create", {"name": "Owned", "metafields": fields}).json()
    one, other = (device(app, made["templateIds"][0])["id"] for _ in range(2))
    ident = app.request("GET", f"/v1/devices?filter=id={one}").json()["devices"][0]["ident"]
    serial = f"/api/v0/organizations/default/projects/default/devices/{ident}"
    assert app.request("PATCH", serial, {"owner_ref": "Crew 7"}).status == 200
    (user,) = ask(app, "GET", "/users").json()["content"]
    for path in ("/device/by-owner?ownerEmail=", "/device/by-user-org?userEmail="):
        assert one in numbers(ask(app, "GET", path + quote(user["email"])))
    (field,) = ask(app, "GET", f"/device/metafield?deviceId={one}").json()
    body = {"deviceId": other, "metaFieldId": field["id"], "newValue": field["value"]["value"]}
    assert ask(app, "POST", "/device/metafield", body).status == 204
    assert numbers(ask(app, "GET", f"/device/by-owner?ownerEmail={quote(user['email'])}")) == [one, other]


def test_devices_of_a_person_in_another_tree_are_not_shown(app: App) -> None:
    kind, left, right = template(app), organization(app, "left"), organization(app, "right")
    for number, org in ((1, left), (2, right)):
        ask(app, "POST", "/users/create-in-org", {"email": "ann@example.com", "orgId": org})
        device(app, kind, orgId=org, ownerId=number)
    made = app.request("POST", "/v1/keys", {"name": "k", "role": "admin"}, headers={"fleetroll-organization": "left"})
    for path in ("/device/by-owner?ownerEmail=ann@example.com", "/device/by-user-org?userEmail=ann@example.com"):
        found = ask(app, "GET", path, key=made.json()["key"]).json()
        assert ([one["orgId"] for one in found["content"]], found["totalElements"]) == ([left], 1)
        assert ask(app, "GET", path).json()["totalElements"] == 2


def test_a_new_owner_is_known_by_any_of_its_names_and_goes_before_an_organization(app: App) -> None:
    kind, branch = template(app), organization(app, "branch")
    for name in ("ann", "bob"):
        ask(app, "POST", "/users/create-in-org", {"email": f"{name}@example.com"})
    one = device(app, kind)["id"]
    owners = itertools.cycle((1, 2))
    for path in ("/device/transfer", "/device/transfer/to-owner"):
        for word in ("newUserId", "newOwnerUserId", "newOwnerId", "userId", "ownerId"):
            for more in ({}, {"newOrgId": branch}):
                owner = next(owners)
                assert ask(app, "POST", path, {"deviceId": one, word: owner, **more}).status == 204, word
                shown = ask(app, "GET", f"/device?deviceId={one}").json()
                assert (shown["ownerUserId"], shown["orgId"]) == (owner, 1), (path, word, more)
    for word, org in (("newOrgId", branch), ("newOrganizationId", 1), ("orgId", branch), ("organizationId", 1)):
        assert ask(app, "POST", "/device/transfer", {"deviceId": one, word: org}).status == 204
        assert ask(app, "GET", f"/device?deviceId={one}").json()["orgId"] == org, word


def test_a_new_owner_takes_the_place_of_the_one_that_is_shown(app: App) -> None:
    """Further owners, such as Telemetron's customers who share the device, are not shown, and stay."""
    one = device(app, template(app))["id"]
    for name in ("ann", "bob"):
        assert ask(app, "POST", "/users/create-in-org", {"email": f"{name}@example.com"}).status == 201
    url = f"/v1/devices/{app.request('GET', '/v1/devices?limit=1').json()['devices'][0]['ident']}"
    assert app.request("PATCH", url, {"owners": ["ann@example.com", "eve@example.com"]}).status == 200
    for path in ("/device/transfer/to-owner", "/device/transfer"):
        refused = ask(app, "POST", path, {"deviceId": one, "newUserId": 1})
        assert (refused.status, refused.json()["error"]["message"]) == (400, "Can't transfer to the same owner")
    assert app.request("GET", url).json()["owners"] == ["ann@example.com", "eve@example.com"]
    assert ask(app, "POST", "/device/transfer/to-owner", {"deviceId": one, "newUserId": 2}).status == 204
    assert app.request("GET", url).json()["owners"] == ["bob@example.com", "eve@example.com"]


def test_clearing_is_itself_on_record(app: App) -> None:
    kind = template(app)
    one = device(app, kind)
    app.request("GET", f"{DEVICE}/update?token={one['token']}&v1=1", key=None)
    assert ask(app, "DELETE", f"/device/clear?deviceId={one['id']}").status == 204
    assert ask(app, "GET", f"/device/timeline?deviceId={one['id']}").json() == {"content": [], "totalElements": 0}
    newest = ask(app, "GET", f"/device/logs?deviceId={one['id']}").json()["content"][0]
    assert newest["value"] == "device.cleared"


def test_a_name_and_an_owner_that_are_metafields_are_the_devices_own(app: App) -> None:
    fields = [{"name": "Device Name", "type": "DeviceName"}, {"name": "Device Owner", "type": "DeviceOwner"}]
    made = ask(app, "POST", "/template/create", {"name": "Named", "metafields": fields}).json()
    one = device(app, made["templateIds"][0], name="Before")
    assert ask(app, "POST", "/users/create-in-org", {"email": "ann@example.com"}).status == 201
    assert ask(app, "POST", "/users/invite", {"email": "bob@example.com"}).status == 201
    for number, value in ((1, "After"), (2, "Ann@example.com")):
        body = {"deviceId": one["id"], "metaFieldId": number, "newValue": value}
        assert ask(app, "POST", "/device/metafield", body).status == 204
    # No user, one whose account is pending, and names that renaming would refuse as well.
    for number, value in ((2, "eve@example.com"), (2, "bob@example.com"), (1, "a/b"), (1, ""), (1, " "), (1, "x" * 51)):
        body = {"deviceId": one["id"], "metaFieldId": number, "newValue": value}
        refused = ask(app, "POST", "/device/metafield", body)
        assert refused.status == 400, value
        assert refused.json() == {"error": {"message": "The provided value for metafield is invalid."}}
    read = ask(app, "GET", f"/device/metafield?deviceId={one['id']}").json()
    assert [field["value"]["value"] for field in read] == ["After", "ann@example.com"]
    assert ask(app, "GET", f"/device?deviceId={one['id']}").json()["name"] == "After"
    assert ask(app, "GET", "/device/by-owner?ownerEmail=ann@example.com").json()["totalElements"] == 1


def test_an_owner_who_comes_first_is_there_once(app: App) -> None:
    made = ask(
        app, "POST", "/template/create", {"name": "Owned", "metafields": [{"name": "Whose", "type": "DeviceOwner"}]}
    )
    one = device(app, made.json()["templateIds"][0])
    for name in ("ann", "bob"):
        assert ask(app, "POST", "/users/create-in-org", {"email": f"{name}@example.com"}).status == 201
    ident = app.request("GET", "/v1/devices?limit=1").json()["devices"][0]["ident"]
    owners = ["ann@example.com", "bob@example.com", "eve@example.com"]
    assert app.request("PATCH", f"/v1/devices/{ident}", {"owners": owners}).status == 200
    body = {"deviceId": one["id"], "metaFieldId": 1, "newValue": "bob@example.com"}
    assert ask(app, "POST", "/device/metafield", body).status == 204
    assert app.request("GET", f"/v1/devices/{ident}").json()["owners"] == ["bob@example.com", "eve@example.com"]
