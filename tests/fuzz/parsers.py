"""Every parser of what strangers send: bytes in, nothing out, and nothing raised but `Fault`.

Where a parser has a counterpart, what was read is written and read again, and must be the same.
"""

import asyncio
import base64
import binascii
import functools
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import cbor2
import msgspec
from msgspec import Struct, structs

from fleetroll.core import (
    bracketed,
    chunks,
    datastreams,
    documents,
    encodings,
    groups,
    guards,
    ids,
    jsonpath,
    messages,
    metafields,
    names,
    patch,
    readings,
    regexp,
    schema,
    times,
    tokens,
)
from fleetroll.core.certificates import KeyKind
from fleetroll.core.faults import Fault
from fleetroll.core.fields import DEVICE_FIELDS, EVENT_FIELDS, canonical, device_filter
from fleetroll.core.filtering import parse_filter
from fleetroll.core.model import DatastreamKind, Metafield, MetafieldKind
from fleetroll.core.query import fields, matches, parse_sort, rank
from fleetroll.dialects.enrollment.mapping.durations import canonical as written_duration
from fleetroll.dialects.enrollment.mapping.durations import duration
from fleetroll.dialects.lamassu.mapping.fields import FIELDS
from fleetroll.dialects.native.routes.fleet import ROUTES
from fleetroll.pki import keys
from fleetroll.pki.port import Terms
from fleetroll.pki.x509 import X509
from fleetroll.service import checkin
from fleetroll.wire import bodies, header_fields, row_bodies
from fleetroll.wire.credentials import Credentials
from fleetroll.wire.cursors import Cursors
from fleetroll.wire.dialect import API_KEY_HEADER, CLIENT_BASIC
from fleetroll.wire.peers import HEADERS, Peers
from fleetroll.wire.request import parse_query, segment
from tests.support import der

SECRET = bytes(32)
NOW = 1_767_225_600_000_000
MEMBERS: dict[str, Any] = {
    "site": "dock",
    "floor": 4,
    "height": 1.5,
    "on": True,
    "none": None,
    "at": "2026-01-31T12:00:00Z",
    "list": ["x", 1, [2, {"y": "z"}]],
    "deep": {"a": {"b": [{"c": 1}, {"c": "text"}]}},
    'q"': 2**53 + 1,
}


class Parser(Struct, frozen=True):
    """What reads, and what it reads without an objection: where changes begin."""

    read: Callable[[bytes], object]
    good: list[bytes]


def text(data: bytes) -> str:
    return data.decode(errors="ignore")


def attempt(read: Callable[..., Any], *given: Any) -> Any:
    """What it reads; None if it refuses. For inputs that several parsers are tried on."""
    try:
        return read(*given)
    except Fault:
        return None


# --- queries ---------------------------------------------------------------------------------------------------------


def _of_device(field: str, path: tuple[str, ...]) -> object:
    """As a device whose every document is `MEMBERS`."""
    value: Any = {"metadata": MEMBERS, "tags": ("t", "u"), "id": 1, "ident": "pump-1", "name": "Pump"}.get(field)
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def filters(data: bytes) -> None:
    attempt(parse_filter, text(data), EVENT_FIELDS)
    wanted = device_filter(text(data))
    if wanted is not None:
        assert set(fields(wanted)) <= DEVICE_FIELDS.keys()
        assert matches(canonical(wanted), _of_device) in (True, False)


def sorts(data: bytes) -> None:
    parse_sort(text(data), DEVICE_FIELDS)


def cursors(data: bytes) -> None:
    """One that is ours opens as what it was made from; any other text is refused."""
    made = Cursors(SECRET, lambda: NOW)
    position = [text(data), 1]
    assert made.open(made.seal(position, text(data)), text(data)) == position
    made.open(text(data), "binding")


def jsonpaths(data: bytes) -> None:
    if path := jsonpath.parse_path(text(data)):
        rank(MEMBERS, path)
    predicate = jsonpath.parse(text(data))
    written = jsonpath.write(predicate)
    again = jsonpath.parse_canonical(written)
    assert jsonpath.write(again) == written
    for document in (MEMBERS, {}, {"list": [MEMBERS]}):
        assert jsonpath.holds(predicate, document) == jsonpath.holds(again, document)


def expressions(data: bytes) -> None:
    """Patterns, and texts to be found by them: a line for each."""
    pattern, _, line = text(data).partition("\n")
    try:
        matcher = regexp.Matcher(pattern)
    except regexp.Refused:
        return
    matcher.search(line)


def bracketed_filters(data: bytes) -> None:
    lines = text(data).split("\n")
    wanted = attempt(bracketed.parse, lines, FIELDS)
    if wanted is not None:
        matches(wanted, _of_device)
    for line in lines:
        field, _, rest = line.partition("[")
        word, _, value = rest.partition("]")
        attempt(groups.criterion, field, word, value)
    bracketed.page_size(lines)


# --- documents -------------------------------------------------------------------------------------------------------


def json_bodies(data: bytes) -> None:
    value = bodies.checked_json(data)
    assert bodies.checked_json(msgspec.json.encode(value)) == value
    if isinstance(value, dict):
        kept = attempt(documents.of, value, "metadata")
        assert kept is None or documents.load(kept) == value
        attempt(schema.parse_schema, value)
    for kind in MetafieldKind:
        field = Metafield(1, "f", kind, options=("a",), templates=(1,))
        if (read := attempt(metafields.read, field, value)) is not None:
            assert metafields.accepts(field, read)
            msgspec.json.encode(metafields.show(field, read))


def patches(data: bytes) -> None:
    value = bodies.checked_json(data)
    for lenient in (False, True):
        parsed = attempt(functools.partial(patch.parse_json_patch, lenient=lenient), value)
        if parsed is not None:
            attempt(functools.partial(patch.apply_json_patch, lenient=lenient), MEMBERS, parsed)
    patch.apply_merge_patch(MEMBERS, value)


def pointers(data: bytes) -> None:
    path, _, source = text(data).partition("\n")
    for operation in (
        {"op": "add", "path": path, "value": 1},
        {"op": "remove", "path": path},
        {"op": "replace", "path": path, "value": [1]},
        {"op": "test", "path": path, "value": 4},
        {"op": "copy", "path": path, "from": source},
        {"op": "move", "path": path, "from": source},
    ):
        if (parsed := attempt(patch.parse_json_patch, [operation])) is not None:
            attempt(patch.apply_json_patch, MEMBERS, parsed)


def rows_of(media_type: str) -> Callable[[bytes], None]:
    """The rows of a body are the same, in whatever parts it arrives."""
    wanted = next(route.lines for route in ROUTES if route.lines is not None)

    async def arrived(parts: list[bytes]) -> list[Any]:
        waiting = [{"body": part, "more_body": number + 1 < len(parts)} for number, part in enumerate(parts)]

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", **waiting.pop(0)}

        some: AsyncIterator[list[Any]] = row_bodies.rows(receive, wanted, media_type, lambda _: None)
        return [(repr(row.fault), structs.replace(row, fault=None)) async for found in some for row in found]

    def read(data: bytes) -> None:
        place = data[0] % (len(data) + 1) if data else 0
        whole = attempt(_runner().run, arrived([data]))
        assert attempt(_runner().run, arrived([data[:place], data[place:]])) == whole

    return read


@functools.cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()


# --- words -----------------------------------------------------------------------------------------------------------


def identifiers(data: bytes) -> None:
    word = text(data)
    for read in (
        names.ident, names.tag, names.slug, names.email, names.owner_ref, names.label, names.line, names.paragraph,
        names.path_segment, names.undotted, names.time_zone,
    ):  # fmt: skip
        if (found := attempt(read, word) if read in _ALONE else attempt(read, word, "field")) is not None:
            assert (attempt(read, found) if read in _ALONE else attempt(read, found, "field")) == found
    assert names.identity_key(names.identity_key(word)) == names.identity_key(word)
    attempt(names.slug, names.slugify(word))
    attempt(names.positive, word, "field", ids.MAX_ID)
    for parse in (ids.parse_base36, ids.parse_template_id, ids.parse_device_hex, ids.parse_broker_org):
        parse(word)
    if (number := ids.parse_base36(word)) is not None:
        assert ids.base36(number) == word
    groups.parse_uid(word)
    names.parse_email(word)
    attempt(names.display_property, word)


_ALONE = (names.ident, names.tag, names.slug, names.email, names.owner_ref)


def secrets(data: bytes) -> None:
    word = text(data)
    tokens.parse(SECRET, word)
    tokens.redact(word)
    for grant in tokens.Grant:
        tokens.parse_grant(grant, word)
    for parse, made in (
        (tokens.parse_device_token, tokens.device_token),
        (tokens.parse_project_key, tokens.project_key),
    ):
        if (number := parse(word)) is not None:
            assert parse(made(SECRET, number, 1)) == number
    forms = Credentials([API_KEY_HEADER, CLIENT_BASIC])
    headers = {b"authorization": data, b"x-api-key": data}
    forms.extract(headers, parse_query(b""), {})


def instants(data: bytes) -> None:
    word = text(data)
    for parse in (times.parse_iso, times.parse_rfc3339):
        at = parse(word)
        if at is not None and times.FIRST <= at <= times.LAST:
            assert parse(times.iso(at)) == at
    times.sort_key(word)
    attempt(readings.parse_interval, word)
    if length := attempt(duration, word, "field"):
        assert duration(written_duration(length), "field") == length


# --- certificates ----------------------------------------------------------------------------------------------------


@functools.cache
def _authority() -> tuple[X509, Any, Terms]:
    made, terms = X509(SECRET), Terms(NOW, NOW + 10**12)
    own = keys.encoded(keys.make(KeyKind()))
    return made, made.make_authority("Own", "default", own, Terms(NOW, NOW + 10**13), "x"), terms


def requests(data: bytes) -> None:
    """What is read as a good request can be issued."""
    pki, signer, terms = _authority()
    issued = pki.issue(signer, pki.read_request(data), Terms(terms.not_before, terms.not_after, with_names=True))
    pki.describe(issued.der)


def certificates(data: bytes) -> None:
    pki, _, _ = _authority()
    attempt(pki.describe, data)
    attempt(pki.describe_authority, data)
    pki.anchor(data)


def armoured(data: bytes) -> None:
    for read in (encodings.chain, encodings.from_est):
        attempt(read, data)
    attempt(encodings.certificate, text(data))
    encodings.from_header(data.decode("latin-1"))


# --- what devices send -----------------------------------------------------------------------------------------------


def chunk_bodies(data: bytes) -> None:
    for multipart in (False, True):
        for encoded in (False, True):
            step = chunks.Step()
            for chunk in chunks.contents(data, encoded=encoded, multipart=multipart):
                step = chunks.feed(step.partial, chunk)
                if step.message is not None:
                    checkin.decode(step.message)
    if data:
        checkin.decode(data)


def values(data: bytes) -> None:
    """A datastream's value: texts, a line for each, or what JSON says."""
    parts: list[Any] = text(data).split("\n")
    given = [parts, [attempt(bodies.checked_json, data)]]
    for kind in (None, *DatastreamKind):
        for metric in (None, "number", "string", "boolean", "json"):
            for one in given:
                value = attempt(datastreams.parse, kind, metric, one)
                if value is not None:
                    value = datastreams.clamped(kind, value, -10.5, 1e300)
                    datastreams.as_text(kind, value)
                    datastreams.as_json(kind, value)


def reports(data: bytes) -> None:
    """What is taken can be kept, and shown to applications."""
    content = messages.content_of(data)
    documents.of({"value": content.value}, "value") if documents.can_hold(content.value) else None
    messages.shown(content, NOW)
    messages.content_of(data, is_log=True)


# --- heads of requests -----------------------------------------------------------------------------------------------


def header_values(data: bytes) -> None:
    attempt(header_fields.preconditions, {b"if-match": data, b"if-none-match": data})
    attempt(guards.parse_tags, data.decode("latin-1"), "If-Match")
    attempt(bodies.check_media_type, data, ("application/json", "text/csv"), None)
    attempt(bodies.check_media_type, b"application/json", ("application/json",), data)
    peers = Peers([])
    assert not peers._is_trusted(None)
    for name in HEADERS:
        value = HEADERS[name](data.decode("latin-1"))
        if value:
            encodings.from_header(value)


def targets(data: bytes) -> None:
    attempt(parse_query, data)
    segment(data.decode("latin-1"))


# --- the table -------------------------------------------------------------------------------------------------------


def framed(message: bytes) -> bytes:
    """A chunk with all of a message, and its checksum."""
    return b"\x08" + message + binascii.crc_hqx(message, 0).to_bytes(2, "little")


def lines(*good: str) -> list[bytes]:
    return [line.encode() for line in good]


EVENT = b"\x02" + cbor2.dumps({1: 1_700_000_000, 2: 2, 4: {1: 3}, 6: "evt", 9: "1.0.0", 10: "main", 11: b"\x01"})
PARTS = b"--x\r\nContent-Length: %d\r\n\r\n%s\r\n--x--\r\n"
KEY = "flr_a_" + "A" * 40
REQUEST = der.device(
    "pump-1", der.alternatives(der.tlv(0x82, b"pump-1.example.com"), der.tlv(0x87, b"\x0a\x00\x00\x01"))
)
AUTHORITY = _authority()[1].certificate
PARSERS = {
    "filters": Parser(
        filters,
        lines(
            'status = "ACTIVE" AND tags:"production" AND metadata.site = "dock-*"',
            'NOT (id > 3 OR -pump) last_seen < "2026-01-01"',
            "connected = true AND metadata.height >= 1.5e0 AND owners:*",
            r'metadata."a\"b".c = null name:"\u00e9"',
        ),
    ),
    "sorts": Parser(sorts, lines("ident", "-last_seen", "name desc")),
    "cursors": Parser(cursors, [Cursors(SECRET, lambda: NOW).seal([7], "binding").encode()]),
    "jsonpaths": Parser(
        jsonpaths,
        lines(
            '$.site == "dock" && exists($.list[*] ? (@ > 0))',
            '$.site like_regex "^D.*k$" flag "i" || !($.floor % 3 == 1.5)',
            "strict $.deep.a.b[0 to last].c == 1",
            "($.none + 1 == 2) is unknown",
            '$.**{1 to 2} == "x"',
            '$.site starts with "d"',
            "($.height.floor() * 2).abs() == 2",
            r'$."q\"".double() > -1e3 || $.list.size() == 3',
            '$.deep.*.type() == "object"',
        ),
    ),
    "expressions": Parser(expressions, lines("^a(b|c)*?[^d-f]{2,3}$\nabcgg", r"(?:x|\d+)\s\w?[[:alpha:]]" + "\nx 1")),
    "bracketed filters": Parser(
        bracketed_filters,
        lines(
            "id[contains]pump",
            "creation_timestamp[before]2026-01-01T00:00:00Z\nstatus[in]ACTIVE,EXPIRED",
            "tags[contains_ic]=T",
            'metadata[jsonpath]$.site == "dock"',
            "25",
        ),
    ),
    "JSON bodies": Parser(
        json_bodies, [json.dumps(MEMBERS).encode(), b'{"temp":"number"}', b'{"type":"Range","from":1,"to":2}']
    ),
    "patches": Parser(
        patches,
        lines(
            '[{"op":"add","path":"/list/-","value":{"a":[1]}},{"op":"move","from":"/deep/a","path":"/x"}]',
            '[{"op":"test","path":"/floor","value":4},{"op":"copy","from":"/list","path":"/list/0"},{"op":"remove","path":"/on"}]',
            '{"site":null,"deep":{"a":{"b":1}}}',
        ),
    ),
    "pointers": Parser(pointers, lines("/deep/a/b/0/c\n/list", '/list/-\n/q"', "/a~1b~0c\n")),
    "CSV rows": Parser(
        rows_of("text/csv"),
        lines(
            'ident,name,tags,metadata.site\r\npump-1,"Pump ""1""","a,b",dock\n\npump-2,,,\n',
            'ident,metadata\nx,"{""a"":\n1}"\n',
        ),
    ),
    "NDJSON rows": Parser(
        rows_of("application/x-ndjson"), lines('{"ident":"a","tags":["t"]}\n\n{"ident":"b","metadata":{"x":1}}')
    ),
    "identifiers": Parser(
        identifiers, lines("pump-1", "ann@example.com", "dev_1", "TMPLAAAAAAAAB", "e\u0301", "Europe/Berlin")
    ),
    "secrets": Parser(
        secrets,
        lines(
            KEY,
            tokens.device_token(SECRET, 7, 1),
            tokens.project_key(SECRET, 7, 1),
            f"Bearer {KEY}",
            "Basic " + base64.b64encode(b"a@example.com:key").decode(),
        ),
    ),
    "instants": Parser(instants, lines("14w2d", "36h", "90m1s5ms", "2026-01-31T12:00:00.5+01:00", "2026-01-31 12:00")),
    "certificate requests": Parser(requests, [REQUEST]),
    "certificates": Parser(certificates, [AUTHORITY]),
    "armour": Parser(armoured, [encodings.pem(AUTHORITY).encode(), encodings.est(REQUEST)]),
    "chunks": Parser(
        chunk_bodies,
        [
            framed(EVENT),
            PARTS % (len(framed(EVENT)), framed(EVENT)),
            base64.b64encode(framed(EVENT)),
            EVENT,
            PARTS % (1, b"\x48\x05ab") + PARTS % (1, b"\x80\x02cd"),
        ],
    ),
    "values of datastreams": Parser(values, lines("21.5", "1e3", "-0", "13.4\n52.5", "text", "[1,2]", "true")),
    "reports": Parser(
        reports,
        [
            b'{"value":{"a":[1,2.5,null]},"timestamp":1750000000000}',
            b"21.5",
            msgspec.msgpack.encode({"value": [1, "x"], "timestamp": 1_750_000_000_000}),
        ],
    ),
    "header fields": Parser(
        header_values,
        lines(
            '"1.1", W/"2.2"',
            "*",
            "application/json; charset=utf-8",
            'By=x;Cert="a%20b";Hash=c,Cert=MIIB',
            "gzip",
        ),
    ),
    "targets": Parser(targets, lines("filter=a%20b&sort=-id&limit=5", "/v1/devices/a%2Fb:tag", "q=%C3%A9+x&q")),
}
"""By what they read."""
