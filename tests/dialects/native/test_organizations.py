"""The tenant tree: making organizations below one's own, acting in them, quotas, disabling and deleting."""

import asyncio
from typing import Any

import pytest

from fleetroll.core import limits
from tests.support.app import App, Response


def within(path: str) -> dict[str, str]:
    return {"Fleetroll-Organization": path}


def make(app: App, slug: str, *, under: str | None = None, **members: Any) -> Response:
    headers = within(under) if under else {}
    return app.request("POST", "/v1/organizations", {"slug": slug, **members}, headers=headers)


def key(app: App, path: str | None = None, role: str = "admin", **members: Any) -> str:
    headers = within(path) if path else {}
    made = app.request("POST", "/v1/keys", {"name": "k", "role": role, **members}, headers=headers)
    return str(made.json()["key"])


def test_an_organization_is_found_at_its_location(app: App) -> None:
    made = make(app, "acme", name="Acme Inc.", quotas={"devices": 5})
    assert (made.status, made.headers["location"]) == (201, "/v1/organizations/acme")
    read = app.request("GET", "/v1/organizations/acme")
    assert read.headers["etag"] == made.headers["etag"]
    assert (read.json()["name"], read.json()["quotas"]["devices"]) == ("Acme Inc.", 5)
    assert make(app, "acme").json()["code"] == "organization_exists"


def test_self_is_the_organization_that_one_acts_in(app: App) -> None:
    make(app, "acme")
    assert app.request("GET", "/v1/organizations/self").json()["slug"] == "default"
    assert app.request("GET", "/v1/organizations/self", headers=within("acme")).json()["slug"] == "acme"
    assert app.request("GET", "/v1/me", headers=within("acme")).json()["organization"]["slug"] == "acme"


def test_the_header_acts_in_any_organization_below_and_in_no_other(app: App) -> None:
    make(app, "acme")
    make(app, "west", under="acme")
    app.request("PUT", "/v1/devices/d", {"name": "in west"}, headers=within("acme.west"))
    assert app.request("GET", "/v1/devices/d").status == 404
    assert app.request("GET", "/v1/devices/d", headers=within("acme")).status == 404
    assert app.request("GET", "/v1/devices/d", headers=within("acme.west")).json()["name"] == "in west"
    acme = key(app, "acme")
    assert app.request("GET", "/v1/devices/d", key=acme, headers=within("west")).json()["name"] == "in west"
    for path in ("default", "acme", "acme.west", "", ".", "west.", "..", "nowhere", "ä"):
        refused = app.request("GET", "/v1/devices/d", key=acme, headers=within(path))
        assert (refused.status, refused.json()["code"]) == (404, "organization_not_found"), path
        assert refused.json()["detail"] == f"""Organization {path or '""'} was not found."""


def test_an_organization_of_somebody_else_is_as_absent_as_one_that_never_was(app: App) -> None:
    make(app, "acme")
    make(app, "rival")
    acme = key(app, "acme")
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        foreign = app.request(method, "/v1/organizations/rival", body, key=acme)
        absent = app.request(method, "/v1/organizations/never", body, key=acme)
        assert foreign.status == absent.status == 404
        assert foreign.json()["detail"].replace("rival", "never") == absent.json()["detail"]


def test_identifiers_are_unique_within_an_organization_only(app: App) -> None:
    make(app, "acme")
    assert app.request("POST", "/v1/devices", {"ident": "d"}).status == 201
    assert app.request("POST", "/v1/devices", {"ident": "d"}, headers=within("acme")).status == 201


def test_children_are_listed_in_pages(app: App) -> None:
    for slug in ("c", "a", "b"):
        make(app, slug)
    make(app, "below", under="a")
    first = app.request("GET", "/v1/organizations?limit=2").json()
    rest = app.request("GET", f"/v1/organizations?limit=2&cursor={first['next_cursor']}").json()
    assert [[o["slug"] for o in page["organizations"]] for page in (first, rest)] == [["a", "b"], ["c"]]
    assert rest["next_cursor"] is None


def test_a_quota_stops_the_one_too_many_and_is_given_back(app: App) -> None:
    make(app, "acme", quotas={"devices": 2, "keys": 1})
    for ident in ("a", "b"):
        assert app.request("PUT", f"/v1/devices/{ident}", {}, headers=within("acme")).status == 201
    refused = app.request("PUT", "/v1/devices/c", {}, headers=within("acme"))
    assert (refused.status, refused.json()["code"]) == (403, "quota_exceeded")
    assert refused.json()["errors"] == {"noun": "devices", "quota": 2, "used": 2}
    assert app.request("GET", "/v1/organizations/acme").json()["usage"] == {"devices": 2}
    app.request("DELETE", "/v1/devices/a", headers=within("acme"))
    assert app.request("PUT", "/v1/devices/c", {}, headers=within("acme")).status == 201
    app.request("PATCH", "/v1/organizations/acme", {"quotas": {"devices": 3}})
    assert app.request("PUT", "/v1/devices/d", {}, headers=within("acme")).status == 201


def test_a_quota_below_zero_is_refused_by_the_name_of_its_member(app: App) -> None:
    refused = app.request("POST", "/v1/organizations", {"slug": "acme", "quotas": {"devices": -1}}).json()
    assert (refused["field"], refused["detail"]) == ("quotas", "quotas: Expected integer >= 0")


def test_a_change_of_one_quota_or_of_a_part_of_the_address_leaves_the_others(app: App) -> None:
    address = {"full": "1 Road", "country": "DE", "city": "Berlin", "state": None, "zip": None}
    was = make(app, "acme", quotas={"devices": 2, "keys": 1}, address=address).json()
    change = {"quotas": {"keys": None, "owners": 7}, "address": {"city": "Bonn", "full": None}}
    now = app.request("PATCH", "/v1/organizations/acme", change).json()
    assert now["quotas"] == was["quotas"] | {"keys": 1_000, "owners": 7}
    assert now["address"] == address | {"city": "Bonn", "full": None}
    assert app.request("PATCH", "/v1/organizations/acme", {"address": None}).json()["address"] is None
    assert app.request("PATCH", "/v1/organizations/acme", {"address": {"zip": "1"}}).json()["address"]["zip"] == "1"
    assert make(app, "other", quotas={"keys": None}).status == 400


# The record that each noun's quota is tried with, and the member that names it.
RECORDS: dict[str, tuple[str, dict[str, Any]]] = {
    "devices": ("ident", {}),
    "organizations": ("slug", {}),
    "keys": ("name", {"role": "viewer"}),
    "owners": ("ref", {}),
    "groups": ("name", {"filter": ""}),
    "metadata_fields": ("name", {"type": "json"}),
    "dms": ("name", {}),
    "authorities": ("name", {}),
    "templates": ("name", {}),
    "cohorts": ("slug", {}),
    "hardware_versions": ("name", {}),
}


@pytest.mark.parametrize("noun", RECORDS)
def test_a_noun_has_a_quota_that_leaves_no_trace_of_what_it_refused(app: App, noun: str) -> None:
    path, (name, members) = f"/v1/{noun.replace('_', '-')}", RECORDS[noun]
    one, two = ({name: given, **members} for given in "ab")
    make(app, "acme", quotas={noun: 1})
    made = app.request("POST", path, one, headers=within("acme"))
    assert made.status == 201
    usage = app.request("GET", "/v1/organizations/acme").json()["usage"]
    assert usage[noun] == 1
    refused = app.request("POST", path, two, headers=within("acme"))
    assert (refused.status, refused.json()["errors"]) == (403, {"noun": noun, "quota": 1, "used": 1})
    # Whoever makes sure that something exists takes a conflict as a yes.
    again = app.request("POST", path, one, headers=within("acme"))
    assert again.status == (403 if noun == "keys" else 409), "keys may share a name"
    shown = app.request("GET", path, headers=within("acme")).json()[noun]
    assert {one[name] for one in shown} - {"default"} == {"a"}
    assert app.request("GET", "/v1/organizations/acme").json()["usage"] == usage
    removed = f"{path}/{made.json()['id'] if noun == 'keys' else 'a'}"
    assert app.request("DELETE", removed, headers=within("acme")).status == 204
    assert app.request("GET", "/v1/organizations/acme").json()["usage"] == usage | {noun: 0}
    assert app.request("POST", path, two, headers=within("acme")).status == 201


def test_the_versions_of_software_that_devices_name_have_a_quota(app: App) -> None:
    make(app, "acme", quotas={"software_versions": 1})
    assert set(limits.DEFAULT_QUOTAS) == {*RECORDS, "software_versions", "tags"}  # tags are created through Blynk alone
    for ident, version, status in (
        ("a", "1", 201),
        ("b", "2", 403),
        ("b", "1", 201),
        ("b", "2", 403),
        ("b", None, 200),
    ):
        software = None if version is None else {"version": version}
        reply = app.request("PUT", f"/v1/devices/{ident}", {"software": software}, headers=within("acme"))
        assert reply.status == status, (ident, version)
    assert app.request("GET", "/v1/organizations/acme").json()["usage"] == {"devices": 2, "software_versions": 1}


def test_an_owner_beyond_the_quota_stops_the_device_that_names_it(app: App) -> None:
    make(app, "acme", quotas={"owners": 1})
    assert app.request("PUT", "/v1/devices/a", {"owners": ["ann"]}, headers=within("acme")).status == 201
    assert app.request("PUT", "/v1/devices/b", {"owners": ["bob"]}, headers=within("acme")).status == 403
    assert app.request("PATCH", "/v1/devices/a", {"owners": ["ann", "bob"]}, headers=within("acme")).status == 403
    assert app.request("GET", "/v1/organizations/acme").json()["usage"] == {"devices": 1, "owners": 1}


def test_nobody_raises_their_own_quota_or_disables_themselves(app: App) -> None:
    make(app, "acme", quotas={"devices": 1})
    acme = key(app, "acme")
    for change in ({"quotas": {"devices": 9}}, {"disabled": True}):
        refused = app.request("PATCH", "/v1/organizations/self", change, key=acme)
        assert (refused.status, refused.json()["code"]) == (400, "own_organization")
    assert app.request("PATCH", "/v1/organizations/self", {"name": "Acme"}, key=acme).json()["name"] == "Acme"


def test_disabling_an_organization_stops_its_keys_and_those_below_at_once(app: App) -> None:
    make(app, "acme")
    make(app, "west", under="acme")
    keys = [key(app, "acme"), key(app, "acme.west")]
    app.request("PATCH", "/v1/organizations/acme", {"disabled": True})
    refused = [app.request("GET", "/v1/me", key=held) for held in keys]
    assert [(reply.status, reply.json()["code"]) for reply in refused] == [(403, "organization_disabled")] * 2
    app.request("PATCH", "/v1/organizations/acme", {"disabled": False})
    assert [app.request("GET", "/v1/me", key=held).status for held in keys] == [200, 200]


def test_an_organization_that_holds_anything_but_keys_is_not_deleted(app: App) -> None:
    make(app, "acme")
    app.request("PUT", "/v1/devices/d", {}, headers=within("acme"))
    refused = app.request("DELETE", "/v1/organizations/acme")
    assert (refused.status, refused.json()["code"]) == (409, "organization_not_empty")
    assert refused.json()["errors"] == {"usage": {"devices": 1}}
    make(app, "empty")
    make(app, "below", under="empty")
    assert app.request("DELETE", "/v1/organizations/empty").status == 409


def test_deleting_an_organization_takes_its_keys_with_it(app: App) -> None:
    make(app, "acme")
    held = key(app, "acme")
    assert app.request("GET", "/v1/me", key=held).status == 200
    assert app.request("DELETE", "/v1/organizations/acme").status == 204
    assert app.request("GET", "/v1/me", key=held).status == 401
    make(app, "acme")
    assert app.request("GET", "/v1/me", key=held).status == 401
    assert app.request("GET", "/v1/organizations/acme").json()["usage"] == {}


@pytest.mark.parametrize(
    ("path", "status", "code"), [("self", 409, "own_organization"), ("default", 404, "organization_not_found")]
)
def test_nobody_deletes_their_own_organization(app: App, path: str, status: int, code: str) -> None:
    refused = app.request("DELETE", f"/v1/organizations/{path}")
    assert (refused.status, refused.json()["code"]) == (status, code)
    assert app.request("GET", "/v1/me").status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"slug": ""}, "invalid_slug"),
        ({"slug": "a.b"}, "invalid_slug"),
        ({"slug": "a/b"}, "invalid_slug"),
        ({"slug": "x" * 129}, "invalid_slug"),
        ({"slug": "self"}, "invalid_slug"),
        ({"slug": "a", "quotas": {"unicorns": 1}}, "unknown_quota"),
        ({"slug": "a", "quotas": {"devices": -1}}, "invalid_body"),
        ({"slug": "a", "unit_system": "furlongs"}, "invalid_body"),
        ({"slug": "a", "time_zone": "Mars/Base"}, "invalid_time_zone"),
        ({"slug": "a", "parent_id": 1}, "invalid_body"),
        ({"name": "a"}, "invalid_body"),
    ],
)
def test_an_organization_that_cannot_be_is_refused(app: App, body: dict[str, Any], code: str) -> None:
    refused = app.request("POST", "/v1/organizations", body)
    assert (refused.status, refused.json()["code"]) == (400, code)
    assert app.request("GET", "/v1/organizations").json()["organizations"] == []


def test_the_tree_has_a_deepest_level(app: App) -> None:
    path: list[str] = []
    while (made := make(app, "x", under=".".join(path))).status == 201:
        path.append("x")
    assert (made.status, made.json()["code"], len(path)) == (400, "tree_too_deep", 7)


def test_changes_of_the_own_organization_at_once_are_all_made(app: App) -> None:
    """Without If-Match, nobody is told that somebody else was faster."""

    async def rename(number: int) -> int:
        changed = await app.call("PATCH", "/v1/organizations/self", {"name": f"name {number}"})
        return changed.status

    async def race() -> list[int]:
        return await asyncio.gather(*map(rename, range(10)))

    assert app.runner.run(race()) == [200] * 10
    assert app.request("GET", "/v1/organizations/self").json()["revision"] == 11
