"""`fleetroll template`, `cohort`, `owner` and `metadata-field`: the nouns with a unique name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from fleetroll.dialects.native.shapes import cohorts, metadata_fields, owners, templates
from tests.support.commands import COMMAND

Fleetroll = Callable[..., Any]


@pytest.mark.parametrize(
    ("noun", "member", "name", "made", "changes", "changed"),
    [
        (
            "template",
            "templates",
            "Meter/2",
            ["board=ESP32", 'datastreams:=[{"pin":"v1"}]'],
            ["board=", "connection=WiFi"],
            {"board": None, "connection": "WiFi"},
        ),
        ("cohort", "cohorts", "pilot", ["name=Pilot"], ["--merge", '{"name":"Pilots"}'], {"name": "Pilots"}),
        ("owner", "owners", "ann@example.com", ["role=staff"], ["name=Ann", "phone=1"], {"name": "Ann", "phone": "1"}),
        (
            "metadata-field",
            "metadata_fields",
            "floor",
            ["type=integer", "required:=false"],
            ["description=Floor"],
            {"description": "Floor"},
        ),
    ],
)
def test_a_record_is_made_shown_listed_changed_and_deleted(
    fleetroll: Fleetroll,
    noun: str,
    member: str,
    name: str,
    made: list[str],
    changes: list[str],
    changed: dict[str, Any],
) -> None:
    before = fleetroll(noun, "create", name, *made, "--json").json()
    assert before == fleetroll(noun, "get", name, "--json").json()
    assert before in fleetroll(noun, "list", "--json").json()[member]
    assert name in fleetroll(noun, "list").out
    after = fleetroll(noun, "set", name, *changes, "--json").json()
    assert after == {**before, **changed, "revision": 2, "updated_at": after["updated_at"]}
    assert fleetroll(noun, "create", name, *made).code == 1, "it exists"
    for wrong in ([], ["name"], ["name+=x"], ["--merge", "[]"], ["--merge", "@absent.json"]):
        assert fleetroll(noun, "set", name, *wrong).code == 2
    assert fleetroll(noun, "delete", name).out == f"Deleted {noun.replace('-', ' ')} {name}.\n"
    gone = fleetroll(noun, "get", name)
    assert (gone.code, f"fleetroll {noun} list" in gone.err) == (5, True)


def test_a_template_is_a_file_that_makes_it_again_elsewhere(fleetroll: Fleetroll, work: Path) -> None:
    parts = {
        "datastreams": [{"pin": "v1", "alias": "temperature", "type": "double", "default": 20}],
        "events": [{"code": "hot", "name": "Hot", "type": "WARNING"}],
        "metafields": [{"name": "Serial", "type": "Text", "default": "none"}],
    }
    fleetroll("template", "create", "Meter", "--merge", json.dumps(parts))
    shown = fleetroll("template", "get", "Meter", "--json")
    (work / "meter.json").write_text(shown.out)
    assert fleetroll("template", "set", "Meter", "--merge", "@meter.json", "--json").json() == shown.json()
    fleetroll("org", "create", "elsewhere")
    there = ["--organization", "elsewhere"]
    fleetroll("template", "create", "Another", *there)
    copied = fleetroll("template", "create", "Copy", "--merge", "@meter.json", *there, "--json").json()
    assert bare(copied) == {**bare(shown.json()), "name": "Copy"}
    (work / "meter.json").write_bytes(b'{"description": "\xe9"}')
    refused = fleetroll("template", "set", "Meter", "--merge", "@meter.json")
    assert (refused.code, "it is not UTF-8" in refused.err) == (2, True)


def bare(template: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from server to server."""
    kept = {name: template[name] for name in ("name", "description", "board", "connection")}
    parts = ("datastreams", "events", "metafields")
    return kept | {name: [{**part, "id": None} for part in template[name]] for name in parts}


def test_a_device_is_changed_by_a_file_too(fleetroll: Fleetroll, work: Path) -> None:
    (work / "device.json").write_text('{"metadata": {"floor": 3}}')
    assert fleetroll("device", "create", "filed", "--merge", "@device.json", "--json").json()["metadata"] == {
        "floor": 3
    }


@pytest.mark.parametrize(("noun", "change"), [("cohort", "cohort=nowhere"), ("template", "template:=99")])
def test_who_names_what_is_not_there_is_told_where_to_look(fleetroll: Fleetroll, noun: str, change: str) -> None:
    refused = fleetroll("device", "create", "lost", change)
    assert (refused.code, f"fleetroll {noun} list" in refused.err) == (1, True)


@pytest.mark.parametrize(
    ("noun", "label", "new"),
    [
        ("template", "name", templates.NewTemplate),
        ("cohort", "slug", cohorts.NewCohort),
        ("owner", "ref", owners.NewOwner),
        ("metadata-field", "name", metadata_fields.NewMetadataField),
    ],
)
def test_help_names_every_member(noun: str, label: str, new: Any) -> None:
    group = COMMAND.commands[noun]
    assert isinstance(group, click.Group)
    for command in ("create", "set"):
        assert [
            one for one in new.__struct_fields__ if one != label and one not in str(group.commands[command].epilog)
        ] == []
