"""Patches that grow, climb, nest or almost succeed, over HTTP: refused with a sentence, and nothing is changed.

The rules of JSON Patch themselves are tested in tests/unit/test_patch.py; here are the budgets as a caller meets them.
"""

from typing import Any

import pytest

from fleetroll.core import limits
from tests.support.raw import NATIVE, assert_refused
from tests.support.samples import DEVICE, World

PATH = f"/v1/devices/{DEVICE}"
PATCH = {"content-type": "application/json-patch+json"}
MERGE = {"content-type": "application/merge-patch+json"}
FILL = {"op": "add", "path": "/metadata/a", "value": ["x" * 900]}


def add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


def copy(origin: str, path: str) -> dict[str, Any]:
    return {"op": "copy", "from": origin, "path": path}


def move(origin: str, path: str) -> dict[str, Any]:
    return {"op": "move", "from": origin, "path": path}


def remove(path: str) -> dict[str, Any]:
    return {"op": "remove", "path": path}


def nest(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


BOMBS: dict[str, list[Any]] = {
    "doubling by copy": [FILL, *[copy("/metadata/a", "/metadata/a/-")] * 99],
    "doubling of the document": [FILL, *[copy("/metadata", "/metadata/b")] * 30],
    "doubling and taking away at the end": [FILL, *[copy("/metadata/a", "/metadata/a/-")] * 30, remove("/metadata/a")],
    "growing by moves": [FILL, *[copy("/metadata/a", "/config/a"), move("/config/a", "/metadata/a/-")] * 49],
    "depth by copies": [add("/metadata/a", {}), *[copy("/metadata", "/metadata/a/a")] * 40],
    "depth by one add": [add("/metadata/a", nest(40))],
    "one operation too many": [{"op": "test", "path": "/ident", "value": DEVICE}] * (limits.MAX_PATCH_OPERATIONS + 1),
    "a patch too large": [add("/metadata/a", "x" * limits.MAX_PATCH)],
    "a document too large": [add("/metadata/a", "x" * 50_000), copy("/metadata/a", "/metadata/b")],
    "a pointer too long": [add("/metadata/" + "a" * 2_000, 1)],
    "a pointer too deep": [add("/metadata" + "/a" * 60, 1)],
    "a key too long": [add("/metadata/" + "k" * 300, 1)],
    "an integer too large": [add("/metadata/a", 2**64)],
    "a control character by pointer": [add("/metadata/a\u0001", 1)],
}
BROKEN: dict[str, Any] = {
    "no operation": [{}],
    "an unknown operation": [{"op": "merge", "path": "/metadata/a", "value": 1}],
    "an operation that is no text": [{"op": ["add"], "path": "/metadata/a", "value": 1}],
    "no path": [{"op": "add", "value": 1}],
    "a path that is no text": [{"op": "add", "path": ["metadata"], "value": 1}],
    "a path without a slash": [add("metadata/a", 1)],
    "a bad escape": [add("/metadata/~2", 1)],
    "no value": [{"op": "add", "path": "/metadata/a"}],
    "no from": [{"op": "copy", "path": "/metadata/a"}],
    "a list of lists": [[]],
    "null": [None],
    "a place that is not there": [add("/metadata/no/way", 1)],
    "a removal of nothing": [remove("/metadata/nothing")],
    "a replacement of nothing": [{"op": "replace", "path": "/metadata/nothing", "value": 1}],
    "an index past the end": [add("/tags/9", "x")],
    "an index with a zero": [add("/tags/00", "x")],
    "an index in another script": [add("/tags/\u0661", "x")],
    "an index beyond all integers": [add("/tags/" + "9" * 1_000, "x")],
    "a negative index": [add("/tags/-1", "x")],
    "a text as a container": [add("/name/0", "x")],
    "a move into itself": [move("/metadata", "/metadata/a")],
    "the whole document": [add("", 5)],
    "the whole document removed": [remove("")],
    "another device in its place": [add("", {"ident": "other"})],
    "an unknown member": [add("/surprise", 1)],
    "Python's insides": [add("/__class__", 1)],
    "a member of another type": [add("/tags", "x")],
    "a name of another type": [add("/name", {"a": 1})],
    "null where none may be": [add("/ident", None)],
    "the identifier removed and kept from": [remove("/metadata"), add("/metadata", [])],
    "the number": [add("/id", 4_000_000)],
    "the number by another type": [add("/id", "1")],
    "the status": [add("/status", "ACTIVE")],
    "the revision": [add("/revision", 99)],
    "the creation": [remove("/created_at")],
    "the connection": [add("/connected", 1)],
}


@pytest.mark.parametrize("name", [*BOMBS, *BROKEN])
def test_a_patch_that_breaks_a_rule_is_refused_and_changes_nothing(world: World, name: str) -> None:
    operations = BOMBS.get(name) or BROKEN[name]
    before = world.state.all()
    assert_refused(world.app.request("PATCH", PATH, operations, headers=PATCH), NATIVE, 400)
    # Sound operations before it do not survive it either.
    mixed = [add("/metadata/first", 1), add("/name", "first"), *operations][: limits.MAX_PATCH_OPERATIONS]
    if name != "one operation too many":
        assert_refused(world.app.request("PATCH", PATH, mixed, headers=PATCH), NATIVE, 400)
    assert world.state.all() == before


def test_a_failed_test_is_a_conflict_and_undoes_what_came_before_it(world: World) -> None:
    before = world.state.all()
    for expected in ("no", 4.5, True, None, {"a": 1}, "4"):
        operations = [add("/name", "new"), {"op": "test", "path": "/metadata/shelf", "value": expected}]
        body = assert_refused(world.app.request("PATCH", PATH, operations, headers=PATCH), NATIVE, 409)
        assert body["code"] == "patch_test_failed"
    assert world.state.all() == before


def test_a_hundred_operations_within_the_budgets_all_count(world: World) -> None:
    operations = [add(f"/metadata/k{number}", number) for number in range(limits.MAX_PATCH_OPERATIONS)]
    found = world.app.request("PATCH", PATH, operations, headers=PATCH).json()["metadata"]
    assert [found[f"k{number}"] for number in range(100)] == list(range(100))


MERGES: dict[str, Any] = {
    "an unknown member": {"surprise": 1},
    "a prototype": {"__proto__": {"name": "x"}},
    "the number": {"id": 4_000_000},
    "the number taken away": {"id": None},
    "the status": {"status": "ACTIVE"},
    "a flag by another type": {"connected": 0},
    "the revision as it never was": {"revision": 0.5},
    "tags of another type": {"tags": {"a": 1}},
    "metadata that is a list": {"metadata": [1]},
    "metadata that is a text": {"metadata": "x"},
    "metadata taken away": {"metadata": None},
    "the identifier taken away": {"ident": None},
    "a document too large": {"metadata": {"a": "x" * 70_000}},
    "too deep": {"metadata": nest(40)},
    "an integer too large": {"metadata": {"a": -(2**63) - 1}},
    "a list": [{"op": "no"}],
}


@pytest.mark.parametrize("name", MERGES)
def test_a_merge_patch_that_breaks_a_rule_is_refused_and_changes_nothing(world: World, name: str) -> None:
    before = world.state.all()
    change = MERGES[name] if isinstance(MERGES[name], list) else {"name": "new", **MERGES[name]}
    response = world.app.request("PATCH", PATH, change, headers=MERGE)
    if name in {"metadata taken away"}:  # what may be empty is emptied by null
        assert response.status == 200
        assert response.json()["metadata"] == {}
        world.prepare()
        return
    assert_refused(response, NATIVE, 400)
    assert world.state.all() == before


def test_merges_that_each_fit_cannot_grow_a_document_past_its_bound(world: World) -> None:
    statuses = [
        world.app.request("PATCH", PATH, {"metadata": {f"part{number}": "x" * 30_000}}, headers=MERGE).status
        for number in range(4)
    ]
    assert statuses == [200, 200, 400, 400]
    world.prepare()


def test_a_large_device_can_still_be_patched(world: World) -> None:
    """The budget bounds what a patch makes, not what was there: each document may have its own full size."""
    app, big = world.app, {"a": "x" * 60_000}
    assert app.request("PUT", "/v1/devices/large", {"metadata": big, "config": big}).status in {200, 201}
    patched = app.request("PATCH", "/v1/devices/large", [add("/name", "new")], headers=PATCH)
    assert (patched.status, patched.json().get("name")) == (200, "new")
