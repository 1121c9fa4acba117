"""Device groups: saved filters that inherit, and are the same groups that our own API shows."""

import uuid
from typing import Any
from urllib.parse import quote

import pytest

from fleetroll.core import limits
from tests.dialects.lamassu.conftest import Manager

GROUPS = "/api/devmanager/v1/device-groups"
FLEET = {"eu-1": ["eu", "Sensor"], "eu-2": ["eu"], "us-1": ["us", "sensor"]}


def made(manager: Manager, name: str, *criteria: tuple[str, str, str], parent: str = "") -> str:
    body = {"id": str(uuid.uuid4()), "name": name, "criteria": written(criteria), "parent_id": parent}
    reply = manager.send("POST", GROUPS, body)
    assert (reply.status, reply.json()["id"]) == (201, body["id"]), reply.body
    return str(body["id"])


def written(criteria: tuple[tuple[str, str, str], ...]) -> list[dict[str, str]]:
    return [dict(zip(("field", "operand", "value"), one, strict=True)) for one in criteria]


def members(manager: Manager, group: str, query: str = "") -> list[str]:
    reply = manager.send("GET", f"{GROUPS}/{group}/devices?{query}")
    assert reply.status == 200, reply.body
    return [one["id"] for one in reply.json()["list"]]


def native(manager: Manager, method: str, path: str, body: Any = None) -> Any:
    reply = manager.app.request(method, f"/v1/groups{path}", body, headers=manager.headers)
    assert reply.status in {200, 201}, reply.body
    return reply.json()


@pytest.fixture
def fleet(manager: Manager) -> Manager:
    for ident, tags in FLEET.items():
        manager.create(ident, tags=tags, metadata={"floor": len(ident + tags[-1])}, dms_id="line")
    return manager


def test_members_fit_the_group_and_all_above_it(fleet: Manager) -> None:
    top = made(fleet, "top", ("dms_owner", "eq", "line"))
    europe = made(fleet, "Europe", ("tags", "ct", "eu"), parent=top)
    sensors = made(fleet, "sensors", ("tags", "ct_ic", "SENSOR"), parent=europe)
    assert (members(fleet, top), members(fleet, europe), members(fleet, sensors)) == (
        ["eu-1", "eu-2", "us-1"],
        ["eu-1", "eu-2"],
        ["eu-1"],
    )
    assert members(fleet, europe, "filter=id%5Bct%5D2") == ["eu-2"]
    assert members(fleet, europe, "sort_by=id&sort_mode=desc") == ["eu-2", "eu-1"]
    first = fleet.send("GET", f"{GROUPS}/{top}/devices?page_size=2").json()
    assert members(fleet, top, f"bookmark={first['next']}") == ["us-1"]
    assert fleet.send("GET", f"{GROUPS}/{sensors}/stats").json()["total"] == 1


@pytest.mark.parametrize(
    ("criterion", "found"),
    [
        (("id", "IN", "eu-1,us-1"), ["eu-1", "us-1"]),
        (("id", "nin_ic", "EU-1"), ["eu-2", "us-1"]),
        (("creation_timestamp", "af", "2024-01-01"), list(FLEET)),
        (("creation_timestamp", "before", "2024-01-01T00:00:00Z"), []),
        (("status", "ne", "NO_IDENTITY"), []),
        (("metadata", "jsonpath", "$.floor > 8"), ["eu-1", "us-1"]),
        (("metadata", "jsonpath", '$.floor == "100%25"'), []),
        (("identity_slot", "jsonpath", "exists($.status)"), []),
    ],
)
def test_every_kind_of_criterion_finds_what_a_list_would(
    fleet: Manager, criterion: tuple[str, str, str], found: list[str]
) -> None:
    assert members(fleet, made(fleet, "one", criterion)) == found


def test_who_has_no_dms_is_found_by_an_empty_one_as_in_a_list(fleet: Manager) -> None:
    fleet.create("alone")
    for operand, found in (("eq", ["alone"]), ("eq_ic", ["alone"]), ("ne", list(FLEET)), ("ct", [*FLEET, "alone"])):
        assert fleet.ids(f"dms_owner[{operand}]") == found
        assert members(fleet, made(fleet, operand, ("dms_owner", operand, ""))) == found


def test_statuses_are_spelled_as_the_profile_has_them_and_taken_in_both(manager: Manager) -> None:
    words = ("RENEWAL_PENDING", "EXPIRING_SOON") if manager.upstream else ("RENEWAL_WINDOW", "ABOUT_TO_EXPIRE")
    for given in ("RENEWAL_PENDING,ABOUT_TO_EXPIRE", "RENEWAL_WINDOW,EXPIRING_SOON"):
        slot = f'$.status == "{given.split(",")[0]}"'
        group = made(manager, given, ("status", "in", given), ("identity_slot", "jsonpath", slot))
        shown = manager.send("GET", f"{GROUPS}/{group}").json()["criteria"]
        assert shown[0] == {"field": "status", "operand": "in", "value": ",".join(words)}
        assert f'"{words[0]}"' in shown[1]["value"]
        status = manager.send("GET", f"{GROUPS}/{group}/stats")
        assert manager.err(status, 400) == "struct validation error"
        below = manager.send("GET", f"{GROUPS}/{made(manager, f'below {given}', parent=group)}/stats")
        assert manager.err(below, 400) == "struct validation error"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "struct validation error"),
        ({"id": "$uid"}, 400, "struct validation error"),
        ({"name": "x"}, 400, "struct validation error"),
        ({"id": "no uuid", "name": "x"}, 400, "struct validation error"),
        ({"id": "$uid", "name": "x", "parent_id": "$uid"}, 400, "circular parent reference detected"),
        ({"id": "$uid", "name": "x", "parent_id": str(uuid.uuid4())}, 404, "device group not found"),
        ({"id": "$uid", "name": "x", "parent_id": "no uuid"}, 404, "device group not found"),
        ({"id": "$taken", "name": "x"}, 409, "device group already exists"),
        ({"id": "$uid", "name": "taken"}, 409, "device group already exists"),
        (
            {"criteria": [("id", "eq", "x"), ("icon", "eq", "x")]},
            400,
            "invalid filter field 'icon' at criteria index 1",
        ),
        ({"criteria": [("tags", "nc", "x")]}, 400, "invalid operand 'nc' for field 'tags' at criteria index 0"),
        ({"criteria": [("metadata", "jsonpath", "$.")]}, 400, None),
        ({"criteria": [("creation_timestamp", "bf", "yesterday")]}, 400, None),
        ({"criteria": [("id", "eq", "x")] * 21}, 400, None),
    ],
)
def test_a_group_that_cannot_be_is_refused_and_not_made(
    manager: Manager, body: dict[str, Any], status: int, words: str | None
) -> None:
    taken, fresh = made(manager, "taken"), str(uuid.uuid4())
    spelled = {name: {"$uid": fresh, "$taken": taken}.get(str(value), value) for name, value in body.items()}
    if "criteria" in body:
        spelled = {"id": fresh, "name": "x", "criteria": written(tuple(body["criteria"]))}
    text = manager.err(manager.send("POST", GROUPS, spelled), status)
    assert words is None or text == words
    assert [one["name"] for one in manager.send("GET", GROUPS).json()["list"]] == ["taken"]


def test_a_group_has_so_many_criteria_and_no_more(manager: Manager) -> None:
    most = [("id", "ne", str(number)) for number in range(limits.MAX_PREDICATES)]
    made(manager, "most", *most)
    more = {"id": str(uuid.uuid4()), "name": "more", "criteria": written((*most, most[0]))}
    assert "at most 20" in manager.err(manager.send("POST", GROUPS, more), 400)


@pytest.mark.parametrize(("count", "size"), [(limits.MAX_PREDICATES + 1, 1), (2, limits.MAX_FILTER // 2 + 1)])
def test_too_many_or_too_long_criteria_are_refused_before_one_is_read(manager: Manager, count: int, size: int) -> None:
    # 240 of patterns took the server three seconds.
    criteria = written((("metadata", "jsonpath", "(" * size),) * count)
    body = {"id": str(uuid.uuid4()), "name": "long", "criteria": criteria}
    assert "at most" in manager.err(manager.send("POST", GROUPS, body), 400)
    native = [{"field": "metadata", "operator": "jsonpath", "value": "(" * size}] * count
    refused = manager.app.request("POST", "/v1/groups", {"name": "long", "filter": "", "criteria": native})
    assert (refused.status, "at most" in refused.json()["detail"]) == (400, True)


def test_a_filter_has_so_many_patterns_wherever_they_are(manager: Manager) -> None:
    # A hundred of them took the server 80 ms, and a list of the members of such a group, with those above it, 750 ms.
    pattern = '$.a like_regex "x"'
    for count, is_taken in ((limits.MAX_PREDICATES // 2, True), (limits.MAX_PREDICATES // 2 + 1, False)):
        predicate = " && ".join([pattern] * count)
        criteria = written((("metadata", "jsonpath", predicate),) * 2)
        reply = manager.send("POST", GROUPS, {"id": str(uuid.uuid4()), "name": str(count), "criteria": criteria})
        assert (reply.status == 201) is is_taken
        expressions = (f"filter=metadata[jsonpath]{quote(one)}" for one in (predicate, quote(predicate)))
        listed = manager.send("GET", f"?{'&'.join(expressions)}")
        assert (listed.status == 200) is is_taken


def test_a_loop_is_refused_at_any_length_and_a_tree_has_a_depth(manager: Manager) -> None:
    chain = [made(manager, "0")]
    for _ in range(7):
        chain.append(made(manager, str(len(chain)), parent=chain[-1]))
    for place in (0, 1, 7):
        loop = manager.send("PUT", f"{GROUPS}/{chain[0]}", {"parent_id": chain[place]})
        assert manager.err(loop, 400) == "circular parent reference detected"
    assert manager.send("PUT", f"{GROUPS}/{chain[7]}", {"parent_id": chain[2]}).json()["parent_id"] == chain[2]
    below = made(manager, "below", parent=chain[6])
    deep = {"id": str(uuid.uuid4()), "name": "too deep", "parent_id": below}
    assert "at most 8 levels" in manager.err(manager.send("POST", GROUPS, deep), 400)
    above = {"parent_id": made(manager, "above")}
    assert "at most 8 levels" in manager.err(manager.send("PUT", f"{GROUPS}/{chain[0]}", above), 400)


def test_a_change_keeps_what_is_left_empty(manager: Manager) -> None:
    top, group = made(manager, "top"), made(manager, "one", ("id", "eq", "x"))
    before = manager.send("GET", f"{GROUPS}/{group}").json()
    empty = {"name": "", "description": "", "criteria": [], "parent_id": ""}
    assert manager.send("PUT", f"{GROUPS}/{group}", empty).json() == before
    change = {"name": "two", "description": "d", "criteria": written((("id", "ne", "y"),)), "parent_id": top}
    changed = manager.send("PUT", f"{GROUPS}/{group}", change).json()
    assert {name: changed[name] for name in change} == change
    assert manager.err(manager.send("PUT", f"{GROUPS}/{group}", {"name": "top"}), 409)
    assert manager.send("PUT", f"{GROUPS}/{group}", {"parent_id": ""}).json()["parent_id"] == top
    assert manager.err(manager.send("PUT", f"{GROUPS}/{uuid.uuid4()}", change), 404) == "device group not found"


def test_what_is_below_a_group_goes_with_it_and_devices_stay(fleet: Manager) -> None:
    top = made(fleet, "top")
    below = made(fleet, "below", parent=made(fleet, "middle", parent=top))
    beside = made(fleet, "beside")
    assert fleet.send("DELETE", f"{GROUPS}/{top}").status == 204
    for gone in (top, below):
        assert fleet.err(fleet.send("DELETE", f"{GROUPS}/{gone}"), 404) == "device group not found"
        assert fleet.err(fleet.send("GET", f"{GROUPS}/{gone}/devices"), 404) == "device group not found"
        assert fleet.err(fleet.send("GET", f"{GROUPS}/{gone}/stats"), 404) == "device group not found"
    assert members(fleet, beside) == list(FLEET)


def test_groups_are_listed_in_order_and_narrowed(manager: Manager) -> None:
    ids = {name: made(manager, name) for name in ("b", "a", "c")}

    def names(query: str) -> list[str]:
        return [one["name"] for one in manager.send("GET", f"{GROUPS}?{query}").json()["list"]]

    assert names("") == ["a", "b", "c"]
    assert names("sort_mode=desc") == ["c", "b", "a"]
    assert names("sort_by=id") == sorted(ids, key=lambda name: ids[name])
    assert names(f"filter=id%5Beq%5D{ids['b']}") == ["b"]
    assert names("filter=name%5Bin%5Da,c") == ["a", "c"]
    assert names("filter=name%5Bct_ic%5DA") == ["a"]
    page = manager.send("GET", f"{GROUPS}?page_size=2&sort_mode=desc").json()
    made(manager, "d")
    assert names(f"bookmark={page['next_bookmark']}") == ["a"]
    assert manager.err(manager.send("GET", f"{GROUPS}?bookmark=x"), 400)


def test_a_group_is_one_in_both_apis(fleet: Manager) -> None:
    top = made(fleet, "Europe", ("tags", "ct", "eu"))
    shown = native(fleet, "GET", "/Europe")
    assert (shown["filter"], shown["parent_id"]) == ("", None)
    assert shown["criteria"] == [{"field": "tags", "operator": "contains", "value": "eu"}]
    body = {"name": "upstairs", "filter": "metadata.floor > 8", "parent_id": shown["id"], "criteria": []}
    assert native(fleet, "POST", "", body)["parent_id"] == shown["id"]
    assert [one["ident"] for one in native(fleet, "GET", "/upstairs/devices")["devices"]] == ["eu-1"]
    listed = {one["name"]: one for one in fleet.send("GET", GROUPS).json()["list"]}
    upstairs = listed["upstairs"]
    assert (upstairs["filter"], upstairs["parent_id"], upstairs["criteria"]) == (body["filter"], top, [])
    assert upstairs["inherited_criteria"] == listed["Europe"]["criteria"]
    assert members(fleet, upstairs["id"]) == ["eu-1"]
    change = {"parent_id": None, "criteria": [{"field": "ident", "operator": "contains", "value": "us"}]}
    changed = native(fleet, "PATCH", "/upstairs", change)
    assert changed["criteria"] == [{"field": "ident", "operator": "ct", "value": "us"}]
    assert members(fleet, upstairs["id"]) == ["us-1"]


@pytest.mark.parametrize(
    "change",
    [
        {"parent_id": 999},
        {"parent_id": 1 << 70},
        {"criteria": [{"field": "icon", "operator": "eq", "value": "x"}]},
        {"criteria": [{"field": "ident", "operator": "frob", "value": "x"}]},
        {"criteria": [{"field": "ident", "operator": "eq", "value": "x" * 5000}]},
    ],
)
def test_our_own_api_refuses_what_a_group_cannot_ask(manager: Manager, change: dict[str, Any]) -> None:
    made(manager, "one")
    reply = manager.app.request("PATCH", "/v1/groups/one", change, headers=manager.headers)
    assert reply.status in {400, 422}, reply.body
    assert native(manager, "GET", "/one")["revision"] == 1
    body = {"name": "two", "filter": "", **change}
    assert manager.app.request("POST", "/v1/groups", body, headers=manager.headers).status in {400, 422}
    assert manager.app.request("GET", "/v1/groups/two", headers=manager.headers).status == 404
