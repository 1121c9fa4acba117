"""Too much of anything: refused, and refused as soon as it is too much, whatever the request says of its length."""

import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from fleetroll.core import limits
from fleetroll.wire.bodies import too_large
from tests.support.app import Response
from tests.support.raw import NATIVE, Raw, assert_refused, credential, deliver, send, send_all
from tests.support.samples import DEVICE, Sample, World, json_samples

CHUNK = 64 << 10
PUT = f"/v1/devices/{DEVICE}"
HUGE = 200 << 20


class Metered:
    """The application, with a meter on what it takes of a body."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.taken = 0
        self.application = SimpleNamespace(asgi=self._call)

    async def _call(self, scope: Any, receive: Any, send: Any) -> None:
        async def metered() -> Any:
            message = await receive()
            self.taken += len(message.get("body", b""))
            return message

        await self.world.app.application.asgi(scope, metered, send)

    def send(self, request: Raw) -> Response:
        return self.world.app.runner.run(deliver(self, request))  # type: ignore[arg-type]


def sized(sample: Sample, size: int) -> bytes:
    """The sample's body, made as long as this by blanks, which change nothing of what it says."""
    return sample.body().ljust(size)


def request(sample: Sample, parts: Iterable[bytes], **headers: str) -> Raw:
    plain = sample.raw(**headers)
    return Raw(plain.method, plain.target, plain.headers, tuple(parts))


def chunks(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def refused(response: Response, sample: Sample, status: int | None = None) -> None:
    status = status or sample.dialect.envelope.status(too_large(limits.MAX_BODY))
    assert response.status == status, (sample.label, response.status, response.body[:200])
    assert_refused(response, sample.dialect)


def test_a_body_one_byte_too_long_is_refused_and_one_that_just_fits_is_not(world: World) -> None:
    for sample in json_samples(world):
        before = world.state.all()
        long = sized(sample, limits.MAX_BODY + 1)
        for parts in ([long], chunks(long, CHUNK), [long[:-1], long[-1:]], [long, b""], [b"", long]):
            refused(send(world.app, request(sample, parts)), sample)
        assert world.state.all() == before, sample.label
        fits = sized(sample, limits.MAX_BODY)
        for parts in ([fits], chunks(fits, CHUNK)):
            assert b"The body is larger than" not in send(world.app, request(sample, parts)).body, sample.label
    world.prepare()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content_length": "2"},
        {"content_length": "0"},
        {"content_length": str(HUGE)},
        {"transfer_encoding": "chunked"},
        {"content_length": "-1"},
    ],
    ids=str,
)
def test_of_an_endless_body_no_more_is_read_than_tells_that_it_is_too_long(
    world: World, headers: dict[str, str]
) -> None:
    chunk = b"x" * CHUNK
    for sample in json_samples(world):
        before, meter = world.state.all(), Metered(world)
        refused(meter.send(request(sample, [chunk] * (HUGE // CHUNK), **headers)), sample)
        assert limits.MAX_BODY < meter.taken <= limits.MAX_BODY + CHUNK
        assert world.state.all() == before, sample.label


def test_a_short_body_is_taken_whatever_its_length_is_said_to_be(world: World) -> None:
    """What counts is what arrives; the connection sees to it that no more arrives than was announced."""
    for length in ("0", "2", str(HUGE)):
        for sample in json_samples(world):
            assert b"The body is larger than" not in send(world.app, sample.raw(content_length=length)).body, (
                sample.label
            )
        world.prepare()


def test_nothing_of_a_body_is_read_for_a_stranger(world: World) -> None:
    for sample in json_samples(world):
        meter, plain = Metered(world), sample.raw()
        headers = tuple(pair for pair in plain.headers if pair[0] == b"content-type")
        response = meter.send(Raw(plain.method, plain.target, headers, (b"x" * CHUNK,) * 100))
        assert (response.status, meter.taken) == (401, 0), sample.label


def test_a_route_without_a_body_does_not_read_one(world: World) -> None:
    for sample in world.samples():
        if sample.route.method == "GET" and sample.route.stream is None:
            meter = Metered(world)
            response = meter.send(request(sample, [b"x" * CHUNK] * 100))
            assert response.status < 500
            assert meter.taken == 0, sample.label


def test_more_query_parameters_than_64_are_refused_on_every_route(world: World) -> None:
    for sample in world.samples():
        plain, before = sample.raw(), world.state.all()
        path = plain.target.partition(b"?")[0]
        many = [b"&".join([pair] * 65) for pair in (b"a=1", b"limit=1", b"", b"=", b"%61=1")]
        replies = send_all(
            world.app, [Raw(plain.method, path + b"?" + query, plain.headers, plain.parts) for query in many]
        )
        for response in replies:
            refused(response, sample, 400)
            assert b"64" in response.body, sample.label
        assert world.state.all() == before, sample.label


def test_64_query_parameters_are_not_too_many(world: World) -> None:
    for sample in world.samples():
        if sample.dialect is not NATIVE and sample.route.method == "GET" and not sample.refused:
            path, _, own = sample.target.partition("?")
            fields = [*own.split("&"), *["a=1"] * 64][:64] if own else ["a=1"] * 64
            response = send(world.app, Raw("GET", f"{path}?{'&'.join(fields)}".encode(), sample.raw().headers))
            assert response.status == 200, (sample.label, response.body)
    response = send(world.app, Raw("GET", b"/v1/devices?" + b"&".join([b"limit=1"] * 64), HEADERS[0]))
    assert response.json()["code"] == "repeated_parameter"


HEADERS = (credential(NATIVE),), ((b"x-api-key", credential(NATIVE)[1].removeprefix(b"Bearer ")),)


def test_a_long_line_of_an_import_fails_its_own_row_only(world: World) -> None:
    sample = next(s for s in world.samples() if s.media_type == "application/x-ndjson")
    fits = b'{"ident": "fits"}'.ljust(limits.MAX_IMPORT_LINE)
    body = b"\n".join([b'{"ident": "before"}', fits + b" ", fits, b"x" * (2 << 20), b'{"ident": "behind"}'])
    for size in (len(body), CHUNK, 100_003):
        results = send(world.app, request(sample, chunks(body, size))).lines()
        shown = [(result["line"], result.get("ident"), result.get("error", {}).get("code")) for result in results]
        assert shown == [
            (1, "before", None),
            (2, None, "line_too_long"),
            (3, "fits", None),
            (4, None, "line_too_long"),
            (5, "behind", None),
        ]


def test_a_long_csv_record_fails_its_own_row_if_it_ends_and_the_import_if_not(world: World) -> None:
    sample = next(s for s in world.samples() if s.media_type == "text/csv")
    long = b'wide,"' + b"x" * limits.MAX_IMPORT_LINE + b'"'
    results = send(world.app, sample.raw(b"ident,name\r\na1,x\r\n" + long + b"\r\na2,x\r\n")).lines()
    codes = [result.get("error", {}).get("code") for result in results]
    assert codes == [None, "line_too_long", None]
    meter = Metered(world)
    response = meter.send(request(sample, [b'ident,name\r\nopen,"', *[b"x" * CHUNK] * 1000]))
    refused(response, sample)
    assert meter.taken <= limits.MAX_IMPORT_LINE + 2 * CHUNK
    assert world.app.request("GET", "/v1/devices/open").status == 404


JSON = (*HEADERS[0], (b"content-type", b"application/json"))


def test_a_body_of_very_many_arrays_is_refused_undecoded(world: World) -> None:
    # Each takes up to forty times the bytes of its text: decoding a mebibyte of them held the event loop up.
    for body in (b"[" * limits.MAX_BODY, b"]" * limits.MAX_BODY, nested(limits.MAX_CONTAINERS + 1)):
        response = send(world.app, Raw("POST", b"/v1/devices", JSON, (body,)))
        assert (response.status, response.json()["code"]) == (400, "invalid_json")
        assert response.json()["detail"] == f"The JSON has more than {limits.MAX_CONTAINERS} arrays and objects."
    response = send(world.app, Raw("POST", b"/v1/devices", JSON, (nested(limits.MAX_CONTAINERS),)))
    assert (response.status, response.json()["code"]) == (400, "invalid_body")


def nested(count: int) -> bytes:
    """So many arrays, in as few bytes as the depth allows."""
    deep, rest = divmod(count - 1, limits.MAX_JSON_DEPTH - 1)
    parts = [b"[" * size + b"]" * size for size in [limits.MAX_JSON_DEPTH - 1] * deep + [rest] * (rest > 0)]
    return b"[" + b",".join(parts) + b"]"


LISTS = {"tags": limits.MAX_TAGS, "owners": limits.MAX_OWNERS_PER_DEVICE}
_TEXTS = {"tags": "tag-{}", "owners": "owner-{}@example.com"}


def entries(member: str, count: int) -> list[str]:
    return [_TEXTS[member].format(number) for number in range(count)]


@pytest.mark.parametrize("member", LISTS)
def test_more_tags_or_owners_than_a_device_may_have_are_refused(world: World, member: str) -> None:
    app, before = world.app, world.state.all()
    many = {member: entries(member, LISTS[member] + 1)}
    patch = [{"op": "add", "path": f"/{member}", "value": many[member]}]
    bulk = {"set": many, "filter": f'ident = "{DEVICE}"'}
    for response in (
        app.request("POST", "/v1/devices", {"ident": "laden", **many}),
        app.request("PUT", PUT, many),
        app.request("PATCH", PUT, many),
        app.request("PATCH", PUT, patch, headers={"content-type": "application/json-patch+json"}),
        app.request("POST", "/v1/devices:update", bulk),
    ):
        assert_refused(response, NATIVE, 400)
    line = app.request(
        "POST",
        "/v1/devices:import",
        raw=json.dumps({"ident": "laden", **many}).encode(),
        headers={"content-type": "application/x-ndjson"},
    )
    assert [result["outcome"] for result in line.lines()] == ["failed"]
    assert world.state.all() == before


def test_as_many_as_a_device_may_have_are_accepted_and_not_one_more_by_steps(world: World) -> None:
    full = {member: entries(member, most) for member, most in LISTS.items()}
    assert world.app.request("PUT", PUT, full).status == 200
    before = world.state.all()["device"]
    tag = {"add": ["one-more"], "filter": f'ident = "{DEVICE}"'}
    results = world.app.request("POST", "/v1/devices:tag", tag).lines()
    assert [result["outcome"] for result in results] == ["failed"]
    assign = {"deviceIdentifier": DEVICE, "customerEmails": ["one-more@example.com"]}
    response = world.app.request("POST", "/api/ext-v1/deviceAssignment/assignDeviceToOwners", assign)
    assert 400 <= response.status < 500, response.body
    assert world.state.all()["device"] == before
    world.prepare()


DOCUMENTS = ("metadata", "config", "schema")


@pytest.mark.parametrize("member", DOCUMENTS)
def test_a_document_of_more_than_64_kib_is_refused(world: World, member: str) -> None:
    before, many = world.state.all(), {member: {"k": "x" * limits.MAX_DOCUMENT}}
    for method, target, body in (
        ("POST", "/v1/devices", {"ident": "heavy", **many}),
        ("PUT", PUT, many),
        ("PATCH", PUT, many),
        ("POST", "/v1/devices:update", {"set": many, "filter": f'ident = "{DEVICE}"'}),
    ):
        response = world.app.request(method, target, body)
        assert_refused(response, NATIVE)
        assert response.status in {400, 413}
    assert world.state.all() == before


def test_a_document_of_64_kib_is_accepted_and_does_not_grow_by_patches(world: World) -> None:
    room = limits.MAX_DOCUMENT - len('{"k":""}')
    assert world.app.request("PATCH", PUT, {"metadata": {"k": None}}).status == 200
    assert world.app.request("PUT", PUT, {"metadata": {"k": "x" * room}}).status == 200
    before = world.state.all()
    assert_refused(world.app.request("PATCH", PUT, {"metadata": {"one": "more"}}), NATIVE)
    assert world.state.all() == before
    world.prepare()


def test_documents_that_another_dialect_writes_are_held_to_the_same_bound(world: World) -> None:
    before, heavy = world.state.all(), {"k": "x" * limits.MAX_DOCUMENT}
    dialect = next(sample.dialect for sample in world.samples() if sample.target == "/api/ext-v1/device")
    for target, body in (
        ("/api/ext-v1/device", {"identifier": "heavy", "type": "t", "properties": heavy}),
        ("/api/ext-v1/device/bulk-metadata", {"devices": {DEVICE: heavy}}),
    ):
        assert_refused(world.app.request("POST", target, body), dialect)
    assert world.state.all() == before


def test_a_filter_of_more_than_4096_characters_is_refused_wherever_one_is_taken(world: World) -> None:
    long = 'ident = "' + "x" * limits.MAX_FILTER + '"'
    before = world.state.all()
    for sample in world.samples():
        plain = sample.raw()
        if any(parameter.name == "filter" for parameter in sample.route.query):
            target = f"{sample.route.path.replace('{name}', 'pumps')}?filter={long.replace(' ', '+')}".encode()
            refused(send(world.app, Raw("GET", target, plain.headers)), sample, 400)
        if isinstance(sample.document, dict) and "filter" in sample.document:
            body = json.dumps({**sample.document, "filter": long}).encode()
            refused(send(world.app, sample.raw(body)), sample, 400)
    assert world.state.all() == before


def test_a_patch_of_too_many_steps_is_refused(world: World) -> None:
    before = world.state.all()
    patch = [{"op": "test", "path": "/ident", "value": DEVICE}] * (limits.MAX_PATCH_OPERATIONS + 1)
    response = world.app.request("PATCH", PUT, patch, headers={"content-type": "application/json-patch+json"})
    assert_refused(response, NATIVE)
    assert world.state.all() == before
