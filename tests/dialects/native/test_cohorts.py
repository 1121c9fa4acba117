"""Cohorts, and the versions of hardware and software that devices name: what is there, what is made, what may go."""

from typing import Any

import pytest

from tests.support.app import App


def idents(app: App, filter: str) -> list[str]:
    found = app.request("GET", f"/v1/devices?filter={filter.replace(' ', '%20')}")
    assert found.status == 200, found.body
    return [device["ident"] for device in found.json()["devices"]]


def test_every_organization_begins_with_the_default_cohort(app: App) -> None:
    app.request("POST", "/v1/organizations", {"slug": "child"})
    for inside in ({}, {"fleetroll-organization": "child"}):
        found = app.request("GET", "/v1/cohorts", headers=inside).json()["cohorts"]
        assert [(cohort["slug"], cohort["name"]) for cohort in found] == [("default", "default")]


def test_a_device_is_in_the_default_cohort_until_it_is_put_into_another(app: App) -> None:
    app.request("POST", "/v1/cohorts", {"slug": "beta", "name": "Beta Channel"})
    assert app.request("PUT", "/v1/devices/a", {}).json()["cohort"] == "default"
    assert app.request("PUT", "/v1/devices/b", {"cohort": "beta"}).json()["cohort"] == "beta"
    assert idents(app, "cohort = default") == ["a"]
    assert idents(app, "cohort != default") == ["b"]
    assert idents(app, 'cohort = "b*" OR cohort = default') == ["a", "b"]
    assert app.request("GET", "/v1/stats").json()["by_cohort"] == {"default": 1, "beta": 1}
    moved = app.request("PATCH", "/v1/devices/b", {"cohort": "default"})
    assert moved.json()["cohort"] == "default"
    assert idents(app, "cohort = beta") == []


def test_a_cohort_must_be_there_before_a_device_names_it(app: App) -> None:
    refused = app.request("PUT", "/v1/devices/a", {"cohort": "nowhere"})
    assert (refused.status, refused.json()["code"]) == (400, "unknown_cohort")
    assert app.request("GET", "/v1/devices/a").status == 404
    rows = b'{"ident":"a","cohort":"nowhere"}\n{"ident":"b","cohort":"nowhere"}\n{"ident":"c"}'
    headers = {"content-type": "application/x-ndjson"}
    results = app.request("POST", "/v1/devices:import", raw=rows, headers=headers).lines()
    assert [result["outcome"] for result in results] == ["failed", "failed", "created"]


def test_a_cohort_with_devices_and_the_default_one_stay(app: App) -> None:
    app.request("POST", "/v1/cohorts", {"slug": "beta"})
    app.request("PUT", "/v1/devices/b", {"cohort": "beta"})
    for slug in ("beta", "default"):
        assert app.request("DELETE", f"/v1/cohorts/{slug}").status == 409
    app.request("DELETE", "/v1/devices/b")
    assert app.request("DELETE", "/v1/cohorts/beta").status == 204
    assert app.request("GET", "/v1/cohorts/beta").status == 404


def test_cohorts_travel_with_an_export(app: App) -> None:
    app.request("POST", "/v1/cohorts", {"slug": "beta"})
    app.request("PUT", "/v1/devices/a", {})
    app.request("PUT", "/v1/devices/b", {"cohort": "beta"})
    for kind in ("ndjson", "csv"):
        exported = app.request("GET", f"/v1/devices:export?format={kind}")
        headers = {"content-type": exported.headers["content-type"].partition(";")[0]}
        results = app.request("POST", "/v1/devices:import", raw=exported.body, headers=headers).lines()
        assert [result["outcome"] for result in results] == ["unchanged", "unchanged"]


def test_a_device_that_moves_to_another_organization_is_in_its_default_cohort(app: App) -> None:
    app.request("POST", "/v1/organizations", {"slug": "child"})
    app.request("POST", "/v1/cohorts", {"slug": "beta"})
    app.request("PUT", "/v1/devices/b", {"cohort": "beta", "hardware_version": "rev1"})
    moved = app.request("POST", "/v1/devices/b:transfer", {"organization": "child"})
    assert (moved.status, moved.json()["cohort"]) == (200, "default")
    inside = {"fleetroll-organization": "child"}
    assert app.request("GET", "/v1/devices/b", headers=inside).json()["cohort"] == "default"
    assert app.request("GET", "/v1/hardware-versions/rev1", headers=inside).status == 200


def test_whatever_hardware_a_device_is_given_is_there(app: App) -> None:
    app.request("PUT", "/v1/devices/a", {"hardware_version": "rev1"})
    app.request("PATCH", "/v1/devices/a", {"hardware_version": "rev2"})
    rows = b'{"ident":"b","hardware_version":"rev3"}\n{"ident":"c","hardware_version":"rev3"}'
    app.request("POST", "/v1/devices:import", raw=rows, headers={"content-type": "application/x-ndjson"})
    found = app.request("GET", "/v1/hardware-versions").json()["hardware_versions"]
    assert [version["name"] for version in found] == ["rev1", "rev2", "rev3"]
    assert app.request("DELETE", "/v1/hardware-versions/rev3").status == 409
    assert app.request("DELETE", "/v1/hardware-versions/rev1").status == 204


def test_devices_are_found_by_the_version_of_their_software(app: App) -> None:
    app.request("PUT", "/v1/devices/a", {"software": {"version": "1.2.3"}})
    app.request("PUT", "/v1/devices/b", {"software": {"build": "7"}})
    assert idents(app, 'software_version = "1.2.3"') == ["a"]
    assert idents(app, 'software_version = "1.*"') == ["a"]


def test_a_version_of_software_that_no_device_runs_can_be_forgotten_and_noted_again(app: App) -> None:
    app.request("POST", "/v1/organizations", {"slug": "child", "quotas": {"software_versions": 2}})
    inside = {"fleetroll-organization": "child"}

    def run(software: dict[str, str] | None) -> int:
        return app.request("PUT", "/v1/devices/a", {"software": software}, headers=inside).status

    def forget(type: str, version: str) -> int:
        return app.request("DELETE", f"/v1/software-versions/{type}/{version}", headers=inside).status

    assert (run({"type": "app", "version": "1"}), forget("app", "1"), forget("main", "1")) == (201, 409, 404)
    assert (run({"version": "1"}), forget("main", "1"), run({"version": "2"})) == (200, 409, 403)
    assert (forget("app", "1"), forget("app", "1"), run({"version": "2"})) == (204, 404, 200)
    assert (run({"type": "", "version": "1"}), forget("main", "1"), forget("main", "2")) == (200, 409, 204)
    assert (run(None), forget("main", "1"), run({"type": "app", "version": "1"})) == (200, 204, 200)
    usage = app.request("GET", "/v1/organizations/child").json()["usage"]
    assert usage["software_versions"] == 1


def test_an_organization_with_nothing_but_versions_can_be_deleted(app: App) -> None:
    app.request("POST", "/v1/organizations", {"slug": "child"})
    inside = {"fleetroll-organization": "child"}
    described = {"hardware_version": "rev1", "software": {"version": "1"}}
    assert app.request("PUT", "/v1/devices/a", described, headers=inside).status == 201
    assert app.request("DELETE", "/v1/devices/a", headers=inside).status == 204
    assert app.request("DELETE", "/v1/organizations/child").status == 204


@pytest.mark.parametrize(
    ("path", "made", "member"),
    [
        ("cohorts", {"slug": "x"}, "name"),
        ("hardware-versions", {"name": "x"}, "software_type"),
        ("metadata-fields", {"name": "x", "type": "string"}, "description"),
    ],
)
@pytest.mark.parametrize("text", ["two\nlines", "a\x07bell", "x" * 300, "x" * 5000, "..", "one line"])
def test_a_text_can_be_changed_to_what_it_can_be_made_with_and_nothing_else(
    app: App, path: str, made: dict[str, Any], member: str, text: str
) -> None:
    create = app.request("POST", f"/v1/{path}", {**made, member: text}).status
    app.request("DELETE", f"/v1/{path}/x")
    assert app.request("POST", f"/v1/{path}", made).status == 201
    changed = app.request("PATCH", f"/v1/{path}/x", {member: text}).status
    assert (create, changed) in {(201, 200), (400, 400)}
