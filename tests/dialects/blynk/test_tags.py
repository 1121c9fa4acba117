"""Tags by number: made, given to devices of the tree, taken away, and the same tags that every other API writes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetroll.core import limits
from fleetroll.core.ids import text_number
from tests.support.app import App, Response, running

O = "/api/v1/organization"  # noqa: E741  # as the vendor's pages abbreviate it


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        app.request("POST", "/v1/devices", {"ident": "pump", "tags": ["Hall 5"]})
        yield app


def ask(app: App, method: str, path: str, body: Any = None) -> Response:
    return app.request(method, O + path, body)


def tags(app: App, ident: str = "pump") -> list[str]:
    found: list[str] = app.request("GET", f"/v1/devices/{ident}").json()["tags"]
    return found


def test_a_tag_is_made_and_given_and_taken_away(app: App) -> None:
    made = ask(app, "POST", "/tag/create", {"name": "In Service"})
    assert (made.status, made.json()) == (
        201,
        {"id": text_number("In Service"), "name": "In Service", "ownerUserId": None},
    )
    number = made.json()["id"]
    assert [one["name"] for one in ask(app, "GET", "/tags").json()] == ["Hall 5", "In Service"]
    for _ in range(2):
        assert ask(app, "POST", "/device/tag", {"deviceId": 1, "tagId": number}).status == 204
    assert tags(app) == ["Hall 5", "In Service"]
    shown = {"id": number, "tagOwnerOrgId": 1, "name": "In Service"}
    assert ask(app, "GET", "/device/tags?deviceId=1").json()[1] == shown
    assert app.request("GET", "/v1/devices?filter=tags:%22In%20Service%22").json()["devices"][0]["ident"] == "pump"
    held = ask(app, "DELETE", f"/tag?tagId={number}")
    assert (held.status, held.json()["error"]["message"]) == (400, "Devices have this tag; remove it from them first.")
    assert ask(app, "DELETE", f"/device/tag?deviceId=1&tagId={number}").status == 204
    assert tags(app) == ["Hall 5"]
    assert ask(app, "DELETE", f"/tag?tagId={number}").status == 204
    assert [one["name"] for one in ask(app, "GET", "/tags").json()] == ["Hall 5"]


def test_a_tag_that_another_api_wrote_is_given_by_its_number(app: App) -> None:
    app.request("POST", "/v1/devices", {"ident": "fan"})
    (hall,) = ask(app, "GET", "/tags").json()
    assert ask(app, "POST", "/device/tag", {"deviceId": 2, "tagId": hall["id"]}).status == 204
    assert tags(app, "fan") == ["Hall 5"]


def test_of_very_many_tags_the_most_frequent_and_those_made_are_listed_and_all_can_be_given(app: App) -> None:
    assert ask(app, "POST", "/tag/create", {"name": "very rare"}).status == 201
    words = ["very rare", *(f"tag {number:04}" for number in range(limits.MAX_COUNTED_TAGS))]
    for start in range(0, len(words), 50):
        app.request("PUT", f"/v1/devices/{start}", {"tags": ["usual", *words[start : start + 50]]})
    listed = [one["name"] for one in ask(app, "GET", "/tags").json()]
    assert (listed[0], listed[-1], len(listed)) == ("usual", "very rare", limits.MAX_COUNTED_TAGS + 1)
    unlisted = next(word for word in words if word not in listed)
    assert ask(app, "POST", "/device/tag", {"deviceId": 1, "tagId": text_number(unlisted)}).status == 204
    assert tags(app) == ["Hall 5", unlisted]


def test_tags_are_those_of_the_devices_organization(app: App) -> None:
    below = ask(app, "POST", "/create", {"name": "below"}).json()["id"]
    inside = {"fleetroll-organization": "below"}
    device = app.request("POST", "/v1/devices", {"ident": "leaf"}, headers=inside).json()["id"]
    hall = text_number("Hall 5")
    refused = ask(app, "POST", "/device/tag", {"deviceId": device, "tagId": hall})
    assert (refused.status, refused.json()["error"]["message"]) == (404, "Tag is not found.")
    assert ask(app, "POST", "/tag/create", {"name": "Hall 5", "orgId": below}).json()["id"] == hall
    assert ask(app, "POST", "/device/tag", {"deviceId": device, "tagId": hall}).status == 204
    assert [one["name"] for one in ask(app, "GET", f"/tags?orgId={below}").json()] == ["Hall 5"]
    assert ask(app, "GET", f"/device/tags?deviceId={device}").json()[0]["tagOwnerOrgId"] == below


@pytest.mark.parametrize("word", ["orgId", "organizationId"])
def test_a_tag_is_made_in_the_organization_that_is_named(app: App, word: str) -> None:
    below = ask(app, "POST", "/create", {"name": "below"}).json()["id"]
    assert ask(app, "POST", "/tag/create", {"name": "in the body", word: below}).status == 201
    assert ask(app, "POST", f"/tag/create?{word}={below}", {"name": "in the query"}).status == 201
    assert [one["name"] for one in ask(app, "GET", f"/tags?orgId={below}").json()] == ["in the body", "in the query"]
    assert [one["name"] for one in ask(app, "GET", "/tags").json()] == ["Hall 5"]


def test_an_organization_goes_with_its_tags(app: App) -> None:
    below = ask(app, "POST", "/create", {"name": "below"}).json()["id"]
    assert ask(app, "POST", "/tag/create", {"name": "spare", "orgId": below}).status == 201
    assert ask(app, "DELETE", f"?orgId={below}").status == 204


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/tag/create", {"name": "twice"}, 400),
        ("POST", "/tag/create", {"name": "a,b"}, 400),
        ("POST", "/tag/create", {"name": ""}, 400),
        ("POST", "/tag/create", {"name": "x", "orgId": 9}, 404),
        ("POST", "/device/tag", {"deviceId": 1, "tagId": 7}, 404),
        ("POST", "/device/tag", {"deviceId": 9, "tagId": text_number("twice")}, 404),
        ("POST", "/device/tag", {"deviceId": 1}, 400),
        ("DELETE", "/device/tag?deviceId=1&tagId=7", None, 404),
        ("DELETE", "/device/tag?deviceId=1", None, 400),
        ("DELETE", "/tag?tagId=7", None, 404),
        ("DELETE", f"/tag?tagId={text_number('Hall 5')}", None, 404),
    ],
)
def test_a_refusal_changes_nothing(app: App, method: str, path: str, body: Any, status: int) -> None:
    assert ask(app, "POST", "/tag/create", {"name": "twice"}).status == 201
    before = ask(app, "GET", "/tags").json(), tags(app)
    assert ask(app, method, path, body).status == status
    assert (ask(app, "GET", "/tags").json(), tags(app)) == before


def test_tags_beyond_the_usual_quota_are_there_too(app: App) -> None:
    most = limits.DEFAULT_QUOTAS["tags"]
    made = app.request("POST", "/v1/organizations", {"slug": "branch", "quotas": {"tags": most + 1}})
    branch = made.json()["id"]
    names = [f"tag {number:04}" for number in range(most + 1)]
    for name in names:
        assert ask(app, "POST", "/tag/create", {"name": name, "orgId": branch}).status == 201
    assert ask(app, "POST", "/tag/create", {"name": "one too many", "orgId": branch}).status == 403
    assert [one["name"] for one in ask(app, "GET", f"/tags?orgId={branch}").json()] == names
    assert ask(app, "DELETE", f"/tag?tagId={text_number(names[-1])}&orgId={branch}").status == 204
