"""Which identifiers are the same, and that every identifier that can be created can be reached.

The written rules: stored as sent; equal by NFC form, case-sensitively; printable characters only, so nothing invisible
or direction-changing; no space at either end; not `.` or `..`. Confusable letters are different letters.
"""

import http.client
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.app import App, running
from tests.support.effort import often
from tests.support.process import Process, serving
from tests.support.raw import NATIVE, assert_refused

TWINS = {
    "NFC and NFD": ("caf\u00e9", "cafe\u0301", True),
    "Hangul and its letters": ("\ud55c", "\u1112\u1161\u11ab", True),
    "angstrom sign": ("\u212b", "\u00c5", True),
    "order of marks": ("q\u0307\u0323", "q\u0323\u0307", True),
    "case": ("Sensor", "sensor", False),
    "case beyond ASCII": ("\u00c4", "\u00e4", False),
    "sharp s": ("stra\u00dfe", "strasse", False),
    "dotless i": ("\u0131", "i", False),
    "kelvin by compatibility only": ("\ufb01", "fi", False),
    "full width": ("\uff21", "A", False),
    "Cyrillic a": ("\u0430bc", "abc", False),
    "Greek omicron": ("\u03bf", "o", False),
    "digit and letter": ("l", "1", False),
    "a trailing dot": ("sensor.", "sensor", False),
    "a slash at the end": ("sensor/", "sensor", False),
    "escaped and not": ("a%2Fb", "a/b", False),
    "plus and space": ("a+b", "a b", False),
    "dots that lead up": ("a/../b", "b", False),
    "leading zeros": ("007", "7", False),
}
REFUSED = {
    "empty": "",
    "a space before": " a",
    "a space after": "a ",
    "a no-break space": "a\u00a0b",
    "an ideographic space": "a\u3000",
    "one dot": ".",
    "two dots": "..",
    "right-to-left override": "a\u202eb",
    "left-to-right isolate": "a\u2066b",
    "right-to-left mark": "a\u200fb",
    "zero-width space": "a\u200bb",
    "zero-width joiner": "a\u200db",
    "word joiner": "a\u2060b",
    "byte order mark": "\ufeffa",
    "soft hyphen": "a\u00adb",
    "invisible times": "a\u2062b",
    "a tag character": "a\U000e0041",
    "line separator": "a\u2028b",
    "a private character": "\ue000",
    "a character not yet assigned": "\u0378",
    "a line end": "a\nb",
    "a tab": "a\tb",
    "too long": "x" * 257,
}
AWKWARD = [
    "/", "//", "/a", "a/", "a/b/c", "%2F", "%2f", "%252F", "%00", "%", "%zz", ":", "a:", ":a", "a:b", ":decommission",
    "a:decommission", "a:transfer", "a:decommission:transfer", "%3Adecommission", "timeline", "a/timeline",
    "a%2Ftimeline", "...", ".a", "a.", "../a", "a/..", "..%2f", "?", "?a=b", "a?limit=5", "#",
    "a#b", "&", "a&b=c", "=", "a;b=c", ";",
    "a b", "a  b", "+", "a+b", "~", "-", "_", "@", "$", "!", "'", '"', "\\", "\\..\\", "|", "^", "`", "<a>", "{ident}",
    "[1]", "*", "(a)", ",", "a,b", "x" * 256, "0", "1", "null", "true", "undefined", "NaN", "devices", "v1", "self",
    "Ünïcödé", "ключ", "设备", "デバイス", "جهاز", "📟", "👩🏽", "e\u0301", "a\u0301\u0302", "ﬁ", "①",
    "https://example.com/a?b#c", "urn:dev:mac:0024befffe804ff1", "00:11:22:33:44:55", "C:\\a", "a\u2044b", "a\uff0fb",
    "a\u2215b",
]  # fmt: skip


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        yield app


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("identifiers") / "data") as app:
        yield app


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(tmp_path_factory.mktemp("identifiers") / "data") as process:
        yield process


def path(ident: str) -> str:
    return f"/v1/devices/{quote(ident, safe='')}"


def sync(app: App, ident: str, **members: object) -> tuple[int, str]:
    """What Telemetron's upsert answers: status, and whether it created."""
    response = app.request("POST", "/api/ext-v1/device", {"identifier": ident, "type": "sensor", **members})
    return response.status, response.json().get("message", "")


@pytest.mark.parametrize("name", TWINS)
def test_two_spellings_are_one_device_only_by_the_written_rule(app: App, name: str) -> None:
    first, second, equal = TWINS[name]
    assert app.request("POST", "/v1/devices", {"ident": first, "name": "first"}).json()["ident"] == first
    made = app.request("POST", "/v1/devices", {"ident": second})
    assert made.status == (409 if equal else 201)
    found = app.request("GET", path(second)).json()
    assert found["ident"] == (first if equal else second)
    assert (found["name"] == "first") is equal
    assert sync(app, second) == (200, "Device updated successfully")
    assert app.request("GET", f"/v1/devices?count=true&filter=ident={quote(chr(34) + second + chr(34))}").json()[
        "total"
    ] == (1 if not any(c in second for c in '\\"') else 0)
    assert app.request("GET", "/v1/stats").json()["total"] == (1 if equal else 2)


@pytest.mark.parametrize("name", TWINS)
def test_the_rule_is_the_same_for_a_dialect_that_creates_by_upsert(app: App, name: str) -> None:
    first, second, equal = TWINS[name]
    assert sync(app, first) == (200, "Device created successfully")
    assert sync(app, second) == (200, f"Device {'updated' if equal else 'created'} successfully")
    line = f'{{"ident": "{second}", "name": "x"}}'.encode()
    imported = app.request("POST", "/v1/devices:import", raw=line, headers={"content-type": "application/x-ndjson"})
    assert imported.lines()[0]["outcome"] == "updated"


def test_a_rename_cannot_take_a_twin_of_another_name(app: App) -> None:
    app.request("PUT", path("caf\u00e9"), {})
    app.request("PUT", path("other"), {})
    assert app.request("PATCH", path("other"), {"ident": "cafe\u0301"}).status == 409
    assert app.request("PATCH", path("caf\u00e9"), {"ident": "cafe\u0301"}).json()["ident"] == "cafe\u0301"


def test_two_spellings_in_one_import_are_one_device(app: App) -> None:
    lines = '{"ident": "caf\u00e9"}\n{"ident": "cafe\u0301", "name": "second"}\n'.encode()
    results = app.request("POST", "/v1/devices:import", raw=lines, headers={"content-type": "application/x-ndjson"})
    assert [result["outcome"] for result in results.lines()] == ["created", "updated"]


@pytest.mark.parametrize("name", REFUSED)
def test_an_identifier_outside_of_the_grammar_is_refused_by_every_way_in(app: App, name: str) -> None:
    ident = REFUSED[name]
    assert_refused(app.request("POST", "/v1/devices", {"ident": ident}), NATIVE, 400)
    assert app.request("PUT", path(ident), {}).status in ({404, 405} if ident == "" else {400})
    app.request("PUT", path("known"), {})
    assert_refused(app.request("PATCH", path("known"), {"ident": ident}), NATIVE, 400)
    assert_refused(
        app.request("PATCH", path("known"), [{"op": "replace", "path": "/ident", "value": ident}]), NATIVE, 400
    )
    assert sync(app, ident)[0] == 400
    body = f'ident,name\r\n"{ident}",x\r\n'.encode()
    imported = app.request("POST", "/v1/devices:import", raw=body, headers={"content-type": "text/csv"})
    assert [result["outcome"] for result in imported.lines()] == ["failed"]
    assert app.request("GET", "/v1/stats").json()["total"] == 1


def lives(app: App, ident: str) -> None:
    """Create, read, update by every verb, and delete one device by its path."""
    at = path(ident)
    made = app.request("POST", "/v1/devices", {"ident": ident})
    assert made.status == 201, made.body
    assert made.headers["location"] == at
    assert app.request("GET", made.headers["location"]).json()["ident"] == ident
    assert app.request("PATCH", at, {"name": "patched"}).json()["name"] == "patched"
    assert app.request("PUT", at, {"name": "put"}).json()["name"] == "put"
    assert app.request("GET", f"{at}/timeline").json()["events"][0]["name"] == ident
    assert app.request("POST", f"{at}:transfer", {"owners": ["ann@example.com"]}).json()["owners"] == [
        "ann@example.com"
    ]
    assert app.request("POST", f"{at}:decommission").json()["status"] == "DECOMMISSIONED"
    assert app.request("DELETE", at).status == 204
    assert app.request("GET", at).status == 404


@pytest.mark.parametrize("ident", AWKWARD)
def test_a_device_lives_by_its_path_whatever_its_name(shared: App, ident: str) -> None:
    lives(shared, ident)


@settings(
    max_examples=often(300),
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    ident=st.one_of(
        st.text(min_size=1, max_size=40),
        st.text(st.sampled_from("/%:.?#&=+ 2Fabe\u0301\u00e9~;,\\\"'"), min_size=1, max_size=30),
    )
)
def test_whatever_create_accepts_can_be_reached(shared: App, ident: str) -> None:
    made = shared.request("POST", "/v1/devices", {"ident": ident})
    if made.status == 400:
        assert_refused(made, NATIVE)
        return
    assert made.status == 201
    shared.request("DELETE", made.headers["location"])
    lives(shared, ident)


@settings(max_examples=often(500), deadline=None, phases=[Phase.generate, Phase.shrink])
@given(text=st.text(st.characters(codec="utf-8", categories=["L", "M", "N", "S", "P"]), min_size=1, max_size=8))
def test_identifiers_are_equal_exactly_when_their_composed_forms_are(shared: App, text: str) -> None:
    composed, decomposed = unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)
    if shared.request("PUT", path(text), {}).status == 400:
        return
    for twin in (composed, decomposed):
        if twin.isprintable():
            assert shared.request("GET", path(twin)).json()["ident"] == text
    if text.swapcase() != text and unicodedata.normalize("NFC", text.swapcase()) != composed:
        assert shared.request("GET", path(text.swapcase())).status in {400, 404}
    assert shared.request("DELETE", path(text)).status == 204


def test_every_awkward_name_is_reached_through_a_real_server_too(server: Process) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    headers = {"authorization": f"Bearer {server.key}", "content-type": "application/json"}

    def ask(method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection.request(method, target, body, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()

    for ident in AWKWARD:
        at = path(ident)
        assert ask("PUT", at, b"{}")[0] == 201, ident
        status, body = ask("GET", at)
        assert (status, f'"ident":"{ident}"'.encode() in body or '"' in ident or "\\" in ident) == (200, True), ident
        assert ask("PATCH", at, b'{"name":"n"}')[0] == 200, ident
        assert ask("GET", f"{at}/timeline")[0] == 200, ident
        assert ask("DELETE", at)[0] == 204, ident
    connection.close()


NAMED = [
    ("owners", "ref", {}),
    ("groups", "name", {"filter": "kind=a"}),
    ("metadata-fields", "name", {"type": "json"}),
]


@pytest.mark.parametrize(("noun", "label", "members"), NAMED)
def test_every_other_thing_with_a_name_is_reached_by_it(
    app: App, noun: str, label: str, members: dict[str, str]
) -> None:
    for name in [*AWKWARD, "Ann@Example.com", "STRASSE", "\u0130", " padded ", *REFUSED.values()]:
        made = app.request("POST", f"/v1/{noun}", {label: name, **members})
        if made.status == 400:
            assert name in REFUSED.values() or (noun == "owners" and len(name) > 254), name
            continue
        at = f"/v1/{noun}/{quote(name, safe='')}"
        found = app.request("GET", at)
        assert (found.status, found.json()[label]) == (200, made.json()[label]), name
        assert app.request("PATCH", at, {"required": True} if noun == "metadata-fields" else {}).status == 200, name
        assert app.request("DELETE", at).status == 204, name
    for dots in (".", ".."):  # no client keeps these in a path, so nothing may be called so
        assert_refused(app.request("POST", f"/v1/{noun}", {label: dots, **members}), NATIVE, 400)


MEMFAULT = "/api/v0/organizations/default/projects/default"
DOTTED: list[tuple[str, str, Any]] = [
    ("POST", "/v1/devices", {"ident": "a", "hardware_version": ".."}),
    ("PUT", "/v1/devices/a", {"software": {"version": "..", "type": "main"}}),
    ("PUT", "/v1/devices/a", {"software": {"version": "1", "type": "."}}),
    ("POST", "/v1/hardware-versions", {"name": "a", "software_type": ".."}),
    ("POST", f"{MEMFAULT}/devices", {"device_serial": "a", "hardware_version": "."}),
    ("POST", f"{MEMFAULT}/hardware_versions", {"name": ".."}),
    ("POST", f"{MEMFAULT}/hardware_versions", {"name": "a", "primary_software_type": ".."}),
    ("POST", "/api/v0/events", [{"device_serial": "a", "hardware_version": ".."}]),
    ("POST", "/api/v0/events", [{"device_serial": "a", "software_version": "."}]),
    ("POST", "/api/v0/events", [{"device_serial": "a", "software_version": "1", "software_type": ".."}]),
    ("POST", "/api/v0/events", [{"device_serial": "a", "software_version": " 1"}]),
]


@pytest.mark.parametrize(("method", "target", "body"), DOTTED)
def test_no_api_makes_a_version_that_no_path_leads_to(app: App, method: str, target: str, body: Any) -> None:
    key = app.request("GET", f"{MEMFAULT}/api_key").json()["data"]["api_key"]
    headers = {"memfault-project-key": key} if target.endswith("/events") else {}
    refused = app.request(method, target, body, key=None if headers else app.key, headers=headers)
    assert refused.status == 400, refused.body
    assert app.request("GET", "/v1/devices").json()["devices"] == []
    for noun in ("hardware-versions", "software-versions"):
        assert app.request("GET", f"/v1/{noun}").json()[noun.replace("-", "_")] == []


def test_a_row_of_such_a_version_leaves_nothing_behind_that_it_names_as_well(app: App) -> None:
    rows = (
        b'{"ident": "a", "owners": ["ann"], "hardware_version": ".."}\n{"ident": "b", "software": {"version": "."}}\n'
    )
    headers = {"content-type": "application/x-ndjson"}
    results = app.request("POST", "/v1/devices:import", raw=rows, headers=headers).lines()
    assert [line["outcome"] for line in results] == ["failed", "failed"]
    assert app.request("GET", "/v1/owners").json()["owners"] == []


CLIMBING = [
    "/v1/devices/..",
    "/v1/devices/../keys",
    "/v1/./devices",
    "//v1/devices",
    "/v1//devices",
    "/v1/devices/%2e%2e",
]


def test_the_process_is_not_fooled_by_a_path_that_climbs(server: Process) -> None:
    """Targets that http.client would never send by itself: none leaves the place it names."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for target in CLIMBING:
        connection.request("GET", target, headers={"authorization": f"Bearer {server.key}"})
        reply = connection.getresponse()
        assert (reply.status, reply.read()[:1]) in {(404, b"{"), (400, b"{")}, target
    connection.close()
