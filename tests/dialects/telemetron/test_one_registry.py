"""Telemetron and the native API are two views of the same records, with the same history and the same borders."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.app import App, running

BASE = "/api/ext-v1"
ASSIGN_ONE = "/deviceAssignment/assignDeviceToOwners"
ASSIGN_MANY = "/deviceAssignment/assignDevicesToOwner"
UNASSIGN_ONE = "/deviceAssignment/unassignDeviceFromOwner"
UNASSIGN_MANY = "/deviceAssignment/unassignDevicesFromOwner"
CUSTOMER = "/customer/createOrUpdateCustomer"


class Registry:
    """One application, seen through both dialects with one key."""

    def __init__(self, app: App) -> None:
        self.app = app

    def post(self, path: str, body: Any, **options: Any) -> Any:
        reply = self.app.request("POST", BASE + path, body, **options)
        assert reply.status == 200, reply.body
        return reply.json()

    def refused(self, path: str, body: Any, status: int, **options: Any) -> str:
        reply = self.app.request("POST", BASE + path, body, **options)
        assert reply.status == status, reply.body
        error: str = reply.json()["error"]
        return error

    def native(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        reply = self.app.request(method, path, body, **options)
        assert reply.status in {200, 201}, reply.body
        return reply.json()

    def device(self, ident: str, **options: Any) -> Any:
        return self.native("GET", f"/v1/devices/{ident}", **options)

    def happened(self, ident: str) -> list[tuple[str, Any]]:
        events = self.native("GET", f"/v1/devices/{ident}/timeline")["events"]
        return [(event["type"], event["data"].get("changed")) for event in reversed(events)]

    def tenant(self, slug: str) -> str:
        self.native("POST", "/v1/organizations", {"slug": slug})
        body = {"name": slug, "role": "admin"}
        key: str = self.native("POST", "/v1/keys", body, headers={"fleetroll-organization": slug})["key"]
        return key


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with running(tmp_path / "data") as app:
        yield Registry(app)


def sensor(ident: str = "sensor-001", **members: Any) -> dict[str, Any]:
    return {"identifier": ident, "type": "sensor", **members}


def test_a_device_made_here_is_found_filtered_and_changed_there(registry: Registry) -> None:
    registry.post("/device", sensor(properties={"location": "Building A"}))
    wanted = "/v1/devices?filter=kind=%22sensor%22%20AND%20metadata.location=%22Building%20*%22"
    (found,) = registry.native("GET", wanted)["devices"]
    assert (found["ident"], found["status"]) == ("sensor-001", "NO_IDENTITY")
    registry.native("PATCH", "/v1/devices/sensor-001", {"kind": "gateway", "name": "Roof"})
    assert registry.post("/device", {"identifier": "sensor-001"})["type"] == "gateway"


def test_a_device_made_there_is_updated_here_and_keeps_what_this_dialect_does_not_know(registry: Registry) -> None:
    made = {"ident": "pump", "name": "Pump", "tags": ["a"], "config": {"x": 1}, "metadata": {"old": 1}}
    before = registry.native("POST", "/v1/devices", made)
    reply = registry.post("/device", {"identifier": "pump", "properties": {"new": 2}})
    assert (reply["message"], reply["type"]) == ("Device updated successfully", None)
    after = registry.device("pump")
    assert after["metadata"] == {"new": 2}
    assert {name: after[name] for name in ("id", "name", "tags", "config", "kind")} == {
        name: before[name] for name in ("id", "name", "tags", "config", "kind")
    }


def test_properties_are_replaced_as_a_whole_and_members_left_out_stay(registry: Registry) -> None:
    registry.post("/device", sensor(properties={"a": 1, "b": 2}))
    registry.post("/device", {"identifier": "sensor-001", "properties": {"b": 3}})
    assert registry.device("sensor-001")["metadata"] == {"b": 3}
    registry.post("/device", {"identifier": "sensor-001", "type": "gateway"})
    assert registry.device("sensor-001")["metadata"] == {"b": 3}
    registry.post("/device", {"identifier": "sensor-001", "properties": {}})
    assert registry.device("sensor-001")["metadata"] == {}
    assert registry.happened("sensor-001") == [
        ("device.created", None),
        ("device.updated", ["metadata"]),
        ("device.updated", ["kind"]),
        ("device.updated", ["metadata"]),
    ]


def test_an_update_that_says_nothing_new_leaves_no_trace(registry: Registry) -> None:
    registry.post("/device", sensor(properties={"a": 1}))
    before = registry.device("sensor-001")
    registry.post("/device", sensor(properties={"a": 1}))
    assert registry.device("sensor-001") == before
    assert registry.happened("sensor-001") == [("device.created", None)]


def test_the_same_identifier_in_another_unicode_form_is_the_same_device(registry: Registry) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    first = registry.post("/device", sensor(composed))
    second = registry.post("/device", sensor(decomposed))
    assert second["deviceId"] == first["deviceId"]
    assert second["identifier"] == composed
    result = registry.post("/device/bulk-metadata", {"devices": {composed: {"n": 1}, decomposed: {"n": 2}}})
    assert result["updated"] == 2
    assert registry.device(composed.encode().decode("latin-1"))["metadata"] == {"n": 2}


@pytest.mark.parametrize("hostile", ["a\u0000b", "a\u001bb", "a\u202eb", "a\nb", "x" * 257, " a", "a ", ".", ".."])
def test_an_identifier_that_could_not_be_shown_or_addressed_is_refused(registry: Registry, hostile: str) -> None:
    registry.refused("/device", sensor(hostile), 400)
    body = {"customerEmail": "a@b.co", "deviceIdentifiers": [hostile], "autoCreateDevices": True, "deviceType": "x"}
    registry.refused(ASSIGN_MANY, body, 400)
    one = {"customerEmails": ["a@b.co"], "deviceIdentifier": hostile, "autoCreateDevice": True, "deviceType": "x"}
    registry.refused(ASSIGN_ONE, one, 400)
    assert registry.native("GET", "/v1/owners")["owners"] == []


@pytest.mark.parametrize("hostile", ["a\u0000b", "a\u001bb", "a\u202eb", "\ufeffa"])
def test_an_identifier_that_is_no_text_for_people_is_not_even_looked_for(registry: Registry, hostile: str) -> None:
    registry.refused("/device/bulk-metadata", {"devices": {hostile: {}}}, 400)
    registry.refused(ASSIGN_ONE, {"deviceIdentifier": hostile, "customerEmails": ["a@b.co"]}, 400)
    registry.refused(ASSIGN_MANY, {"deviceIdentifiers": [hostile], "customerEmail": "a@b.co"}, 400)
    registry.refused(UNASSIGN_ONE, {"deviceIdentifier": hostile, "customerEmail": "a@b.co"}, 400)


@pytest.mark.parametrize("raw", [b'{"identifier":"\\ud800","type":"x"}', b'{"identifier":"\xff"}', b"\xef\xbb\xbf{}"])
def test_what_is_no_text_is_no_json(registry: Registry, raw: bytes) -> None:
    headers = {"content-type": "application/json"}
    reply = registry.app.request("POST", f"{BASE}/device", raw=raw, headers=headers)
    assert (reply.status, reply.json()) == (400, {"error": "Invalid JSON payload"})


def test_a_thousand_devices_are_replaced_together_and_one_more_is_refused(registry: Registry) -> None:
    lines = b"".join(b'{"ident":"d%d","kind":"k","metadata":{"old":1}}\n' % number for number in range(1001))
    headers = {"content-type": "application/x-ndjson"}
    assert registry.app.request("POST", "/v1/devices:import", raw=lines, headers=headers).status == 200
    wanted = {f"d{number}": {"n": number} for number in range(1000)}
    result = registry.post("/device/bulk-metadata", {"devices": wanted})
    assert (result["updated"], result["notFound"]) == (1000, 0)
    assert [item["identifier"] for item in result["results"]] == list(wanted)
    exported = registry.app.request("GET", "/v1/devices:export").lines()
    assert {device["ident"]: device["metadata"] for device in exported} == wanted | {"d1000": {"old": 1}}
    assert registry.happened("d999") == [("device.created", None), ("device.updated", ["metadata"])]
    error = registry.refused("/device/bulk-metadata", {"devices": wanted | {"d1000": {}}}, 400)
    assert error == "Too many devices. Maximum 1000 per request"


def test_bulk_metadata_dates_every_device_even_one_that_says_the_same(registry: Registry) -> None:
    registry.post("/device", sensor(properties={"a": 1}))
    before = registry.device("sensor-001")
    registry.post("/device/bulk-metadata", {"devices": {"sensor-001": {"a": 1}}})
    after = registry.device("sensor-001")
    assert after["updated_at"] > before["updated_at"]
    assert after["metadata"] == before["metadata"]


def test_bulk_metadata_that_breaks_a_definition_names_the_device_and_changes_none(registry: Registry) -> None:
    registry.native("POST", "/v1/metadata-fields", {"name": "n", "type": "integer"})
    registry.post("/device", sensor("one", properties={"n": 1}))
    registry.post("/device", sensor("two", properties={"n": 1}))
    error = registry.refused("/device/bulk-metadata", {"devices": {"one": {"n": 2}, "two": {"n": "x"}}}, 400)
    assert error == "two: metadata.n must be of type integer."
    assert registry.device("one")["metadata"] == {"n": 1}


def test_customers_are_owners(registry: Registry) -> None:
    registry.post(CUSTOMER, {"email": "Jane@Example.com", "name": "Jane", "phone": "1"})
    owner = registry.native("GET", "/v1/owners/jane@example.com")
    assert (owner["name"], owner["phone"]) == ("Jane", "1")
    registry.native("PATCH", "/v1/owners/jane@example.com", {"name": "Jane Smith"})
    assert registry.post("/customer/queryCustomer", {"email": "JANE@example.com"})["name"] == "Jane Smith"
    registry.native("POST", "/v1/devices", {"ident": "pump", "owners": ["jane@example.com", "bob@example.com"]})
    assert registry.post("/customer/queryCustomer", {"email": "jane@example.com"})["devices"] == ["pump"]
    assert registry.post("/customer/queryCustomer", {"email": "bob@example.com"})["name"] == "bob"


def test_an_owner_without_an_address_is_found_by_its_reference(registry: Registry) -> None:
    registry.native("POST", "/v1/owners", {"ref": "Account 7"})
    found = registry.post("/customer/queryCustomer", {"email": "Account 7"})
    assert (found["email"], found["name"]) == ("Account 7", "Account 7")


def test_assignments_are_seen_and_undone_natively(registry: Registry) -> None:
    registry.post("/device", sensor())
    registry.post(ASSIGN_ONE, {"deviceIdentifier": "sensor-001", "customerEmails": ["A@b.co ", "c@d.co", "bad"]})
    assert registry.device("sensor-001")["owners"] == ["a@b.co", "c@d.co"]
    (found,) = registry.native("GET", "/v1/devices?filter=owners:%22c@d.co%22")["devices"]
    assert found["ident"] == "sensor-001"
    registry.native("PATCH", "/v1/devices/sensor-001", {"owners": ["c@d.co"]})
    body = {"deviceIdentifier": "sensor-001", "customerEmail": "a@b.co"}
    assert registry.refused(UNASSIGN_ONE, body, 400) == "Device is not assigned to this customer"
    registry.post(UNASSIGN_ONE, body | {"customerEmail": "c@d.co"})
    assert registry.device("sensor-001")["owners"] == []
    assert registry.happened("sensor-001") == [
        ("device.created", None),
        ("device.updated", ["owners"]),
        ("device.updated", ["owners"]),
        ("device.updated", ["owners"]),
    ]


def test_a_shared_device_keeps_its_other_customers(registry: Registry) -> None:
    registry.post("/device", sensor())
    registry.post(ASSIGN_ONE, {"deviceIdentifier": "sensor-001", "customerEmails": ["a@b.co", "c@d.co"]})
    registry.post(ASSIGN_MANY, {"deviceIdentifiers": ["sensor-001"], "customerEmail": "e@f.co"})
    assert registry.device("sensor-001")["owners"] == ["a@b.co", "c@d.co", "e@f.co"]
    registry.post(UNASSIGN_ONE, {"deviceIdentifier": "sensor-001", "customerEmail": "c@d.co"})
    registry.post(UNASSIGN_MANY, {"deviceIdentifiers": ["sensor-001"], "customerEmail": "a@b.co"})
    assert registry.device("sensor-001")["owners"] == ["e@f.co"]


def test_two_spellings_of_one_device_in_a_list_are_one_assignment(registry: Registry) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    registry.post("/device", sensor(composed))
    both = {"customerEmail": "a@b.co", "deviceIdentifiers": [composed, decomposed]}
    given = registry.post(ASSIGN_MANY, both)
    assert (len(given["assignedDevices"]), len(given["alreadyAssigned"])) == (1, 1)
    taken = registry.post(UNASSIGN_MANY, both)
    assert (taken["unassignedDevices"], taken["skipped"]) == ([composed], [decomposed])


def test_a_device_created_by_its_assignment_is_one_event_with_its_owner(registry: Registry) -> None:
    body = {"deviceIdentifier": "new", "customerEmails": ["a@b.co"], "autoCreateDevice": True, "deviceType": "t"}
    registry.post(ASSIGN_ONE, body)
    device = registry.device("new")
    assert (device["kind"], device["owners"], device["revision"]) == ("t", ["a@b.co"], 1)
    assert registry.happened("new") == [("device.created", None)]


def test_a_new_address_follows_the_customer_to_its_devices(registry: Registry) -> None:
    body = {"deviceIdentifier": "new", "customerEmails": ["a@b.co"], "autoCreateDevice": True, "deviceType": "t"}
    customer = registry.post(ASSIGN_ONE, body)["assignedCustomers"][0]["customerId"]
    registry.post(CUSTOMER, {"telemetronCustomerId": customer, "email": "new@b.co"})
    assert registry.device("new")["owners"] == ["new@b.co"]
    assert registry.happened("new")[-1] == ("device.updated", ["owners"])
    assert registry.post("/customer/queryCustomer", {"email": "new@b.co"})["devices"] == ["new"]
    registry.refused("/customer/queryCustomer", {"email": "a@b.co"}, 404)


def test_a_customer_of_more_devices_than_a_page_is_shown_and_told_all_of_them(registry: Registry) -> None:
    idents = [f"d{number}" for number in range(2001)]
    lines = "".join(json.dumps({"ident": ident, "owners": ["a@b.co"]}) + "\n" for ident in idents).encode()
    headers = {"content-type": "application/x-ndjson"}
    assert registry.app.request("POST", "/v1/devices:import", raw=lines, headers=headers).status == 200
    assert registry.post("/customer/queryCustomer", {"email": "a@b.co"})["devices"] == idents
    left = registry.post(UNASSIGN_MANY, {"customerEmail": "a@b.co", "deviceIdentifiers": idents[:1000]})
    assert left["unassignedDevices"] == idents[:1000]
    assert left["devicesRemaining"] == idents[1000:]
    error = registry.refused(UNASSIGN_MANY, {"customerEmail": "a@b.co", "deviceIdentifiers": idents[:1001]}, 400)
    assert error == "Too many devices. Maximum 1000 per request"


def test_a_tenant_neither_sees_nor_touches_anothers_records(registry: Registry) -> None:
    other = registry.tenant("other")
    body = {"deviceIdentifier": "mine", "customerEmails": ["a@b.co"], "autoCreateDevice": True, "deviceType": "t"}
    mine = registry.post(ASSIGN_ONE, body)
    customer = mine["assignedCustomers"][0]["customerId"]
    before = registry.device("mine")
    result = registry.post("/device/bulk-metadata", {"devices": {"mine": {"x": 1}}}, key=other)
    assert result["results"] == [{"identifier": "mine", "deviceId": "", "status": "not_found"}]
    assert registry.app.request("GET", f"{BASE}/customer/getCustomer/{customer}", key=other).status == 404
    registry.refused("/customer/queryCustomer", {"email": "a@b.co"}, 404, key=other)
    registry.refused(CUSTOMER, {"telemetronCustomerId": customer, "email": "x@y.co"}, 404, key=other)
    registry.refused(ASSIGN_ONE, {"deviceIdentifier": "mine", "customerEmails": ["x@y.co"]}, 404, key=other)
    registry.refused(UNASSIGN_ONE, {"deviceIdentifier": "mine", "customerEmail": "a@b.co"}, 404, key=other)
    registry.refused(UNASSIGN_MANY, {"customerEmail": "a@b.co", "deviceIdentifiers": ["mine"]}, 404, key=other)
    skipped = registry.post(ASSIGN_MANY, {"customerEmail": "x@y.co", "deviceIdentifiers": ["mine"]}, key=other)
    assert skipped["skipped"] == ["mine"]
    assert registry.device("mine") == before
    theirs = registry.post("/device", sensor("mine"), key=other)
    assert theirs["deviceId"] != mine["deviceId"]


def test_a_key_acts_in_an_organization_below_its_own_as_natively(registry: Registry) -> None:
    registry.tenant("plant")
    there = {"fleetroll-organization": "plant"}
    registry.post("/device", sensor(), headers=there)
    assert registry.device("sensor-001", headers=there)["kind"] == "sensor"
    assert registry.app.request("GET", "/v1/devices/sensor-001").status == 404
    nowhere = {"fleetroll-organization": "plnat"}
    assert registry.refused("/device", sensor(), 404, headers=nowhere) == "Organization plnat was not found."


def test_one_key_works_in_every_form(registry: Registry) -> None:
    forms = [
        {"x-api-key": registry.app.key},
        {"authorization": f"Bearer {registry.app.key}"},
        # ":<key>" in base 64
        {"authorization": "Basic OnRlc3QtYWRtaW4ta2V5LTAxMjM0NTY3ODktYWJjZGVmZ2hpamtsbW5vcA=="},
    ]
    for headers in forms:
        registry.post("/device", sensor(), key=None, headers=headers)
    wrong = {"x-api-key": "wrong", "authorization": f"Bearer {registry.app.key}"}
    assert registry.refused("/device", sensor(), 401, key=None, headers=wrong) == "Invalid or missing API key"
