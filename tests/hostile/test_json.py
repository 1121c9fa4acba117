"""Bodies that are not the JSON we take: one verdict for each, on every JSON route of every dialect, and no change.

Two written rules besides RFC 8259: of a member that is given twice the last counts, and the integer -0 is refused,
because no decoder keeps it.
"""

import json
from pathlib import Path

import pytest

from tests.support.app import running
from tests.support.raw import assert_refused, send, send_all, verdict, words
from tests.support.samples import DEVICE, Sample, World, json_samples, texts, world_in

# What no JSON value may look like; each stands where a value stands.
_NUMBERS = words("""NaN nan Infinity -Infinity inf -inf Inf +1 ++1 01 -01 00 -00 1. .5 -.5 1e 1e+ 1E- 1.e5 1e1.5
    0x10 0b1 0o7 1_000 -- - + 1e400 -1e400 1.5e309 1e99999999999999999999 -0 -0, 1f 1n 1L 0.0.0 1-1
    \u0661 \u00bd \uff11""")
_WORDS = words("tru True TRUE fals False nul None NULL undefined nulll truefalse yes nan() new(1) a a.b @ $ % ~")
_STRINGS = [
    *[f'"{chr(code)}"'.encode() for code in range(0x20)],
    *[f'"\\u{code:04x}"'.encode() for code in range(0x20) if code not in (9, 10, 13)],
    *[f'"\\u{code:04X}"'.encode() for code in (0x7F, 0x80, 0x85, 0x9F)],
    *[f'"{chr(code)}"'.encode() for code in (0x7F, 0x80, 0x85, 0x9F)],
    *[b'"' + bad + b'"' for bad in (rb"\b", rb"\f", rb"\x41", rb"\a", rb"\'", rb"\0", rb"\v", rb"\e", rb"\ ", b"\\\n")],
    *[b'"' + bad + b'"' for bad in (rb"\u", rb"\u12", rb"\u123", rb"\uZZZZ", rb"\u 041", rb"\U0001F600", rb"\u{41}")],
    *[b'"' + bad + b'"' for bad in (rb"\ud800", rb"\udbff", rb"\udc00", rb"\ud83d\ud83d", rb"\ude00\ud83d")],
    *[b'"' + bad + b'"' for bad in (rb"\ud800\n", rb"\ud800a", rb"\ud83d\\ude00", rb"\\\u0000", rb"a\\\\\u0001")],
    *[b'"' + bad + b'"' for bad in (b"\xff", b"\xfe", b"\x80", b"\xbf", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98")],
    *[b'"' + bad + b'"' for bad in (b"\xc0\xaf", b"\xc0\x80", b"\xc1\x81", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf")],
    *[b'"' + bad + b'"' for bad in (b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80")],
    b'"', b"'a'", b'"a', b'a"', b'"a\\"', b'"a""b"', b'"a" "b"', b"`a`", b'"\\', b'"a\xe9b"',
]  # fmt: skip
_CONTAINERS = words("""[ ] { } [1 [1, [1,] [,1] [1,,2] [1;2] [1:2] {] [} [1}
    {"a" {"a": {"a":1 {"a":1, {"a":1,} {,} {:1} {1:1} {null:1} {a:1} {'a':1} {"a"::1} {"a"=1} {"a",1} {"a":1}} [1]]
    {"a":1;} [1]x /**/ [1/**/] //a #a <a/> {{}} {[]} {"a"} {"a":1"b":2} [1"a"] (1) <!-- ...""")
_DEEP = [
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 100_000,
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    b'[{"a":' * 50_000,
    b"[" * 33 + b"]" * 33,
    b'{"a":' * 33 + b"1" + b"}" * 33,
    b'["]]]]", "\\"]]]", ' + b"[" * 40 + b"]" * 40 + b"]",
]
VALUES = [
    *[text.encode() for text in (*_NUMBERS, *_WORDS, *_CONTAINERS)],
    *_STRINGS,
    *_DEEP[-3:],
    b"1" * 5_000,
    b"-" + b"1" * 5_000,
    b"1" * 5_000 + b".5",
]
_OBJECT = b'{"a": 1}'
# What no body may be as a whole.
BODIES = [
    b"",
    b" ",
    b"\n",
    b"\t\r\n ",
    b"\x00",
    b"\x00" * 64,
    b"\xef\xbb\xbf",
    b"\xef\xbb\xbf" + _OBJECT,
    b"\xff\xfe",
    _OBJECT.decode().encode("utf-16"),
    _OBJECT.decode().encode("utf-16-le"),
    _OBJECT.decode().encode("utf-16-be"),
    _OBJECT.decode().encode("utf-32"),
    _OBJECT.decode().encode("utf-32-be"),
    _OBJECT.decode().encode("utf-7").replace(b"{", b"+AHs-"),
    _OBJECT.decode().encode("cp037"),
    _OBJECT + b"\x00",
    _OBJECT + _OBJECT,
    _OBJECT + b"\n" + _OBJECT,
    _OBJECT + b"x",
    b"\x0b" + _OBJECT,
    b"\x0c" + _OBJECT,
    b"\xa0" + _OBJECT,
    "\u00a0".encode() + _OBJECT,
    "\u2028".encode() + _OBJECT,
    "\ufeff".encode() * 2 + _OBJECT,
    b"\x1e" + _OBJECT + b"\n",
    b")]}',\n" + _OBJECT,
    b"callback(" + _OBJECT + b")",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    b"\x81\xa1a\x01",
    b"a=1&b=2",
    b"a: 1\nb: 2\n",
    b"<?xml version='1.0'?><a/>",
    b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
    b"HTTP/1.1 200 OK\r\n\r\n",
    b'{"a": 1} // why',
    b'/* why */ {"a": 1}',
    b'{"' + b"k" * 70_000,
]  # fmt: skip
DOCUMENTS = [*BODIES, *VALUES, *_DEEP, *[b'{"surprise": ' + value + b"}" for value in VALUES]]
# Sound JSON, but nothing that any route takes.
SHAPES = [b"null", b"true", b"false", b"0", b"1.5", b'"text"', b"[[]]", b"[null]", b"[1]", b'["a"]', b"[true, {}]"]


def refuse_all(world: World, sample: Sample, bodies: list[bytes]) -> list[tuple[int, str]]:
    bodies = [body or b" " for body in bodies] if not sample.route.body_required else bodies
    before = world.state.all()
    replies = send_all(world.app, [sample.raw(body) for body in bodies])
    for body, response in zip(bodies, replies, strict=True):
        assert response.status == 400, (sample.label, body[-300:], response.status, response.body[:200])
        assert_refused(response, sample.dialect)
    assert world.state.all() == before, sample.label
    return [verdict(response) for response in replies]


def test_the_table_is_long_enough() -> None:
    assert len({*BODIES, *VALUES}) >= 150


def test_every_sample_is_a_request_that_its_route_accepts(tmp_path: Path) -> None:
    with world_in(tmp_path / "data") as world:
        for sample in world.one_by_one():
            response = send(world.app, sample.raw())
            accepted = 200 <= response.status < 300
            assert accepted == (not sample.refused), (sample.label, response.body)
            if sample.route.method != "GET":
                world.prepare()


def test_what_is_no_json_gets_the_same_refusal_on_every_route(world: World) -> None:
    verdicts: dict[str, list[tuple[int, str]]] = {}
    for sample in json_samples(world):
        found = refuse_all(world, sample, DOCUMENTS)
        first = verdicts.setdefault(sample.dialect.name, found)
        for document, one, other in zip(DOCUMENTS, found, first, strict=True):
            assert one == other, (sample.label, document[:80])


@pytest.mark.long
def test_what_is_no_json_is_refused_in_the_place_of_any_text_of_a_valid_body(world: World) -> None:
    for sample in json_samples(world):
        bodies = [body.replace(b'"@"', value) for _, body in texts(sample.document) for value in VALUES]
        refuse_all(world, sample, bodies)


def test_what_is_no_json_is_refused_in_a_member_that_nobody_reads(world: World) -> None:
    """A decoder skips what its shape does not name, and does not look at it closely."""
    for sample in json_samples(world):
        if isinstance(sample.document, dict):
            bodies = [sample.body()[:-1] + b', "surprise": ' + value + b"}" for value in VALUES]
            bodies += [sample.body()[:-1] + b", " + value + b": 1}" for value in _STRINGS]
            refuse_all(world, sample, bodies)


def test_json_of_another_shape_is_refused_by_every_route(world: World) -> None:
    for sample in json_samples(world):
        listed = sample.route.path.endswith("/cohorts/{cohort}/devices")  # which takes a list of texts too
        refuse_all(world, sample, [body for body in SHAPES if not listed or body != b'["a"]'])


def test_a_huge_name_of_a_member_is_not_sent_back(world: World) -> None:
    for sample in json_samples(world):
        if isinstance(sample.document, dict):
            huge = sample.body()[:-1] + b', "' + b"k" * 70_000 + b'": 1}'
            response = send(world.app, sample.raw(huge))
            assert b"k" * 300 not in response.body, sample.label
            assert response.status < 500


def test_an_import_refuses_such_a_line_and_takes_the_next(world: World) -> None:
    lines = [document for document in DOCUMENTS if b"\n" not in document and document.strip()]
    sample = next(s for s in world.samples() if s.media_type == "application/x-ndjson")
    for start in range(0, len(lines), 50):
        batch = lines[start : start + 50]
        good = json.dumps({"ident": f"good-{start}"}).encode()
        body = b"\n".join([*batch, good])
        results = send(world.app, sample.raw(body)).lines()
        assert [result["outcome"] for result in results] == [*["failed"] * len(batch), "created"]
        assert {result["error"]["code"] for result in results[:-1]} <= {"invalid_json", "invalid_text", "line_too_long"}


def test_a_csv_cell_of_json_is_held_to_the_same_table(world: World) -> None:
    sample = next(s for s in world.samples() if s.media_type == "text/csv")
    documents = [document for document in DOCUMENTS if document.strip(b" \r\n\t")]
    rows = [b'd%d,"%b"' % (n, document.replace(b'"', b'""')) for n, document in enumerate(documents)]
    for start in range(0, len(rows), 20):
        batch = rows[start : start + 20]
        results = send(world.app, sample.raw(b"ident,metadata\r\n" + b"\r\n".join(batch) + b"\r\ngood,\r\n")).lines()
        assert [result["outcome"] for result in results] == [*["failed"] * len(batch), "created"], batch


def test_of_a_member_that_is_given_twice_the_last_counts(world: World) -> None:
    app, device = world.app, f"/v1/devices/{DEVICE}"
    twice = b'{"name": "first", "metadata": {"a": 1, "a": 2}, "name": "second"}'
    for method, kind in (("PUT", "application/json"), ("PATCH", "application/merge-patch+json")):
        found = app.request(method, device, raw=twice, headers={"content-type": kind}).json()
        assert (found["name"], found["metadata"]["a"]) == ("second", 2)
    ident = app.request("POST", "/v1/devices", raw=b'{"ident": "no", "ident": "yes"}', headers=JSON).json()["ident"]
    assert ident == "yes"
    line = b'{"ident": "no", "ident": "yes", "name": "a", "name": "b"}'
    result = app.request("POST", "/v1/devices:import", raw=line, headers=NDJSON).lines()[0]
    assert (result["ident"], result["outcome"]) == ("yes", "updated")
    assert app.request("GET", "/v1/devices/no").status == 404
    assert app.request("GET", "/v1/devices/yes").json()["name"] == "b"


def test_a_member_given_twice_is_no_way_past_the_rules(world: World) -> None:
    for body in (
        b'{"name": "ok", "name": "\\u0000"}',
        b'{"name": "\\u0000", "name": "ok"}',
        b'{"id": 1, "id": [[NaN]]}',
    ):
        response = world.app.request("PUT", f"/v1/devices/{DEVICE}", raw=body, headers=JSON)
        assert response.status == 400


JSON = {"content-type": "application/json"}
NDJSON = {"content-type": "application/x-ndjson"}


def test_what_keeps_a_body_from_being_json_is_told_with_its_place(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        told = {
            b"": "an empty body",
            b'{"ident": "a"': "it ends too early",
            b'{"ident": "a",}': "trailing comma in object (byte 14)",
            b"{'ident': 'a'}": "object keys must be strings (byte 1)",
            b'{"ident": "\xff"}': "a text that is not UTF-8",
            b'{"ident": "\\ud800"}': "half of a surrogate pair",
            b'{"ident": "\\\\ud800"': "it ends too early",
            b'{"config": {"a": 1e999}, "ident": "a"}': "Number out of range",
        }
        json_body = {"content-type": "application/json"}
        for body, reason in told.items():
            refused = app.request("POST", "/v1/devices", headers=json_body, raw=body).json()
            assert (refused["code"], refused["errors"]) == ("invalid_json", {"reason": reason})
