"""Devices of the device manager: creation, metadata, slots by hand, decommissioning and deletion, in both profiles."""

import re
from typing import Any

import pytest

from fleetroll.core import limits
from tests.dialects.lamassu.conftest import DEVICES, Manager

SEED = {
    "id": "device-12345",
    "alias": "Warehouse Temperature Sensor",
    "tags": ["sensor", "temperature", "warehouse-a"],
    "metadata": {"location": "warehouse-a", "floor": "2", "zone": "storage"},
    "dms_id": "dms-production",
    "icon": "thermometer",
    "icon_color": "#FF5733",
}
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def test_a_new_device_is_shown_with_all_its_members(manager: Manager) -> None:
    made = manager.create(**{"ident": SEED["id"], **{k: v for k, v in SEED.items() if k != "id"}})
    assert list(made) == [
        "id", "alias", "tags", "status", "icon", "icon_color", "creation_timestamp", "metadata", "dms_owner", "slots",
        "events",
    ]  # fmt: skip
    assert made | {"creation_timestamp": "", "events": {}} == {
        **{name: value for name, value in SEED.items() if name != "dms_id"},
        "dms_owner": "dms-production",
        "status": "NO_IDENTITY",
        "creation_timestamp": "",
        "slots": {},
        "events": {},
    }
    assert TIME.fullmatch(made["creation_timestamp"])
    assert made["events"] == {made["creation_timestamp"]: {"type": "CREATED", "description": ""}}
    assert manager.send("GET", "/device-12345").json() == made


def test_only_the_id_is_needed(manager: Manager) -> None:
    made = manager.create("a", tags=None, metadata=None)
    assert (made["tags"], made["metadata"], made["dms_owner"], made["icon"], made["icon_color"]) == ([], {}, "", "", "")
    assert "alias" not in made
    assert "identity" not in made


def test_what_cannot_be_created_is_refused(manager: Manager) -> None:
    manager.create("a")
    assert manager.err(manager.send("POST", body={"id": "a"}), 409) == "device already exists"
    for body in ({}, {"id": ""}, {"id": 5}, {"id": "x", "tags": "t"}, {"id": "x", "metadata": []}, []):
        manager.err(manager.send("POST", body=body), 400)
    assert manager.ids() == ["a"]


def test_a_device_that_is_named_like_a_route_has_all_of_them(manager: Manager) -> None:
    manager.create("dms", dms_id="line")
    assert manager.send("PUT", "/dms/idslot", {"status": "ACTIVE"}).json()["status"] == "ACTIVE"
    patches = {"patches": [{"op": "add", "path": "/a", "value": 1}]}
    for method in ("PUT", "PATCH"):
        assert manager.send(method, "/dms/metadata", patches).json()["metadata"] == {"a": 1}
    assert [one["id"] for one in manager.send("GET", "/dms/line").json()["list"]] == ["dms"]
    assert manager.send("DELETE", "/dms/decommission").status in {200, 204}
    assert manager.send("DELETE", "/dms").status == 204


def test_an_unknown_device_is_not_found(manager: Manager) -> None:
    status = 400 if manager.upstream else 404
    patches = {"patches": []}
    for method, path, body in (
        ("GET", "/gone", None), ("DELETE", "/gone", None), ("DELETE", "/gone/decommission", None),
        ("PUT", "/gone/idslot", {"status": "ACTIVE"}), ("PUT", "/gone/metadata", patches),
        ("PATCH", "/gone/metadata", patches),
    ):  # fmt: skip
        expected = 404 if (method, path) == ("DELETE", "/gone") else status
        assert manager.err(manager.send(method, path, body), expected) == "device not found"


def test_names_of_members_are_known_in_any_case(manager: Manager) -> None:
    def send(method: str, path: str, text: bytes) -> Any:
        return manager.app.request(method, f"{DEVICES}{path}", key=manager.key, raw=text)

    made = send("POST", "", b'{"ID": "a", "DMS_ID": "line", "Metadata": {"Floor": 1, "floor": 2}}')
    assert (made.status, made.json()["dms_owner"], made.json()["metadata"]) == (201, "line", {"Floor": 1, "floor": 2})
    patch = b'{"Patches": [{"OP": "add", "Path": "/X", "VALUE": {"Op": 1}}]}'
    assert send("PATCH", "/a/metadata", patch).json()["metadata"]["X"] == {"Op": 1}
    slot = b'{"STATUS": "ACTIVE", "Versions": {"0": "0a"}, "events": {"2026-01-01T00:00:00Z": {"TYPE": "PROVISIONED"}}}'
    filled = send("PUT", "/a/idslot", slot).json()["identity"]
    assert (filled["versions"], next(iter(filled["events"].values()))["type"]) == ({"0": "0a"}, "PROVISIONED")
    for body in (b"", slot + b"x", slot + slot):
        assert manager.err(send("PUT", "/a/idslot", body), 400)


def test_any_content_type_is_taken(manager: Manager) -> None:
    reply = manager.app.request(
        "POST", "/api/devmanager/v1/devices", key=manager.key, raw=b'{"id":"a"}',
        headers={"content-type": "text/plain;charset=UTF-8"},
    )  # fmt: skip
    assert reply.status == 201


# --- metadata --------------------------------------------------------------------------------------------------------

START = {"a": 1, "loc": "x", "arr": [1, 2], "n": {"k": "v"}}
PATCHED: list[tuple[list[dict[str, Any]], Any]] = [
    ([{"op": "add", "path": "/b", "value": 2}], START | {"b": 2}),
    ([{"op": "add", "path": "/a", "value": 9}], START | {"a": 9}),
    ([{"op": "replace", "path": "/loc", "value": "y"}], START | {"loc": "y"}),
    ([{"op": "remove", "path": "/missing"}], START),
    ([{"op": "remove", "path": "/n/missing/deep"}], START),
    ([{"op": "remove", "path": "/arr/9"}], START),
    ([{"op": "remove", "path": ""}], START),
    ([{"op": "remove", "path": "/arr/0"}], START | {"arr": [2]}),
    ([{"op": "add", "path": "/arr/-", "value": 3}], START | {"arr": [1, 2, 3]}),
    ([{"op": "add", "path": "/arr/0", "value": 0}], START | {"arr": [0, 1, 2]}),
    ([{"op": "add", "path": "/new/-", "value": 1}], START | {"new": [1]}),
    ([{"op": "add", "path": "/new/0", "value": 1}], START | {"new": [1]}),
    ([{"op": "add", "path": "/x/y/z", "value": 1}], START | {"x": {"y": {"z": 1}}}),
    ([{"op": "add", "path": "/x/y/0", "value": 1}], START | {"x": {"y": [1]}}),
    ([{"op": "add", "path": "", "value": {"z": 1}}], {"z": 1}),
    ([{"op": "replace", "path": "", "value": {"z": 1}}], {"z": 1}),
    ([{"op": "add", "path": "/null", "value": None}], START | {"null": None}),
    ([{"op": "add", "path": "/f", "value": False}, {"op": "add", "path": "/e", "value": ""}],
     START | {"f": False, "e": ""}),
    ([{"op": "test", "path": "/a", "value": 1}], START),
    ([{"op": "test", "path": "/missing"}], START),
    ([{"op": "test", "path": "/missing", "value": None}], START),
    ([{"op": "move", "from": "/loc", "path": "/place"}], {"a": 1, "arr": [1, 2], "n": {"k": "v"}, "place": "x"}),
    ([{"op": "copy", "from": "/n/k", "path": "/k"}], START | {"k": "v"}),
    ([{"op": "add", "path": "/a~1b", "value": 1}, {"op": "add", "path": "/m~0n", "value": 2}],
     START | {"a/b": 1, "m~n": 2}),
    ([{"op": "add", "path": "/big", "value": 12345678901234567890}], START | {"big": 12345678901234567890}),
    ([], START),
]  # fmt: skip
FAILING: list[Any] = [
    [{"op": "replace", "path": "/missing", "value": 1}],
    [{"op": "add", "path": "/arr/9", "value": 1}],
    [{"op": "add", "path": "/new/3", "value": 1}],
    [{"op": "add", "path": "/loc/sub", "value": 1}],
    [{"op": "add", "path": "", "value": [1]}],
    [{"op": "add", "path": "", "value": "x"}],
    [{"op": "test", "path": "/a", "value": 2}],
    [{"op": "frob", "path": "/a"}],
    [{"op": "add", "path": "a", "value": 1}],
    [{"op": "add", "path": "/ok", "value": 1}, {"op": "replace", "path": "/missing", "value": 1}],
    None,
    "text",
    [1],
]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_metadata_is_patched(manager: Manager, method: str) -> None:
    for number, (patches, expected) in enumerate(PATCHED):
        manager.create(f"d{number}", metadata=START)
        reply = manager.send(method, f"/d{number}/metadata", {"patches": patches})
        assert (reply.status, reply.json()["metadata"]) == (200, expected), patches


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_patches_that_fail_change_nothing(manager: Manager, method: str) -> None:
    before = manager.create("a", metadata=START)
    for patches in FAILING:
        manager.err(manager.send(method, "/a/metadata", {"patches": patches}), 400)
    for body in ({}, [], [{"op": "add", "path": "/x", "value": 1}]):
        manager.err(manager.send(method, "/a/metadata", body), 400)
    assert manager.send("GET", "/a").json() == before


def test_put_replaces_all_metadata_where_it_is_given(manager: Manager) -> None:
    manager.create("a", metadata=START)
    assert manager.send("PUT", "/a/metadata", {"metadata": {"z": 1}}).json()["metadata"] == {"z": 1}
    manager.err(manager.send("PATCH", "/a/metadata", {"metadata": {"z": 2}}), 400)


# --- slots -----------------------------------------------------------------------------------------------------------


def test_the_documented_slot_is_taken_whatever_was_there(manager: Manager) -> None:
    manager.create("a")
    seed = {"status": "ACTIVE", "active_version": 2, "type": "X509"}
    made = manager.send("PUT", "/a/idslot", seed).json()
    assert made["status"] == "ACTIVE"
    assert made["identity"] == seed | {"versions": {}, "events": {}}
    assert [event for event in made["events"].values() if event["type"] != "CREATED"] == [
        {"type": "STATUS-UPDATED", "description": "Status updated from 'NO_IDENTITY' to 'ACTIVE'"}
    ]
    revoked = manager.send("PUT", "/a/idslot", {"status": "REVOKED", "versions": {"0": "any text"}}).json()
    assert (revoked["status"], revoked["identity"]["status"]) == ("REVOKED", "REVOKED")
    assert list(revoked["identity"]["events"].values()) == [
        {"type": "STATUS-UPDATED", "description": "Identity Slot Status updated from 'ACTIVE' to 'REVOKED'"}
    ]
    assert manager.send("PUT", "/a/idslot", seed).json()["status"] == "ACTIVE"


def test_of_a_device_whose_status_changes_for_ever_the_newest_changes_are_shown(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_LIFE_EVENTS", 3)
    manager.create("a")
    for status in ["ACTIVE", "RENEWAL_WINDOW"] * 3:
        shown = manager.send("PUT", "/a/idslot", {"status": status}).json()
    created, *changes = shown["events"].values()
    assert (created["type"], len(changes)) == ("CREATED", 3)
    assert changes[0] == changes[2] != changes[1]
    assert manager.send("GET", "/a").json() == shown


def test_a_slot_is_replaced_as_a_whole(manager: Manager) -> None:
    manager.create("a")
    slot = {
        "status": "ACTIVE", "active_version": 1, "type": "x509", "versions": {"0": "0a", "1": "0b"},
        "events": {"2026-01-02T03:04:05.5Z": {"type": "PROVISIONED", "description": ""}},
        "expiration_date": "2099-01-01T00:00:00Z",
    }  # fmt: skip
    shown = manager.send("PUT", "/a/idslot", slot).json()["identity"]
    assert list(shown) == ["status", "active_version", "type", "versions", "expiration_date", "events"]
    assert shown == slot | {"events": {"2026-01-02T03:04:05.500000Z": {"type": "PROVISIONED", "description": ""}}}
    assert manager.send("PUT", "/a/idslot", {"status": "ACTIVE"}).json()["identity"] == {
        "status": "ACTIVE", "active_version": 0, "type": "x509", "versions": {}, "events": {},
    }  # fmt: skip
    nothing = dict.fromkeys(("active_version", "type", "versions", "events", "expiration_date"))
    assert manager.send("PUT", "/a/idslot", {"status": "ACTIVE", **nothing}).json()["identity"]["type"] == "x509"
    past = {"status": "ACTIVE", "expiration_date": "2020-01-01T00:00:00Z"}
    assert manager.send("PUT", "/a/idslot", past).json()["status"] == "EXPIRED"


def test_an_event_at_no_time_is_refused_in_words_of_its_place(manager: Manager) -> None:
    manager.create("a")
    slot = {"status": "ACTIVE", "events": {"yesterday": {"type": "PROVISIONED"}}}
    refused = manager.err(manager.send("PUT", "/a/idslot", slot), 400)
    assert refused == "events: Invalid RFC3339 encoded datetime"


def test_the_times_of_a_slot_are_kept_in_utc_so_that_they_are_found_and_sorted_by(manager: Manager) -> None:
    ends = {"a": "2030-01-01T03:30:00+05:30", "b": "2029-12-31T23:00:00Z", "c": "2029-12-31T22:00:00.5-02:00"}
    for ident, end in ends.items():
        manager.create(ident)
        slot = {"status": "ACTIVE", "expiration_date": end, "events": {end: {"type": "PROVISIONED"}}}
        shown = manager.send("PUT", f"/{ident}/idslot", slot).json()["identity"]
        assert list(shown["events"]) == [shown["expiration_date"]]
        assert shown["expiration_date"].endswith("Z")
    assert manager.ids('identity_slot[jsonpath]$.expiration_date < "2030-01-01"') == ["a", "b"]
    assert manager.ids(sort_by="identity_slot[jsonpath]$.expiration_date") == ["a", "b", "c"]


def test_a_slot_is_found_and_sorted_by_what_it_shows_alone(manager: Manager) -> None:
    for ident, status in (("a", "ACTIVE"), ("b", "REVOKED")):
        manager.create(ident)
        manager.send("PUT", f"/{ident}/idslot", {"status": status})
    manager.create("c")
    assert manager.ids('identity_slot[jsonpath]$.status == "REVOKED"') == ["b"]
    for member in ("floor", "windows"):
        assert manager.ids(f"identity_slot[jsonpath]exists($.{member})") == []
        assert manager.ids(f"identity_slot[jsonpath]!(exists($.{member}))") == ["a", "b"]
        assert manager.ids(sort_by=f"identity_slot[jsonpath]$.{member}", sort_mode="desc") == ["a", "b", "c"]


def test_times_are_sorted_as_such_however_they_are_written(manager: Manager) -> None:
    """As Go and JavaScript write them, and as people do; what only looks like a time is text."""
    texts = {
        "noon": "2026-03-09T12:00:00Z",
        "after": "2026-03-09T12:00:00.5Z",
        "later": "2026-03-09T12:00:00.50001Z",
        "east": "2026-03-09T13:59:59+02:00",
        "west": "2026-03-09T08:00:01-04:00",
        "day": "2026-03-09",
        "eve": "2026-03-08 23:59:59",
        "never": "2026-13-09",
    }
    for ident, text in texts.items():
        manager.create(ident, metadata={"seen": text})
    manager.create("count", metadata={"seen": 7})
    expected = ["count", "eve", "day", "east", "noon", "after", "later", "west", "never"]
    assert manager.ids(sort_by="metadata[jsonpath]$.seen") == expected
    assert manager.ids(sort_by="metadata[jsonpath]$.seen", sort_mode="desc") == expected[::-1]


def test_a_version_is_a_number_however_it_is_written(manager: Manager) -> None:
    manager.create("a")
    slot = {"status": "ACTIVE", "active_version": 1, "versions": {"01": "0a", "000": "0b"}}
    assert manager.send("PUT", "/a/idslot", slot).json()["identity"]["versions"] == {"1": "0a", "0": "0b"}


def test_statuses_are_taken_in_both_spellings_and_shown_in_one(manager: Manager) -> None:
    manager.create("a")
    pairs = (("RENEWAL_WINDOW", "RENEWAL_PENDING"), ("ABOUT_TO_EXPIRE", "EXPIRING_SOON"))
    for pair in pairs:
        shown = pair[manager.upstream]
        for spelling in pair:
            made = manager.send("PUT", "/a/idslot", {"status": spelling}).json()
            assert (made["status"], made["identity"]["status"]) == (shown, shown)
            assert manager.ids(f"status[eq]{spelling}") == ["a"]
            assert manager.ids(f'identity_slot[jsonpath]$.status == "{spelling}"') == ["a"]
        assert f"to '{shown}'" in list(made["events"].values())[-1]["description"]
        assert manager.send("GET", "/api/devmanager/v1/stats").json()["status_distribution"][shown] == 1


def test_the_documented_names_of_statuses_are_sorted_and_searched_by(manager: Manager) -> None:
    for ident, status in (("soon", "EXPIRING_SOON"), ("good", "ACTIVE")):
        manager.create(ident)
        assert manager.send("PUT", f"/{ident}/idslot", {"status": status}).status == 200
    assert manager.ids(sort_by="status") == ["soon", "good"]
    assert manager.ids('identity_slot[jsonpath]$.status starts with "ABOUT"') == ["soon"]


def test_a_slot_that_cannot_be_is_refused_and_nothing_changes(manager: Manager) -> None:
    before = manager.create("a")
    for slot in (
        {}, {"status": ""}, {"status": "FINE"}, {"status": "NO_IDENTITY"}, {"slot": {"status": "ACTIVE"}},
        {"status": "ACTIVE", "versions": {"x": "0a"}}, {"status": "ACTIVE", "versions": {"0": 1}},
        {"status": "ACTIVE", "active_version": "1"}, {"status": "ACTIVE", "events": {"soon": {"type": "X"}}},
        {"status": "ACTIVE", "expiration_date": "soon"}, {"status": "ACTIVE", "active_version": -1},
        {"status": "ACTIVE", "versions": {str(n): "a" for n in range(101)}}, [],
        {"status": "ACTIVE", "expiration_date": "9999-12-31T23:59:59-01:00"},
        {"status": "ACTIVE", "events": {"0001-01-01T00:00:00+00:01": {"type": "X"}}},
    ):  # fmt: skip
        manager.err(manager.send("PUT", "/a/idslot", slot), 400)
    assert manager.send("GET", "/a").json() == before


# --- the end ---------------------------------------------------------------------------------------------------------


def test_a_decommissioned_device_stays_so(manager: Manager) -> None:
    manager.create("a")
    manager.send("PUT", "/a/idslot", {"status": "ACTIVE"})
    for _ in range(2):
        reply = manager.send("DELETE", "/a/decommission")
        if manager.upstream:
            assert (reply.status, reply.json()["status"]) == (200, "DECOMMISSIONED")
        else:
            assert (reply.status, reply.body) == (204, b"")
    shown = manager.send("GET", "/a").json()
    assert (shown["status"], shown["identity"]["status"]) == ("DECOMMISSIONED", "REVOKED")
    types = [event["type"] for event in shown["events"].values()]
    assert types == ["CREATED", "STATUS-UPDATED", "DECOMMISSIONED"]
    refused = manager.err(manager.send("PUT", "/a/idslot", {"status": "ACTIVE"}), 422)
    assert refused == "device status does not allow this operation"
    assert manager.send("PATCH", "/a/metadata", {"patches": [{"op": "add", "path": "/x", "value": 1}]}).status == 200
    assert manager.send("DELETE", "/a").status == 204
    manager.err(manager.send("GET", "/a"), 400 if manager.upstream else 404)
    assert manager.create("a")["status"] == "NO_IDENTITY"


def test_upstream_deletes_only_what_is_decommissioned(manager: Manager) -> None:
    manager.create("a")
    reply = manager.send("DELETE", "/a")
    if manager.upstream:
        assert manager.err(reply, 422) == "device status does not allow this operation"
    else:
        assert (reply.status, reply.body) == (204, b"")


def test_the_device_manager_is_well(manager: Manager) -> None:
    shown = manager.send("GET", "/api/devmanager/health").json()
    assert (shown["health"], list(shown)) == (True, ["health", "version", "build", "build_time"])
