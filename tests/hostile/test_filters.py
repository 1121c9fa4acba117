"""Filters, searches and sorts that mean harm, over HTTP: refused with the column, or harmless."""

import os
import random
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from fleetroll.core import limits
from tests.support.effort import often
from tests.support.raw import NATIVE, Raw, assert_refused, credential, send_all
from tests.support.samples import DEVICE, HELD, World

REFUSED = {
    "a quote that never closes": ('ident = "a', 9),
    "an apostrophe that never closes": ("ident = 'a", 9),
    "an injection": ("ident = 'a' OR '1'='1'; DROP TABLE device; --", 16),
    "a comment": ("ident = a -- b", None),
    "an unknown field": ("secret = 1", 1),
    "an internal column": ("ident_key = a", 1),
    "another tenant": ("org = 2", 1),
    "extras": ("extras.relay = 1", 1),
    "Python's insides": ("__class__ = a", 1),
    "a part of a plain field": ("ident.a = 1", 1),
    "no value": ("ident =", 8),
    "no field": ("= a", 1),
    "two comparators": ("ident == a", None),
    "a stray bracket": ("ident = a)", 10),
    "an open bracket": ("(ident = a", 1),
    "only brackets": ("()", 2),
    "empty brackets within": ("ident = a AND ()", 16),
    "AND alone": ("AND", 1),
    "AND at the end": ("ident = a AND", 14),
    "lower-case and": ("a and b", 3),
    "too deep": ("(" * 17 + "ident = a" + ")" * 17, 17),
    "far too deep": ("(" * 2_000, 17),
    "far too many minus signs before nothing": ("-" * 4_000, None),
    "too many terms": (" OR ".join(["ident = a"] * 21), None),
    "too long": ("a" * (limits.MAX_FILTER + 1), limits.MAX_FILTER + 1),
    "a path too long": ("metadata" + ".a" * 40 + " = 1", 1),
    "a path that ends in a dot": ("metadata. = 1", 1),
    "a path with two dots": ("metadata..a = 1", 1),
    "a wildcard in a path": ("metadata.* = 1", None),
    "an order of flags": ("connected < true", None),
    "a status that is none": ("status = DESTROYED", 10),
    "a number that is none": ("id = abc", 6),
    "a number too large": ("id = 9223372036854775808", 6),
    "a number far too large": ("id = " + "9" * 3_000, 6),
    "a real number too large": ("metadata.a = 1e400", 14),
    "an integer too large in a document": ("metadata.a = 18446744073709551616", 14),
    "a time that is none": ('last_seen < "2026-13-01"', 13),
    "a time without an offset": ('last_seen < "2026-01-01T00:00:00"', 13),
    "an unknown escape": (r'ident = "a\x"', 11),
    "an escaped NUL": (r'ident = "a\u0000"', 11),
    "an escaped escape character": (r'ident = "\u001b[31m"', 10),
    "half a character by escape": (r'ident = "\ud800"', 10),
    "a function": ("lower(ident) = a", None),
    "a regular expression": ("ident =~ /.*/", None),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize(
    "where", ["devices", "devices:export", "events", "devices:update", "devices:delete", "devices:tag", "groups"]
)
def test_a_filter_that_cannot_be_is_refused_with_the_column(world: World, name: str, where: str) -> None:
    text, column = REFUSED[name]
    before = world.state.all()
    body = assert_refused(ask(world, where, text), NATIVE, 400, loud=True)
    found = body.get("errors", {}).get("column")
    assert isinstance(found, int), body
    assert 1 <= found <= len(text) + 1
    if column is not None and where != "events":
        assert found == column
    assert world.state.all() == before


def ask(world: World, where: str, text: str) -> Any:
    bodies: dict[str, dict[str, Any]] = {
        "devices:update": {"set": {"name": "x"}, "filter": text},
        "devices:delete": {"filter": text},
        "devices:tag": {"add": ["x"], "filter": text},
        "groups": {"name": "hostile", "filter": text},
    }
    if where in bodies:
        return world.app.request("POST", f"/v1/{where}", bodies[where])
    return world.app.request("GET", f"/v1/{where}?filter={quote(text)}")


HARMLESS = [
    'ident = "\' OR 1=1 --"',
    'ident = "%"',
    'ident = "_"',
    'ident : "%"',
    'name : "\\\\"',
    'ident = "a*b*c*d*e*f*g*h*i*j*k*l*m*n*o*p"',
    'ident = "****************"',
    'metadata."a\\"b" = 1',
    'metadata."$.a" = 1',
    'metadata."a]" = 1',
    'metadata."\\\\" = 1',
    'metadata."\'" = 1',
    'tags : "x\\" OR \\"1\\"=\\"1"',
    'owners = "* OR *"',
    "NOT NOT NOT NOT ident = a",
    "ident IN (SELECT token FROM key)",  # five words to search for, IN among them
    "ident = a; ident = b",
    '"device_search MATCH"',
    '"NEAR(a b)"',
    "'\"' OR '\"\"'",
    '"a\\*"',
    "metadata.shelf = 4.0000000000000001",
    "metadata.shelf < 1e308",
    "metadata.shelf = -0",
    'created_at > "0001-01-01T00:00:00+23:59"',
    'created_at < "9999-12-31T23:59:59-23:59"',
    "id > -9223372036854775808",
    "\U0001f4df",
    "\u202e",
    '"\u0130\u0131\u00df"',
]


@pytest.mark.parametrize("text", HARMLESS)
def test_a_filter_that_looks_dangerous_is_only_a_filter(world: World, text: str) -> None:
    response = ask(world, "devices", text)
    assert response.status in {200, 400}, response.body
    if response.status == 200:
        idents = {device["ident"] for device in response.json()["devices"]}
        assert idents <= {DEVICE, HELD, "spare"}
        exported = ask(world, "devices:export", text)
        assert {row["ident"] for row in exported.lines()} == idents


def test_a_negated_filter_does_not_reach_other_tenants(world: World) -> None:
    made = world.app.request("POST", "/v1/devices", {"ident": "theirs"}, headers={"fleetroll-organization": "child"})
    assert made.status in {201, 409}
    for text in ("NOT ident = x", "NOT (ident = x AND ident = y)", "id > 0 OR NOT id > 0", "-theirs", "id != 0"):
        assert "theirs" not in {device["ident"] for device in ask(world, "devices", text).json()["devices"]}
    assert ask(world, "devices", "ident = theirs").json()["devices"] == []


SORTS = [
    "secret",
    "org",
    "ident_key",
    "metadata.a",
    "ident,name",
    "ident;",
    "ident DESC",
    "-ident desc",
    "--ident",
    "1",
]
SORTS += [
    "ident desc; DROP TABLE device",
    "(SELECT 1)",
    "ident COLLATE NOCASE",
    "__class__",
    "\U0001f4df",
    "a" * 5_000,
    "-",
]


@pytest.mark.parametrize("sort", SORTS)
def test_a_sort_by_anything_but_a_field_of_the_list_is_refused(world: World, sort: str) -> None:
    assert_refused(world.app.request("GET", f"/v1/devices?sort={quote(sort)}"), NATIVE, 400, loud=True)


@pytest.mark.parametrize(
    "text", ["%", "_", "\\", '"', "'", "*", "^", "a" * 256, "\U0001f4df", "\u0130", "a\u0301", "OR", "NEAR"]
)
def test_a_search_takes_any_line_of_text_for_itself(world: World, text: str) -> None:
    response = world.app.request("GET", f"/v1/devices?{urlencode({'q': text})}")
    assert response.status == 200
    assert response.json()["devices"] == []


PIECES = [
    "ident", "name", "metadata", "metadata.a", "tags", "status", "id", "last_seen", "connected", "software.version",
    "x", "=", "!=", "<", "<=", ">", ">=", ":", "AND", "OR", "NOT", "-", "(", ")", '"', "'", "*", '"a"', '"a*"', "1",
    "1e5", "true", "null", "ACTIVE", "2026-01-01", '"2026-01-01T00:00:00Z"', "\\", "\\u0000", ".", ",", ";", "%", "--",
    "/*", "\u00e9", "\U0001f4df", "\u202e", " ", "  ", "\t", "9" * 30, "a.b", '."k"', "AN", "and", "\x00",
]  # fmt: skip


def test_a_random_heap_of_pieces_is_at_worst_refused(world: World) -> None:
    dice = random.Random(os.environ["FLEETROLL_SEED"])
    texts = [
        "".join(dice.choice(("", " ")) + dice.choice(PIECES) for _ in range(dice.randrange(1, 12)))
        for _ in range(often(4_000))
    ]
    requests = [
        Raw("GET", f"/v1/devices?limit=1&filter={quote(text)}".encode(), (credential(NATIVE),)) for text in texts
    ]
    statuses = set()
    for text, response in zip(texts, send_all(world.app, requests), strict=True):
        assert response.status in {200, 400}, (text, response.body)
        statuses.add(response.status)
        if response.status == 400:
            assert_refused(response, NATIVE, loud=True)
    assert statuses == {200, 400}
