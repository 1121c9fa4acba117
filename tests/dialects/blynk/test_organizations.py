"""What an organization is said to be is kept, and shown alike by Blynk's API and by our own."""

from typing import Any

import pytest

from tests.support.app import App, Response

O = "/api/v1/organization"  # noqa: E741  # as the vendor's pages abbreviate it
BRANCH: dict[str, Any] = {
    "name": "Branch",
    "description": "North",
    "tz": "Europe/Berlin",
    "unitSystem": "IMPERIAL",
    "phoneNumber": "555",
    "address": {"fullAddress": "1 Road, Town", "country": "X", "city": "Town", "state": None, "zip": "1"},
}


def ask(app: App, method: str, path: str, body: Any = None) -> Response:
    return app.request(method, O + path, body)


def test_an_organization_keeps_what_it_was_created_with(app: App) -> None:
    made = ask(app, "POST", "/create", {**BRANCH, "type": "BRANCH", "parentId": 1})
    assert made.status == 201, made.body
    shown = made.json()
    assert {name: shown[name] for name in BRANCH} == BRANCH
    assert ask(app, "GET", f"?orgId={shown['id']}").json() == shown
    for path in ("/search?query=bra", "/sub-organizations"):
        assert ask(app, "GET", path).json() == {"content": [shown], "totalElements": 1}
    ours = app.request("GET", "/v1/organizations/branch").json()
    assert [ours[name] for name in ("description", "time_zone", "unit_system", "phone")] == [
        "North", "Europe/Berlin", "imperial", "555",
    ]  # fmt: skip
    assert ours["address"] == {"full": "1 Road, Town", "country": "X", "city": "Town", "state": None, "zip": "1"}


def test_what_our_own_api_changes_is_seen_by_a_vendors_client(app: App) -> None:
    number = ask(app, "POST", "/create", BRANCH).json()["id"]
    changed = app.request("PATCH", "/v1/organizations/branch", {"time_zone": "UTC", "address": None})
    assert (changed.status, changed.json()["description"]) == (200, "North")
    shown = ask(app, "GET", f"?orgId={number}").json()
    assert (shown["tz"], shown["address"], shown["description"], shown["unitSystem"]) == (
        "UTC",
        None,
        "North",
        "IMPERIAL",
    )
    own = app.request("PATCH", "/v1/organizations/self", {"description": "ours"})
    assert own.status == 200
    assert ask(app, "GET", "/profile").json()["description"] == "ours"


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "CLUB"},
        {"tz": "not a zone"},
        {"tz": "Mars/Base"},
        {"unitSystem": "metric"},
        {"description": "a\x00b"},
        {"phoneNumber": ""},
        {"address": {"city": "a\nb"}},
        {"address": "1 Road"},
    ],
)
def test_what_no_organization_has_is_refused(app: App, wrong: dict[str, Any]) -> None:
    assert ask(app, "POST", "/create", {**BRANCH, **wrong}).status == 400
    assert ask(app, "GET", "/sub-organizations").json()["totalElements"] == 0


def test_an_organization_below_one_that_does_not_exist_is_refused(app: App) -> None:
    refused = ask(app, "POST", "/create", {**BRANCH, "parentId": 9})
    message = "Parent organization is not found or you don't have access to it."
    assert (refused.status, refused.json()) == (404, {"error": {"message": message}})


@pytest.mark.parametrize("name", ["Self", "Default", "Branch"])
def test_an_organization_of_any_name_is_reached_by_every_api(app: App, name: str) -> None:
    numbers = [ask(app, "POST", "/create", {"name": name}).json()["id"] for _ in "ab"]
    slugs = [one["slug"] for one in app.request("GET", "/v1/organizations").json()["organizations"]]
    assert [app.request("GET", f"/v1/organizations/{slug}").json()["id"] for slug in slugs] == numbers
    projects = "/api/v0/organizations/default/projects"
    assert [app.request("GET", f"{projects}/{slug}").json()["data"]["id"] for slug in slugs] == numbers


def test_the_users_and_templates_of_an_organization_are_deleted_with_it(app: App) -> None:
    """No route of the vendor's deletes a user, and a transferred device leaves its owner behind."""
    number = ask(app, "POST", "/create", BRANCH).json()["id"]
    below = {"Fleetroll-Organization": "branch"}
    assert ask(app, "POST", "/users/create-in-org", {"email": "ann@example.com", "orgId": number}).status == 201
    assert app.request("POST", "/v1/templates", {"name": "Meter"}, headers=below).status == 201
    assert app.request("POST", "/v1/devices", {"ident": "probe"}, headers=below).status == 201
    assert ask(app, "DELETE", f"?orgId={number}").status == 400
    assert [
        app.request("GET", f"/v1/{kept}", headers=below).status
        for kept in ("owners/ann@example.com", "templates/Meter")
    ] == [200, 200]
    assert app.request("DELETE", "/v1/devices/probe", headers=below).status == 204
    assert app.request("DELETE", "/v1/organizations/branch").status == 409, "our own API loses nothing unasked"
    assert ask(app, "DELETE", f"?orgId={number}").status == 204
    assert ask(app, "GET", "/users?includeSubOrgUsers=true").json() == {"content": [], "totalElements": 0}
    anew = ask(app, "POST", "/create", BRANCH).json()["id"]
    assert ask(app, "GET", f"/templates?orgId={anew}").json() == {"content": [], "totalElements": 0}


def test_what_the_vendor_does_not_know_keeps_an_organization(app: App) -> None:
    number = ask(app, "POST", "/create", BRANCH).json()["id"]
    group = {"name": "halls", "filter": "name:hall"}
    assert app.request("POST", "/v1/groups", group, headers={"Fleetroll-Organization": "branch"}).status == 201
    assert ask(app, "DELETE", f"?orgId={number}").status == 400


def test_a_search_is_in_the_order_asked_for(app: App) -> None:
    for name in ("bravo hall", "Alpha hall", "charlie hall"):
        ask(app, "POST", "/create", {"name": name})

    def found(query: str) -> list[str]:
        return [one["name"].split()[0] for one in ask(app, "GET", f"/search?query=hall{query}").json()["content"]]

    assert found("") == ["bravo", "Alpha", "charlie"]
    assert found("&sortBy=Name") == ["Alpha", "bravo", "charlie"]
    assert found("&sortBy=Name&sortOrder=DESC&page=1&size=1") == ["bravo"]
    assert found("&sortOrder=DESC") == ["charlie", "Alpha", "bravo"]
    assert ask(app, "GET", "/search?query=hall&sortBy=Colour").status == 400


@pytest.mark.parametrize("word", ["orgId", "organizationId"])
def test_a_client_that_is_made_gets_tokens_for_its_own_organization_and_for_no_more_than_its_maker(
    app: App, word: str
) -> None:
    below = ask(app, "POST", "/create", BRANCH).json()["id"]
    made = ask(app, "POST", "/oauth/clients/create", {"name": "app", word: below})
    assert (made.status, list(made.json())) == (201, ["orgId", "name", "clientId", "secret", "redirectUrls"])
    said = made.json()
    assert (said["orgId"], said["name"], said["redirectUrls"]) == (below, "app", [])
    asked = f"/oauth2/token?grant_type=client_credentials&client_id={said['clientId']}&client_secret={said['secret']}"
    token = app.request("POST", asked, key=None).json()["access_token"]
    assert app.request("GET", f"{O}/profile", key=token).json()["id"] == below
    viewer = app.request("POST", "/v1/keys", {"name": "v", "role": "viewer"}).json()["key"]
    for refused in (
        app.request("POST", f"{O}/oauth/clients/create", {"name": "x"}, key=viewer),
        ask(app, "POST", "/oauth/clients/create", {"name": "x", "orgId": 99}),
        ask(app, "POST", "/oauth/clients/create", {"name": "x", "redirectUrls": ["https://example.com"]}),
        ask(app, "POST", "/oauth/clients/create", {"name": ""}),
    ):
        assert refused.status in {400, 403, 404}
    assert len(app.request("GET", "/v1/keys").json()["keys"]) == 2
