"""`fleetroll org`, `key`, `group` and `whoami`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Fleetroll = Callable[..., Any]


def test_an_organization_is_made_changed_listed_and_deleted(fleetroll: Fleetroll) -> None:
    made = fleetroll("org", "create", "acme", "--name", "Acme Ltd", "--quota", "devices=2", "--json").json()
    assert (made["slug"], made["name"], made["quotas"]["devices"]) == ("acme", "Acme Ltd", 2)
    changed = fleetroll("org", "set", "acme", "--name", "Acme", "--disable", "--json").json()
    assert (changed["name"], changed["disabled"]) == ("Acme", True)
    assert changed == fleetroll("org", "get", "acme", "--json").json()
    assert "Acme" in fleetroll("org", "list").out
    assert "acme" in [one["slug"] for one in fleetroll("org", "list", "--json").json()["organizations"]]
    assert fleetroll("org", "delete", "acme").code == 0
    assert fleetroll("org", "get", "acme").code == 5


def test_an_organization_has_a_profile(fleetroll: Fleetroll) -> None:
    made = fleetroll(
        "org", "create", "plant", "phone=+49 30 1", "address.city=Berlin", "--quota", "devices=3", "--json"
    ).json()
    assert (made["phone"], made["address"]["city"], made["quotas"]["devices"]) == ("+49 30 1", "Berlin", 3)
    changed = ("time_zone=Europe/Berlin", "unit_system=imperial", "phone=", "address.zip=10115", "--name", "Plant")
    fleetroll("org", "set", "plant", *changed)
    shown = fleetroll("org", "get", "plant", "--json").json()
    assert (shown["name"], shown["time_zone"], shown["unit_system"]) == ("Plant", "Europe/Berlin", "imperial")
    assert (shown["phone"], shown["address"]["city"], shown["address"]["zip"]) == (None, "Berlin", "10115")
    fleetroll("org", "set", "plant", "--merge", '{"address": null}')
    assert fleetroll("org", "get", "plant", "--json").json()["address"] is None
    assert fleetroll("org", "set", "plant", "unit_system=cubits").code == 1


def test_self_is_the_organization_of_the_key(fleetroll: Fleetroll) -> None:
    assert fleetroll("org", "get", "--json").json()["slug"] == "default"


@pytest.mark.parametrize("place", ["before", "after", "environment"])
def test_commands_act_in_the_named_organization(fleetroll: Fleetroll, place: str) -> None:
    fleetroll("org", "create", place)
    option = ("--organization", place)
    before, after = (option if place == side else () for side in ("before", "after"))
    variables = {"FLEETROLL_ORGANIZATION": place} if place == "environment" else {}
    assert fleetroll(*before, "device", "create", "inside", *after, **variables).code == 0
    assert fleetroll("device", "list", "--organization", place, "--json").json()["devices"][0]["ident"] == "inside"
    assert fleetroll("device", "get", "inside").code == 5


def test_a_key_works_until_it_is_revoked(fleetroll: Fleetroll) -> None:
    made = fleetroll("key", "create", "robot", "--role", "operator", "--expires", "90d", "--json").json()
    assert fleetroll("whoami", "--json", FLEETROLL_KEY=made["key"]).json()["key"]["name"] == "robot"
    assert made["expires_at"] is not None
    assert "robot" in fleetroll("key", "list").out
    assert fleetroll("key", "revoke", str(made["id"])).code == 0
    refused = fleetroll("whoami", FLEETROLL_KEY=made["key"])
    assert refused.code == 4
    assert "FLEETROLL_KEY" in refused.err


def test_who_would_revoke_the_last_admin_key_is_told_to_make_another(fleetroll: Fleetroll) -> None:
    refused = fleetroll("key", "revoke", "1")
    assert (refused.code, refused.out) == (1, "")
    assert "fleetroll key create" in refused.err
    assert fleetroll("whoami").code == 0


def test_a_key_is_shown_to_people_in_one_piece_and_with_a_warning(fleetroll: Fleetroll) -> None:
    made = fleetroll("key", "create", "person", "--role", "viewer", "--scope", "devices:read")
    (secret,) = [line.split()[1] for line in made.out.splitlines() if line.startswith("key ")]
    assert "cannot be shown again" in made.err
    assert fleetroll("device", "list", FLEETROLL_KEY=secret).code == 0
    forbidden = fleetroll("device", "create", "x", FLEETROLL_KEY=secret)
    assert (forbidden.code, "an admin makes one" in forbidden.err) == (4, True)


def test_an_oauth_key_is_shown_as_a_client(fleetroll: Fleetroll) -> None:
    made = fleetroll("key", "create", "app", "--role", "viewer", "--kind", "oauth", "--json").json()
    assert {"client_id", "client_secret"} <= made.keys()


@pytest.mark.parametrize(
    "when", ["tomorrow", "5", "90", "2030-01-01", "2030-01-01T00:00:00", "2001-01-01T00:00:00Z", "99999w9"]
)
def test_a_key_expires_at_a_time_in_the_future(fleetroll: Fleetroll, when: str) -> None:
    assert fleetroll("key", "create", "x", "--role", "viewer", "--expires", when).code in {1, 2}


def test_a_key_may_lie_in_a_file(fleetroll: Fleetroll, server: Any, work: Path) -> None:
    (work / "key").write_text(f"{server.key}\n")
    (work / "empty").write_text("\n")
    assert fleetroll("whoami", "--key-file", "key", FLEETROLL_KEY="").code == 0
    assert fleetroll("--key-file", "key", "whoami", FLEETROLL_KEY="wrong").code == 0
    assert fleetroll("whoami", FLEETROLL_KEY="", FLEETROLL_KEY_FILE="key").code == 0
    assert fleetroll("--key-file", "key", "whoami", "--key", "wrong").code == 4
    assert fleetroll("whoami", "--key-file", "empty").code == 4
    assert fleetroll("whoami", "--key-file", "absent").code == 2
    assert fleetroll("whoami", FLEETROLL_KEY="", FLEETROLL_KEY_FILE="absent").code == 2
    assert fleetroll("whoami", "--key-file", "key", "--key", "wrong").code == 2


def test_a_group_is_made_changed_listed_and_deleted(fleetroll: Fleetroll) -> None:
    fleetroll("device", "create", "g-1", "kind=grouped")
    fleetroll("device", "create", "g-2", "kind=other")
    made = fleetroll("group", "create", "pumps/1", 'kind = "grouped"', "--description", "All pumps", "--json").json()
    assert made["description"] == "All pumps"
    members = fleetroll("group", "devices", "pumps/1", "--json").json()["devices"]
    assert [device["ident"] for device in members] == ["g-1"]
    changed = fleetroll("group", "set", "pumps/1", "--filter", 'kind = "other"', "--description", "", "--json").json()
    assert (changed["filter"], changed["description"]) == ('kind = "other"', None)
    assert fleetroll("group", "devices", "pumps/1", "--all", "--json").json()["ident"] == "g-2"
    assert 'kind = "other"' in fleetroll("group", "list").out
    assert fleetroll("group", "list", "--json").json()["groups"] == [changed]
    below = fleetroll("group", "create", "halls", "name:hall", "--below", "pumps/1", "--json").json()
    assert below["parent_id"] == changed["id"]
    assert fleetroll("group", "set", "halls", "--below", "", "--json").json()["parent_id"] is None
    assert fleetroll("group", "set", "halls", "--below", "pumps/1", "--json").json()["parent_id"] == changed["id"]
    assert fleetroll("group", "set", "pumps/1", "--below", "halls").code == 1, "a circle"
    assert fleetroll("group", "set", "halls", "--below", "nowhere").code == 5
    assert fleetroll("group", "get", "pumps/1").code == 0
    assert fleetroll("group", "delete", "pumps/1").code == 0
    assert fleetroll("group", "list", "--json").json() == {"groups": [], "next_cursor": None}


@pytest.mark.parametrize(
    "arguments",
    [
        ["org", "set", "self"],
        ["org", "create", "x", "--quota", "devices"],
        ["org", "create", "x", "--quota", "devices=-1"],
        ["org", "create", "x", "--quota", "devices=" + "9" * 5_000],
        ["key", "create", "x", "--role", "viewer", "--expires", "9999-12-31T23:59:59-01:00"],
        ["group", "set", "x"],
        ["key", "create", "x"],
        ["key", "create", "x", "--role", "god"],
        ["key", "revoke", "robot"],
    ],
)
def test_wrong_usage_is_told_apart_from_a_refusal(fleetroll: Fleetroll, arguments: list[str]) -> None:
    assert fleetroll(*arguments).code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["org", "create", "with space"],
        ["org", "create", "x", "--quota", "unicorns=1"],
        ["org", "delete", "self"],
        ["group", "create", "x", "("],
        ["key", "create", "x", "--role", "viewer", "--scope", "everything"],
    ],
)
def test_a_refusal_of_the_server_is_one_line_and_an_exit_code(fleetroll: Fleetroll, arguments: list[str]) -> None:
    refused = fleetroll(*arguments)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("fleetroll: ")


def test_a_full_organization_is_not_blamed_on_the_key(fleetroll: Fleetroll) -> None:
    fleetroll("org", "create", "small", "--quota", "devices=0")
    refused = fleetroll("--organization", "small", "device", "create", "one")
    assert (refused.code, refused.out) == (1, "")
    assert "may have at most 0 devices" in refused.err


def test_whoami_names_the_server_the_key_and_the_organization(fleetroll: Fleetroll, server: Any) -> None:
    shown = fleetroll("whoami").out
    assert all(words in shown for words in (server.url, "first admin", "admin", "default"))
