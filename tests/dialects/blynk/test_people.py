"""Users are the registry's owners: what one API says of them the others show, and a transfer heeds their status."""

from typing import Any

import pytest

from tests.support.app import App, Response

O = "/api/v1/organization"  # noqa: E741  # as the vendor's pages abbreviate it
ANN = {
    "email": "Ann@Example.com",
    "name": "Ann",
    "passwordHash": "x",
    "roleId": 2,
    "title": "Dr",
    "nickName": "A",
    "phoneNumber": "555",
    "tz": "Europe/Berlin",
    "locale": "en_US",
    "address": {"fullAddress": "1 Road", "city": "Town"},
}


def ask(app: App, method: str, path: str, body: Any = None) -> Response:
    return app.request(method, O + path, body)


def test_a_user_keeps_what_it_was_created_with(app: App) -> None:
    made = ask(app, "POST", "/users/create-in-org", ANN)
    assert made.status == 201, made.body
    shown = made.json()
    kept = {name: ANN[name] for name in ("name", "roleId", "title", "nickName", "phoneNumber", "tz", "locale")}
    assert {name: shown[name] for name in kept} == kept
    assert (shown["email"], shown["status"], shown["lastLoggedAt"]) == ("ann@example.com", "Active", 0)
    for path in ("/users", "/search/users?query=ann@", "/search/users?query=ANN"):
        assert ask(app, "GET", path).json() == {"content": [shown], "totalElements": 1}
    assert ask(app, "GET", f"/user?userId={shown['id']}").json() == shown
    owner = app.request("GET", "/v1/owners/ann@example.com").json()
    members = ("role", "status", "title", "nickname", "phone", "time_zone", "locale", "address")
    assert [owner[name] for name in members] == [
        "staff",
        "active",
        "Dr",
        "A",
        "555",
        "Europe/Berlin",
        "en_US",
        "1 Road",
    ]


def test_a_user_without_a_name_has_the_first_part_of_the_address(app: App) -> None:
    made = ask(app, "POST", "/users/create-in-org", {"email": "bob.b@example.com"})
    assert (made.status, made.json()["name"]) == (201, "bob.b")


def test_a_role_is_given(app: App) -> None:
    number = ask(app, "POST", "/users/create-in-org", ANN).json()["id"]
    given = ask(app, "PUT", f"/users/role?userId={number}&roleId=1")
    assert (given.status, given.json()["roleId"], given.json()["status"]) == (200, 1, "Active")
    assert app.request("GET", "/v1/owners/ann@example.com").json()["role"] == "admin"
    assert given.json() == ask(app, "GET", f"/user?userId={number}").json()


@pytest.mark.parametrize("query", ["", "userId=1", "userId=1&roleId=0", "userId=1&roleId=admin"])
def test_a_role_that_is_none_is_refused(app: App, query: str) -> None:
    ask(app, "POST", "/users/create-in-org", ANN)
    assert ask(app, "PUT", f"/users/role?{query}").status == 400
    assert ask(app, "GET", "/user?userId=1").json()["roleId"] == 2


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("userId=9&roleId=1", "User with identifier 9 is not found or belong to another organization."),
        ("userId=1&roleId=4", "Role is not found."),
    ],
)
def test_a_role_for_nobody_and_one_that_does_not_exist_are_not_found(app: App, query: str, message: str) -> None:
    ask(app, "POST", "/users/create-in-org", ANN)
    refused = ask(app, "PUT", f"/users/role?{query}")
    assert (refused.status, refused.json()) == (404, {"error": {"message": message}})
    assert ask(app, "GET", "/user?userId=1").json()["roleId"] == 2


def test_a_device_goes_only_to_who_is_active(app: App) -> None:
    template = ask(app, "POST", "/template/create", {"name": "Meter"}).json()["templateIds"][0]
    device = ask(app, "POST", "/device/create", {"templateId": template}).json()["id"]
    guest = ask(app, "POST", "/users/invite", {"email": "guest@example.com", "name": "Guest", "roleId": 3}).json()
    assert guest["status"] == "Pending"
    handed = {"deviceId": device, "newUserId": guest["id"]}
    for status in ("pending", "inactive", "suspended"):
        changed = app.request("PATCH", "/v1/owners/guest@example.com", {"status": status})
        assert (changed.status, changed.json()["status"]) == (200, status)
        assert ask(app, "GET", f"/user?userId={guest['id']}").json()["status"] == status.capitalize()
        assert ask(app, "POST", "/device/transfer/to-owner", handed).status == 400
    assert "ownerUserId" not in ask(app, "GET", f"/device?deviceId={device}").json()
    app.request("PATCH", "/v1/owners/guest@example.com", {"status": "active"})
    assert ask(app, "POST", "/device/transfer/to-owner", handed).status == 204
    assert ask(app, "GET", f"/device?deviceId={device}").json()["ownerUserId"] == guest["id"]


@pytest.mark.parametrize(
    "change",
    [
        {"role": "king"},
        {"status": "Active"},
        {"time_zone": "not a zone"},
        {"time_zone": "Mars/Base"},
        {"title": 5},
        {"role": None},
    ],
)
def test_our_own_api_refuses_what_no_owner_is(app: App, change: dict[str, Any]) -> None:
    was = app.request("POST", "/v1/owners", {"ref": "ann@example.com"}).json()
    assert (was["role"], was["status"]) == ("user", "active")
    assert app.request("PATCH", "/v1/owners/ann@example.com", change).status == 400
    assert app.request("POST", "/v1/owners", {"ref": "bob@example.com", **change}).status == 400
    assert app.request("GET", "/v1/owners").json()["owners"] == [was]


@pytest.mark.parametrize("zone", ["Mars/Base", "europe/berlin", "Europe/Berlin/", "localtime", "../UTC", ""])
def test_a_user_and_an_organization_are_in_a_zone_that_exists(app: App, zone: str) -> None:
    assert ask(app, "POST", "/users/create-in-org", {**ANN, "tz": zone}).status == 400
    founder = {"email": "first@example.com", "name": "First", "timeZone": zone}
    assert ask(app, "POST", "/users/create", founder).status == 400
    refused = app.request("PATCH", "/v1/organizations/self", {"time_zone": zone})
    assert (refused.status, refused.json()["code"]) == (400, "invalid_time_zone")
    assert ask(app, "GET", "/users").json()["totalElements"] == 0
    assert app.request("GET", "/v1/organizations/self").json()["time_zone"] == "UTC"


def test_a_device_takes_its_owner_along_to_another_organization(app: App) -> None:
    branch = ask(app, "POST", "/create", {"name": "Branch"}).json()["id"]
    template = ask(app, "POST", "/template/create", {"name": "Meter"}).json()["templateIds"][0]
    ann = ask(app, "POST", "/users/create-in-org", ANN).json()
    device = ask(app, "POST", "/device/create", {"templateId": template, "ownerId": ann["id"]}).json()["id"]
    app.request("PATCH", "/v1/owners/ann@example.com", {"status": "suspended"})
    moved = ask(app, "POST", "/device/transfer/to-organization", {"deviceId": device, "newOrgId": branch})
    assert moved.status == 204
    there = ask(app, "GET", f"/device?deviceId={device}").json()
    shown = ask(app, "GET", f"/user?userId={there['ownerUserId']}").json()
    same = ("name", "email", "roleId", "title", "tz", "status")
    assert [shown[name] for name in same] == ["Ann", "ann@example.com", 2, "Dr", "Europe/Berlin", "Suspended"]
    assert shown["orgId"] == branch


def test_a_user_is_made_with_an_organization_which_it_administers(app: App) -> None:
    first = {"email": "first@example.com", "name": "First", "passwordHash": "x", "timeZone": "Europe/Berlin"}
    assert ask(app, "POST", "/users/create", {**first, "organizationName": "Own"}).status == 204
    assert ask(app, "POST", "/users/create", {**first, "email": "second@example.com"}).status == 204
    found = ask(app, "GET", "/sub-organizations").json()["content"]
    assert [(one["name"], one["tz"]) for one in found] == [("Own", "Europe/Berlin"), ("First", "Europe/Berlin")]
    people = ask(app, "GET", "/users?includeSubOrgUsers=true").json()["content"]
    assert [(one["email"], one["orgId"], one["roleId"], one["status"]) for one in people] == [
        ("first@example.com", found[0]["id"], 1, "Active"), ("second@example.com", found[1]["id"], 1, "Active"),
    ]  # fmt: skip
    assert ask(app, "POST", "/users/create", {**first, "email": "none"}).status == 400
    assert ask(app, "GET", "/sub-organizations").json()["totalElements"] == 2, "a refusal makes no organization either"


def test_users_and_templates_are_listed_by_page(app: App) -> None:
    branch = ask(app, "POST", "/create", {"name": "Branch"}).json()["id"]
    made = [("b@a.de", branch), ("c@a.de", 1), ("a@a.de", branch), ("a@a.de", 1), ("b@a.de", 1)]
    for email, org in made:
        assert ask(app, "POST", "/users/create-in-org", {"email": email, "orgId": org}).status == 201
    whole = sorted(((org, email) for email, org in made))
    for size in (1, 2, 3, 5):
        pages = [ask(app, "GET", f"/users?includeSubOrgUsers=true&size={size}&page={page}").json() for page in range(6)]
        assert [(one["orgId"], one["email"]) for page in pages for one in page["content"]] == whole
        assert {page["totalElements"] for page in pages} == {5}
    own = ask(app, "GET", "/users?size=2&page=1").json()
    assert ([one["email"] for one in own["content"]], own["totalElements"]) == (["c@a.de"], 3)
    found = ask(app, "GET", "/search/users?query=%40A.DE&size=1&page=2").json()
    assert ([one["email"] for one in found["content"]], found["totalElements"]) == (["c@a.de"], 3)
    for name in "cab":
        assert ask(app, "POST", "/template/create", {"name": name}).status == 201
    templates = ask(app, "GET", "/templates?size=2&page=1").json()
    assert ([one["name"] for one in templates["content"]], templates["totalElements"]) == (["c"], 3)


def test_a_user_registers_by_its_address(app: App) -> None:
    assert ask(app, "POST", "/users/register", {"email": "late@example.com", "locale": "en_US"}).status == 204
    (user,) = ask(app, "GET", "/users").json()["content"]
    assert (user["email"], user["locale"], user["status"], user["roleId"]) == (
        "late@example.com",
        "en_US",
        "Pending",
        3,
    )
    assert ask(app, "POST", "/users/register", {"email": "late@example.com"}).status == 400
    assert ask(app, "POST", "/users/register", {"email": "late"}).status == 400


def test_a_user_goes_to_another_organization_without_devices(app: App) -> None:
    branch = ask(app, "POST", "/create", {"name": "Branch"}).json()["id"]
    template = ask(app, "POST", "/template/create", {"name": "Meter"}).json()["templateIds"][0]
    ann = ask(app, "POST", "/users/create-in-org", ANN).json()
    device = ask(app, "POST", "/device/create", {"templateId": template, "ownerId": ann["id"]}).json()["id"]
    moved = {"userId": ann["id"], "targetOrgId": branch, "roleId": 1}
    before = ask(app, "GET", "/users?includeSubOrgUsers=true").json()
    for body, status, message in (
        (moved, 400, "This user has devices; transfer them first."),
        ({**moved, "targetOrgId": 99}, 404, "Target organization is not found."),
        ({**moved, "userId": 99}, 404, "User with identifier 99 is not found or belong to another organization."),
        ({**moved, "roleId": 9}, 400, "roleId must be one of 1, 2, 3."),
    ):
        refused = ask(app, "POST", "/users/transfer", body)
        assert (refused.status, refused.json()["error"]["message"]) == (status, message)
    assert ask(app, "GET", "/users?includeSubOrgUsers=true").json() == before
    assert ask(app, "DELETE", f"/device/owner?deviceId={device}").status == 204
    gone = ask(app, "POST", "/users/transfer", moved)
    assert (gone.status, gone.json()["orgId"], gone.json()["roleId"], gone.json()["title"]) == (201, branch, 1, "Dr")
    assert ask(app, "GET", "/users?includeSubOrgUsers=true").json()["content"] == [gone.json()]


def test_a_user_does_not_go_where_its_address_is_taken(app: App) -> None:
    branch = ask(app, "POST", "/create", {"name": "Branch"}).json()["id"]
    ann = ask(app, "POST", "/users/create-in-org", ANN).json()
    ask(app, "POST", "/users/create-in-org", {**ANN, "orgId": branch})
    assert ask(app, "POST", "/users/transfer", {"userId": ann["id"], "targetOrgId": branch, "roleId": 1}).status == 400
    assert ask(app, "GET", f"/user?userId={ann['id']}").json() == ann
