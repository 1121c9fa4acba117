"""Lists of the device manager: every operator, bookmarks, orders and counts, as section by section of its filters."""

from typing import Any
from urllib.parse import quote

import pytest

from fleetroll.core import limits
from tests.dialects.lamassu.conftest import Manager

FLEET: list[dict[str, Any]] = [
    {"id": "d1", "dms_id": "Line-A", "tags": ["sensor", "production"], "metadata": {"env": "production", "temp": 60}},
    {"id": "D_1", "dms_id": "line-a", "tags": ["Sensor"], "metadata": {"env": "x", "tags": ["a", "b"], "temp": 5.25}},
    {"id": "d%2", "dms_id": "line-b", "tags": ["sens", "ünï"], "metadata": {"temp": 10, "at": "2026-01-01T00:00:00Z"}},
    {"id": "other", "tags": [], "metadata": {"env": None, "temp": "hot"}},
]
ALL = [one["id"] for one in FLEET]
FOUND = {
    "id[eq]d1": ["d1"],
    "id[EQ]d1": ["d1"],
    "id[equal]d1": ["d1"],
    "id[equals]:d1": ["d1"],
    "id[eq]:d1": ["d1"],
    "id[eq]=d1": ["d1"],
    "id[eq]D1": [],
    "id[eq]": [],
    "id[eq_ic]D1": ["d1"],
    "id[eq_ic]d_": [],
    "id[equal_ignorecase]d_1": ["D_1"],
    "id[ne]d1": ["D_1", "d%2", "other"],
    "id[notequal]:d1": ["D_1", "d%2", "other"],
    "id[ne_ic]D1": ["D_1", "d%2", "other"],
    "id[notequal_ignorecase]D1": ["D_1", "d%2", "other"],
    "id[ct]d": ["d1", "d%2"],
    "id[contains]%": ["d%2"],
    "id[ct]_": ["D_1"],
    "id[ct_ic]D": ["d1", "D_1", "d%2"],
    "id[contains_ic]OTH": ["other"],
    "id[contains_ignorecase]OTH": ["other"],
    "id[nc]d": ["D_1", "other"],
    "id[notcontains]d": ["D_1", "other"],
    "id[nc_ic]D": ["other"],
    "id[notcontains_ignorecase]d": ["other"],
    "id[in]d1,,other": ["d1", "other"],
    "id[in],": ALL,
    "id[in_ic]D1,d_1": ["d1", "D_1"],
    "id[nin]d1,other": ["D_1", "d%2"],
    "id[nin_ic]D1,OTHER": ["D_1", "d%2"],
    "dms_owner[eq]:Line-A": ["d1"],
    "dms_owner[eq_ic]LINE-A": ["d1", "D_1"],
    "dms_owner[ct]line": ["D_1", "d%2"],
    "dms_owner[ct_ic]LINE": ["d1", "D_1", "d%2"],
    "dms_owner[ne]line-b": ["d1", "D_1", "other"],
    "dms_owner[eq]": ["other"],
    "dms_owner[eq_ic]:": ["other"],
    "dms_owner[ne]": ["d1", "D_1", "d%2"],
    "dms_owner[ct]": ALL,
    "dms_owner[ct_ic]": ALL,
    "dms_owner[nc]": [],
    "tags[ct]sensor": ["d1"],
    "tags[contains]:sensor": ["d1"],
    "tags[eq]sensor": ["d1"],
    "tags[equal]sensor": ["d1"],
    "tags[ct]sens": ["d%2"],
    "tags[contains_ic]:SENSOR": ["d1", "D_1"],
    "tags[ct_ic]sensor": ["d1", "D_1"],
    "tags[contains_ignorecase]ÜNÏ": ["d%2"],
    "tags[ct_ic]s%": [],
    "status[eq]:NO_IDENTITY": ALL,
    "status[eq]ACTIVE": [],
    "status[eq]nonsense": [],
    "status[ne]ACTIVE": ALL,
    "status[in]ACTIVE,NO_IDENTITY": ALL,
    "creation_timestamp[af]:2024-01-01T00:00:00Z": ALL,
    "creation_timestamp[after]2024-01-01": ALL,
    "creation_timestamp[bf]2024-01-01": [],
    "creation_timestamp[af]2024-01-01T00:00:00.123456789Z": ALL,
    "creation_timestamp[af]2024-01-01 00:00:00+02:00": ALL,
    "creation_timestamp[before]:2999-01-01T00:00:00+02:00": ALL,
    "creation_timestamp[eq]2024-01-01": [],
    "creation_timestamp[after]2024-01-01T10:00": ALL,
    "creation_timestamp[before]2024-01-01 10:00+02:00": [],
    "creation_timestamp[bf]now": ALL,
    "creation_timestamp[af]:NOW": [],
    "creation_timestamp[eq]now": [],
    'metadata[jsonpath]$.env == "production"': ["d1"],
    "metadata[jsonpath]$.temp > 5": ["d1", "D_1", "d%2"],
    'metadata[jsonpath]$.tags[*] == "b"': ["D_1"],
    'metadata[jsonpath]$.tags[last] == "b"': ["D_1"],
    "metadata[jsonpath]exists($.env)": ["d1", "D_1", "other"],
    'metadata[jsonpath]$.env starts with "prod"': ["d1"],
    'metadata[jsonpath]$.env like_regex "^prod.*n$"': ["d1"],
    'metadata[jsonpath]$.env == "x" || $.temp == 60': ["d1", "D_1"],
    'metadata[jsonpath]$.env == "x" && $.temp == 60': [],
    "metadata[jsonpath]$.env": [],
    'metadata[jsonpath]$.env != "x"': ["d1", "other"],
    'metadata[jsonpath]!($.env == "x")': ["d1", "d%2", "other"],
    'metadata[jsonpath]$.**{1 to last} == "b"': ["D_1"],
    'metadata[jsonpath]strict $.env != "x"': ["d1", "other"],
    'metadata[jsonpath]strict $.tags == "b"': [],
    "metadata[jsonpath]$.temp / 2 - 1 >= 4": ["d1", "d%2"],
    "metadata[jsonpath]%24.temp%20%3E%2050": ["d1"],
    'identity_slot[jsonpath]$.status == "ACTIVE"': [],
    # What is no filter asks nothing.
    "icon[eq]x": ALL,
    "identity[eq]x": ALL,
    "id": ALL,
    "id]eq[d1": ALL,
    " id[eq]d1": ALL,
    "ID[eq]d1": ALL,
}


@pytest.fixture
def fleet(manager: Manager) -> Manager:
    for one in FLEET:
        manager.create(one["id"], **{name: value for name, value in one.items() if name != "id"})
    return manager


def test_a_filter_finds_what_it_says(fleet: Manager) -> None:
    for text, expected in FOUND.items():
        assert fleet.ids(text) == expected, text


def test_a_predicate_finds_no_end_of_a_slot_that_has_none(manager: Manager) -> None:
    for ident, more in (("lasting", {}), ("ended", {"expiration_date": "2020-01-01T00:00:00Z"})):
        manager.create(ident)
        manager.send("PUT", f"/{ident}/idslot", {"status": "ACTIVE", **more})
    for text, expected in {
        "exists($.expiration_date)": ["ended"],
        "strict exists($.expiration_date)": ["ended"],
        "exists($.events)": ["lasting", "ended"],
        '$.* == "ACTIVE"': ["lasting"],
    }.items():
        assert manager.ids(f"identity_slot[jsonpath]{text}") == expected, text


@pytest.mark.parametrize("word", ["RENEWAL_WINDOW", "RENEWAL_PENDING"])
def test_a_predicate_takes_a_status_in_both_spellings_wherever_it_is(manager: Manager, word: str) -> None:
    manager.create("d1")
    manager.create("d2")
    manager.send("PUT", "/d1/idslot", {"status": word})
    manager.send("PUT", "/d2/idslot", {"status": "ACTIVE"})
    for text in ('$.status == "{}"', 'exists($.status ? (@ == "{}"))', '$ ? (@.status == "{}").type == "x509"'):
        assert manager.ids(f"identity_slot[jsonpath]{text.format(word)}") == ["d1"], text


def test_filters_hold_together(fleet: Manager) -> None:
    assert fleet.ids("status[eq]:NO_IDENTITY", "tags[contains]:production") == ["d1"]
    assert fleet.ids("id[ct]d", "id[nc]1") == ["d%2"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id[]x", "invalid filter operand '' for field 'id' of type 0"),
        ("id[frob]x", "invalid filter operand 'frob' for field 'id' of type 0"),
        ("tags[nc]x", "invalid filter operand 'nc' for field 'tags' of type 1"),
        ("creation_timestamp[gt]x", "invalid filter operand 'gt' for field 'creation_timestamp' of type 2"),
        ("status[ct]x", "invalid filter operand 'ct' for field 'status' of type 4"),
        ("metadata[eq]x", "invalid filter operand 'eq' for field 'metadata' of type 5"),
        ("creation_timestamp[af]soon", "A time in a filter must be ISO 8601"),
        ("metadata[jsonpath]$.a ==", "JSONPath"),
        ("metadata[jsonpath]'; DROP TABLE device; --", "JSONPath"),
        ("id[in]" + "x," * 101, "100"),
    ],
)
def test_what_a_filter_cannot_mean_is_refused(manager: Manager, text: str, words: str) -> None:
    assert words in manager.err(manager.send("GET", f"?filter={quote(text)}"), 400)
    assert words in manager.err(manager.send("GET", f"/api/devmanager/v1/stats?filter={quote(text)}"), 400) or (
        text.startswith("status")
    )


# --- pages -----------------------------------------------------------------------------------------------------------


def walked(manager: Manager, query: str, path: str = "") -> list[list[str]]:
    """The ids of every page, followed by bookmark alone."""
    pages, reply = [], manager.send("GET", f"{path}?{query}").json()
    while True:
        pages.append([one["id"] for one in reply["list"]])
        if not reply["next"]:
            return pages
        reply = manager.send("GET", f"{path}?bookmark={reply['next']}").json()


def test_a_bookmark_keeps_filter_order_and_size(manager: Manager) -> None:
    for number in (3, 1, 4, 1.5, 9, 2, 6):
        manager.create(f"d{number}", tags=["t"], metadata={"n": number})
    manager.create("untagged")
    query = "page_size=3&filter=tags[ct]t&sort_by=metadata[jsonpath]$.n&sort_mode=desc"
    assert walked(manager, query) == [["d9", "d6", "d4"], ["d3", "d2", "d1.5"], ["d1"]]
    assert walked(manager, "page_size=4&sort_by=id&sort_mode=desc&filter=tags[ct]t") == [
        ["d9", "d6", "d4", "d3"],
        ["d2", "d1.5", "d1"],
    ]
    assert walked(manager, "page_size=4&filter=tags[ct]t")[1] == ["d9", "d2", "d6"]


def test_a_page_has_as_many_devices_as_it_may_whatever_is_asked_for(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(17):
        manager.create(f"d{number}")
    assert len(manager.page("page_size=1000000")["list"]) == 17
    assert len(manager.page("page_size=0")["list"]) == len(manager.page("page_size=-1")["list"]) == 15
    monkeypatch.setattr(limits, "MAX_PAGE", 5)
    assert [len(page) for page in walked(manager, "page_size=1000000")] == [5, 5, 5, 2]


def test_devices_without_a_dms_come_last_in_either_direction(manager: Manager) -> None:
    for ident, dms in (("d1", "b"), ("d2", None), ("d3", "a")):
        manager.create(ident, dms_id=dms)
    assert manager.ids(sort_by="dms_owner") == ["d3", "d1", "d2"]
    assert manager.ids(sort_by="dms_owner", sort_mode="desc") == ["d1", "d3", "d2"]


def test_pages_hold_still_while_devices_come_and_go(manager: Manager) -> None:
    for number in range(6):
        manager.create(f"d{number}")
    first = manager.page("page_size=2&sort_by=id")
    manager.create("a-new-first")
    assert manager.app.request("DELETE", "/v1/devices/d1", headers=manager.headers).status == 204
    second = manager.page(f"bookmark={first['next']}")
    assert [one["id"] for one in first["list"] + second["list"]] == ["d0", "d1", "d2", "d3"]


def test_a_bookmark_of_another_list_or_hand_is_refused(manager: Manager) -> None:
    for number in range(3):
        manager.create(f"d{number}", dms_id="a")
    bookmark = manager.page("page_size=1")["next"]
    words = manager.err(manager.send("GET", f"/dms/a?bookmark={bookmark}"), 400)
    assert words == "This bookmark is invalid for this list; start again from the first page."
    for wrong in (bookmark[:-2], "b2ZmOjE7bGltOjE7", "%3D%3D", "x" * 3000):
        manager.err(manager.send("GET", f"?bookmark={wrong}"), 400)


def test_a_page_has_the_size_that_was_asked_for(manager: Manager) -> None:
    for number in range(30):
        manager.create(f"d{number}")
    sizes = {"": 25, "page_size=x": 25, "page_size=0": 15, "page_size=-5": 15, "page_size=3": 3, "page_size=999999": 30}
    sizes |= {"page_size=3&page_size=7": 7, "page_size=" + "9" * 400: 25}
    for query, size in sizes.items():
        assert len(manager.page(query)["list"]) == size, query


def test_an_order_is_taken_where_there_is_one(fleet: Manager) -> None:
    assert fleet.ids(sort_by="id") == ["D_1", "d%2", "d1", "other"]
    assert fleet.ids(sort_by=" id ", sort_mode="desc") == ["other", "d1", "d%2", "D_1"]
    assert fleet.ids(sort_by="id", sort_mode="DESC") == ["D_1", "d%2", "d1", "other"]
    assert fleet.ids(sort_by="creation_timestamp", sort_mode="desc") == ALL[::-1]
    assert fleet.ids(sort_by="dms_owner") == ["d1", "D_1", "d%2", "other"]
    for ignored in ("icon", "alias", "metadata", "metadata[jsonpath]$.a; DROP", "metadata[jsonpath]$.*", "frob[x]y"):
        assert fleet.ids(sort_by=ignored) == ALL, ignored
    # Nothing and null, then numbers, then texts.
    assert fleet.ids(sort_by="metadata[jsonpath]$.temp") == ["D_1", "d%2", "d1", "other"]
    assert fleet.ids(sort_by="metadata[jsonpath]$.env") == ["d%2", "other", "d1", "D_1"]
    assert fleet.ids(sort_by="metadata[jsonpath]$.env", sort_mode="desc") == ["D_1", "d1", "other", "d%2"]


def test_the_devices_of_a_dms_are_a_list_of_their_own(fleet: Manager) -> None:
    assert [one["id"] for one in fleet.send("GET", "/dms/line-b").json()["list"]] == ["d%2"]
    assert fleet.send("GET", "/dms/nowhere").json() == {"next": "", "list": []}
    assert fleet.send("GET", "/dms/line-b?filter=status[eq]:ACTIVE").json()["list"] == []


def test_devices_are_counted_by_status(fleet: Manager) -> None:
    shown = fleet.send("GET", "/api/devmanager/v1/stats").json()
    assert shown["total"] == 4
    assert list(shown["status_distribution"]) == sorted(shown["status_distribution"])
    assert len(shown["status_distribution"]) == 7
    assert shown["status_distribution"]["NO_IDENTITY"] == 4
    assert fleet.send("GET", "/api/devmanager/v1/stats?filter=tags[ct]sensor").json()["total"] == 1
    assert fleet.send("GET", "/api/devmanager/v1/stats?filter=icon[ct]sensor").json()["total"] == 4
    refused = fleet.err(fleet.send("GET", "/api/devmanager/v1/stats?filter=status[eq]ACTIVE"), 400)
    assert refused == "struct validation error"
