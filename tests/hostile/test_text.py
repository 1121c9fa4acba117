"""Text that is no text, in every place that takes any: members of bodies, cells, paths, queries and headers.

The places are the texts of the samples, which have every member of their shapes. Everything here is refused with 400
but what stands in a header that names something: what is no name names nothing, and is answered as such.
"""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from fleetroll.application import DIALECTS
from fleetroll.service import events
from fleetroll.wire.dialect import Dialect
from tests.support.raw import KEYED, NATIVE, Raw, assert_refused, credential, send, send_all
from tests.support.samples import DEVICE, Sample, World, json_samples, texts

CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r"]
SURROGATES = ["\ud800", "\udbff", "\udc00", "\udfff", "\ude00\ud83d"]
BAD_UTF8 = [
    b"\xff", b"\xfe\xff", b"\x80", b"\xc3", b"\xc0\xaf", b"\xc0\x80", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\x82", b"\xf0\x9f\x98", b"caf\xe9",
]  # fmt: skip
# Valid Unicode that a line of text for people must not have: it hides, reverses or breaks what is shown.
FORMATTING = [
    "\u202e", "\u202a", "\u2066", "\u200b", "\u2060", "\ufeff", "\u00ad", "\u2028", "\u2029", "\ufff9", "\U000e0001",
    "\ue000", "\U0010ffff", "\ufffe", "\u0378",
]  # fmt: skip
WHERE = ("{}", "a{}", "{}a", "a{}a")
# Of many texts that are alike, each place takes every so manieth, another one first than the place before.
APART = 7
# Free text for programs or for several lines: what people are shown there is for the reader to judge.
FREE = {
    "filter", "patches", "description", "metadata", "config", "schema", "properties", "devices", "phone", "address",
    "display_name",
}  # fmt: skip


def literal(text: str) -> bytes:
    """A JSON string that says this, by escapes where it must."""
    return json.dumps(text).encode()


def raw_literal(text: bytes) -> bytes:
    return b'"' + text + b'"'


def bodies(sample: Sample, values: list[bytes], apart: int = 1) -> list[bytes]:
    """The sample's document with each value in the place of each text, or with every so manieth."""
    return [
        body.replace(b'"@"', value)
        for place, (_, body) in enumerate(texts(sample.document))
        for value in values[place % apart :: apart]
    ]


def test_every_member_of_every_shape_stands_in_a_sample(world: World) -> None:
    shapes: dict[Any, set[str]] = {}
    for sample in json_samples(world):
        if isinstance(sample.document, dict):
            shapes.setdefault(sample.route.body, set()).update(sample.document)
    for shape, members in shapes.items():
        info = inspect.type_info(shape)
        if isinstance(info, inspect.StructType):
            free = {field.encode_name for field in info.fields if field.encode_name in READ_ONLY}
            assert {field.encode_name for field in info.fields} - free <= members, shape


READ_ONLY = {"id", "status", "connected", "last_seen", "activated_at", "created_at", "updated_at", "revision"}


def test_control_characters_are_refused_in_every_text_of_every_body(world: World) -> None:
    values = [literal(where.format(control)) for control in CONTROLS for where in WHERE]
    # From U+007F on JSON lets them stand as they are.
    values += [raw_literal(f"a{control}a".encode()) for control in CONTROLS if control >= "\x7f"]
    refuse_everywhere(world, values, APART)


def test_halves_of_characters_and_broken_utf8_are_refused_in_every_text_of_every_body(world: World) -> None:
    values = [literal(where.format(half)) for half in SURROGATES for where in WHERE]
    values += [raw_literal(b"a" + bad + b"a") for bad in BAD_UTF8]
    refuse_everywhere(world, values)


def refuse_everywhere(world: World, values: list[bytes], apart: int = 1) -> None:
    before = world.state.all()
    for sample in json_samples(world):
        sent = bodies(sample, values, apart)
        for body, response in zip(sent, send_all(world.app, [sample.raw(body) for body in sent]), strict=True):
            assert response.status == 400, (sample.label, body[-300:], response.status, response.body[:200])
            assert_refused(response, sample.dialect)
    assert world.state.all() == before


def test_names_of_members_are_held_to_the_same_rules(world: World) -> None:
    values = [literal(f"a{control}") for control in CONTROLS] + [literal(half) for half in SURROGATES]
    values += [raw_literal(bad) for bad in BAD_UTF8]
    before = world.state.all()
    for sample in json_samples(world):
        text = sample.body()
        for key in (b'"location"', b'"deep"', text.split(b":")[0].strip(b"{[")):
            sent = [text.replace(key, value, 1) for value in values if key in text]
            for body, response in zip(sent, send_all(world.app, [sample.raw(b) for b in sent]), strict=True):
                assert response.status == 400, (sample.label, body[:300], response.body[:200])
                assert_refused(response, sample.dialect)
    assert world.state.all() == before


def test_what_hides_or_reverses_text_is_refused_in_what_names_things(world: World) -> None:
    """Names, tags, kinds and references are shown in tables and logs; the texts of documents are their owner's."""
    before = world.state.all()
    for sample in json_samples(world):
        if isinstance(sample.document, list) or "/history" in sample.route.path:
            continue  # a JSON Patch, whose text goes into metadata; a question, which names nothing
        named = [body for path, body in texts(sample.document) if not FREE & set(path)]
        sent = [body.replace(b'"@"', literal(f"a{mark}b")) for body in named for mark in FORMATTING]
        for body, response in zip(sent, send_all(world.app, [sample.raw(b) for b in sent]), strict=True):
            assert 400 <= response.status < 500, (sample.label, body, response.body[:200])
    assert world.state.all() == before


@pytest.mark.parametrize("column", ["ident", "name", "kind", "hardware_version", "tags", "owners", "metadata.x"])
def test_a_csv_cell_is_text_or_its_row_fails(world: World, column: str) -> None:
    sample = next(s for s in world.samples() if s.media_type == "text/csv")
    cells = [f"a{control}a".encode() for control in CONTROLS] + [b"a" + bad + b"a" for bad in BAD_UTF8]
    head = b"ident" if column == "ident" else b"ident," + column.encode()
    rows = [cell if column == "ident" else b"d%d,%b" % (number, cell) for number, cell in enumerate(cells)]
    results = send(world.app, sample.raw(head + b"\r\n" + b"\r\n".join([*rows, b"good" + head[5:6]]))).lines()
    assert [result["outcome"] for result in results[:-1]] == ["failed"] * len(rows)
    assert results[-1]["outcome"] in {"created", "unchanged"}


@pytest.mark.parametrize(
    "head", [b"ident,na\x00me", b"ident,\xff", b"\xff\xfei\x00d\x00", b"ident,ident", b'ident,"name']
)
def test_a_csv_header_that_is_no_text_is_refused_as_a_whole(world: World, head: bytes) -> None:
    sample = next(s for s in world.samples() if s.media_type == "text/csv")
    assert_refused(send(world.app, sample.raw(head + b"\r\na,b\r\n")), NATIVE, 400)


def targets(text: bytes) -> Iterator[tuple[Dialect, str, bytes]]:
    """The text in the place of every parameter of every path and query, as method and target."""
    for dialect in DIALECTS:
        for route in dialect.routes:
            parts = route.path.split("/")
            for index, part in enumerate(parts):
                if part.startswith("{"):
                    verb = part.partition("}")[2]
                    around = [p if not p.startswith("{") else "x" for p in parts]
                    before, after = "/".join(around[:index]), "/".join(["", *around[index + 1 :]]).rstrip("/")
                    yield dialect, route.method, f"{before}/".encode() + text + f"{verb}{after}".encode()
            path = route.path.replace("{", "").replace("}", "").encode()
            for parameter in route.query:
                yield dialect, route.method, path + b"?" + parameter.name.encode() + b"=" + text
            yield dialect, route.method, path + b"?" + text + b"=1"


def test_a_path_or_query_that_is_no_text_is_refused(world: World) -> None:
    escaped = [percent(control.encode()) for control in (*CONTROLS, "\t", "\n", "\r")]
    broken = [*map(percent, BAD_UTF8), *BAD_UTF8, b"%ED%A0%80", b"%C0%AE", b"a%00b"]
    before = world.state.all()
    for place, (dialect, method, target) in enumerate(targets(b"@")):
        sent = [target.replace(b"@", text) for text in (*broken, *escaped[place % APART :: APART])]
        requests = [Raw(method, one, HEADERS[dialect.name]) for one in sent]
        for one, response in zip(sent, send_all(world.app, requests), strict=True):
            assert response.status == 400, (method, one, response.status, response.body[:200])
            assert_refused(response, dialect)
    assert world.state.all() == before


HEADERS = {dialect.name: (credential(dialect),) for dialect in DIALECTS}


def percent(text: bytes) -> bytes:
    return b"".join(b"%%%02X" % byte for byte in text)


def test_a_percent_sign_that_escapes_nothing_is_itself(world: World) -> None:
    for text in ("%", "%4", "%zz", "100%"):
        made = world.app.request("PUT", f"/v1/devices/{text.replace('%', '%25')}", {})
        assert made.json()["ident"] == text
        assert world.app.request("GET", f"/v1/devices/{text}").json()["ident"] == text


HEADER_VALUES = [
    b"", b" ", b"\x00", b"a\x00b", b"\x01", b"\x1b[31m", b"\x7f", b"\x80", b"\x85", b"\x9f", b"\xff", b"a\tb",
    b"\xed\xa0\x80", b",", b",,", b";", b'"', b'""', b'"a', b"W/", b'W/"', b'w/"a"', b"*,*", b"a" * 8_000,
    b"\xc3\xa9", b"self.",
    b".", b"..", b"a..b", b"%00", b"\\", b"'", b"=?utf-8?b?AA==?=", b"\xef\xbb\xbfself",
]  # fmt: skip
OURS = [
    b"if-match", b"if-none-match", b"idempotency-key", b"fleetroll-organization", b"x-request-id", b"accept",
    b"last-event-id", b"origin", b"content-encoding", b"access-control-request-method",
]  # fmt: skip


def test_no_header_value_reaches_further_than_a_refusal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_CHECK_SECONDS", 0.01)  # a stream ends when it next looks whether it is followed
    kinds = {(s.dialect.name, s.route.method, s.route.stream, s.route.idempotent): s for s in world.samples()}
    for sample in kinds.values():
        raw = sample.raw()
        fields = [(*raw.headers, (name, value)) for name in OURS for value in HEADER_VALUES]
        replies = send_all(world.app, [msgspec.structs.replace(raw, headers=headers) for headers in fields])
        for headers, response in zip(fields, replies, strict=True):
            assert response.status < 500, (sample.label, headers[-1], response.body)
            if response.status >= 400:
                assert_refused(response, sample.dialect)
    world.prepare()


# A request of each dialect that anybody with a key may make, and what anybody without one gets.
ASKED = {
    "native": ("GET", b"/v1/me", 401),
    "telemetron": ("GET", b"/api/ext-v1/customer/getCustomer/cus_1", 401),
    "relay": ("POST", b"/iot/db/log/history", 401),
    "lamassu": ("GET", b"/api/devmanager/v1/stats", 401),
    "enrollment": ("GET", b"/api/dmsmanager/v1/stats", 401),
    "memfault": ("GET", b"/auth/me", 401),
    "blynk": ("GET", b"/api/v1/organization/devices", 401),
    "oauth2": ("POST", b"/oauth2/token?grant_type=client_credentials", 400),
}


@pytest.mark.parametrize("value", HEADER_VALUES)
def test_a_credential_of_any_bytes_is_merely_unknown(world: World, value: bytes) -> None:
    for dialect in KEYED:
        method, target, status = ASKED[dialect.name]
        for name, scheme in ((b"x-api-key", b""), (b"authorization", b"Bearer "), (b"authorization", b"Basic ")):
            response = send(world.app, Raw(method, target, ((name, scheme + value),)))
            assert_refused(response, dialect, status)


@pytest.mark.parametrize("value", [b"a\x00", b"\x7f", b"\xe9", b"a\xff", b"\xe2\x80\xae"])
def test_an_organization_header_that_is_no_text_names_nothing(world: World, value: bytes) -> None:
    headers = (credential(NATIVE), (b"fleetroll-organization", value))
    body = assert_refused(send(world.app, Raw("GET", f"/v1/devices/{DEVICE}".encode(), headers)), NATIVE)
    assert all(character.isprintable() for character in body["detail"])


@pytest.mark.parametrize("value", [b"a b", b"\x1b[0m", b"a" * 65, b"\xc3\xa9", b'"', b"a,b", b""])
def test_a_request_id_that_is_not_plain_is_replaced(world: World, value: bytes) -> None:
    response = send(world.app, Raw("GET", b"/v1/me", (credential(NATIVE), (b"x-request-id", value))))
    assert response.headers["x-request-id"].encode("latin-1") != value


def test_a_credential_or_key_that_is_given_twice_is_refused(world: World) -> None:
    """Two readers of one request could each take another one for its sender."""
    for dialect in KEYED:
        name, value = credential(dialect)
        method, target, _ = ASKED[dialect.name]
        for pair in ((value, value[:-1] + b"x"), (value[:-1] + b"x", value), (value, value)):
            response = send(world.app, Raw(method, target, tuple((name, part) for part in pair)))
            assert_refused(response, dialect, 400)
    for name in (b"idempotency-key", b"content-type", b"fleetroll-organization", b"last-event-id"):
        sample = next(s for s in world.samples() if s.route.path == "/v1/devices")
        raw = sample.raw()
        twice = (*raw.headers, (name, b"application/json"), (name, b"application/json"))
        assert_refused(send(world.app, msgspec.structs.replace(raw, headers=twice)), NATIVE, 400)
