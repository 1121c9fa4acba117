"""Bodies that say they are something else: refused by every route with a body, before anything of them is decoded."""

import gzip
import json
import zlib
from collections.abc import Iterator

from fleetroll.core.faults import invalid
from tests.support.raw import Raw, assert_refused, credential, send, send_all
from tests.support.samples import Sample, World

# What no route takes. An empty header is as good as none.
FOREIGN = [
    "", " ", ";", "json", "text", "text/plain", "text/plain; charset=utf-8", "text/json", "text/html", "text/xml",
    "application/xml", "application/javascript", "application/octet-stream", "application/x-www-form-urlencoded",
    "application/problem+json", "application/json-seq", "application/jsonp", "application/vnd.api+json",
    "application/json5", "application/cbor", "application/msgpack", "application/yaml", "application/gzip",
    "multipart/form-data", "multipart/form-data; boundary=x", "multipart/mixed; boundary=x", "*/*", "application/*",
    "application/json, text/plain", "text/plain, application/json", "text/plain; application/json", "application",
    "application/json application/json", "application/json\ttext/plain", "application / json", "application/json/",
    "application/ json", '"application/json"', "application/jso\xf1", "text/csv, application/x-ndjson", "x" * 4096,
]  # fmt: skip
# Said of a type that the route does take.
CHARSETS = [
    "iso-8859-1", "latin1", "us-ascii", "utf-16", "utf-16le", "utf-32", "utf-7", "cp1252", "shift_jis", "ibm037", "",
    "utf-8x", "utf 8", "utf-8,utf-16", "'utf-8'", "*", "\xfctf-8",
]  # fmt: skip
HARMLESS = [
    "; charset=utf-8", ";charset=UTF-8", '; charset="utf-8"', " ;  Charset = utf8 ", ";", "; profile=x",
    "; profile=x; charset=utf-8",
]  # fmt: skip
ENCODINGS = [
    "gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "compress", "identity, gzip", "gzip, gzip", "gzip,identity",
    "unknown", "utf-8", "*", "aws-chunked",
]  # fmt: skip


def body_samples(world: World) -> list[Sample]:
    """One for every media type of every route that takes a body and looks at its type."""
    found = [sample for sample in world.samples() if sample.route.body is not None or sample.route.lines is not None]
    return [sample for sample in found if accepted(sample)]


UNSUPPORTED = invalid("unsupported_media_type", "")


def typed(sample: Sample, *media_types: str) -> Raw:
    """The sample with these Content-Type headers and no other."""
    headers = [credential(sample.dialect), *[(b"content-type", value.encode("latin-1")) for value in media_types]]
    return Raw(sample.route.method, sample.target.encode(), tuple(headers), (sample.body(),))


def refuse_all(world: World, sample: Sample, requests: list[Raw], *statuses: int) -> None:
    statuses = statuses or (sample.dialect.envelope.status(UNSUPPORTED),)
    before = world.state.all()
    for request, response in zip(requests, send_all(world.app, requests), strict=True):
        assert response.status in statuses, (sample.label, request.headers, response.status, response.body[:200])
        assert_refused(response, sample.dialect, loud=True)
    assert world.state.all() == before, sample.label


def test_a_body_of_no_type_or_of_a_foreign_one_is_refused(world: World) -> None:
    for sample in body_samples(world):
        refuse_all(world, sample, [typed(sample), *[typed(sample, foreign) for foreign in FOREIGN]])


def test_a_type_that_belongs_to_another_route_is_refused(world: World) -> None:
    samples = body_samples(world)
    known = {kind for sample in samples for kind in accepted(sample)}
    for sample in samples:
        refuse_all(world, sample, [typed(sample, kind) for kind in known - accepted(sample)])


def accepted(sample: Sample) -> set[str]:
    return set(sample.route.media_types or sample.dialect.media_types)


def test_a_charset_that_is_not_utf8_is_refused(world: World) -> None:
    for sample in body_samples(world):
        refuse_all(world, sample, [typed(sample, value) for value in charsets(sample.media_type)])


def charsets(kind: str) -> Iterator[str]:
    for charset in CHARSETS:
        yield f"{kind}; charset={charset}"
        yield f'{kind};CHARSET = "{charset}"'
        yield f"{kind}; charset=utf-8; charset={charset}"
        yield f"{kind}; profile=x;charset={charset}"


def test_two_types_are_refused_as_each_could_be_believed(world: World) -> None:
    for sample in body_samples(world):
        kind = sample.media_type
        refuse_all(world, sample, [typed(sample, kind, kind), typed(sample, kind, "text/plain")], 400)


def test_a_body_with_a_content_encoding_is_refused_whatever_is_in_it(world: World) -> None:
    for sample in body_samples(world):
        contents = [sample.body(), gzip.compress(sample.body()), zlib.compress(sample.body()), bomb()]
        requests = [sample.raw(body, content_encoding=name) for name in ENCODINGS for body in contents]
        refuse_all(world, sample, requests)


def test_a_refusal_names_the_header_that_it_is_for(world: World) -> None:
    create = {"headers": {"Content-Type": "text/plain"}}, {"headers": {"Content-Encoding": "gzip"}}
    refused = [world.app.request("POST", "/v1/devices", {"ident": "typed"}, **said) for said in create]
    assert [reply.json()["field"] for reply in refused] == ["Content-Type", "Content-Encoding"]


def bomb() -> bytes:
    """A few kilobytes that would become four megabytes."""
    return gzip.compress(b'{"name": "' + b"x" * (4 << 20) + b'"}', 9) if not _BOMB else _BOMB[0]


_BOMB: list[bytes] = []
_BOMB.append(bomb())


def test_a_compressed_body_that_does_not_say_so_is_never_unpacked(world: World) -> None:
    for sample in body_samples(world):
        if sample.route.lines is None:
            packed = [gzip.compress(sample.body()), zlib.compress(sample.body()), bomb()]
            refuse_all(world, sample, [sample.raw(body) for body in packed], 400)


def test_a_compressed_import_that_does_not_say_so_stores_nothing(world: World) -> None:
    for sample in body_samples(world):
        if sample.route.lines is not None:
            before = world.state.all()["device"]
            for body in (gzip.compress(sample.body()), zlib.compress(sample.body())):
                response = send(world.app, sample.raw(body))
                outcomes = {result["outcome"] for result in response.lines()} if response.status == 200 else {"failed"}
                assert (outcomes, response.status // 100 in {2, 4}) == ({"failed"}, True), response.body
            assert world.state.all()["device"] == before


def test_a_form_is_refused_even_by_the_right_name(world: World) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="ident"\r\n\r\n'
    for sample in body_samples(world):
        if sample.route.lines is None:
            bodies = [part + sample.body() + b"\r\n--x--\r\n", b"ident=a&name=b"]
            refuse_all(world, sample, [sample.raw(body) for body in bodies], 400)


def test_utf8_by_any_of_its_spellings_is_accepted(world: World) -> None:
    for suffix in HARMLESS:
        for sample in body_samples(world):
            for kind in (sample.media_type, sample.media_type.upper()):
                response = send(world.app, typed(sample, kind + suffix))
                # The second creation of the same name is a conflict, which is past the media type all the same.
                assert response.status in {200, 201, 202, 204, 400, 409, 503}, (
                    sample.label,
                    kind + suffix,
                    response.body,
                )
                assert b"Content-" not in response.body
        world.prepare()


def test_the_identity_encoding_is_no_encoding(world: World) -> None:
    for sample in body_samples(world):
        if sample.route.idempotent is False:
            for name in ("", "identity", " Identity "):
                response = send(world.app, sample.raw(content_encoding=name))
                assert response.status != 500, (sample.label, response.body)
                assert b"Content-" not in response.body, (sample.label, response.body)
    world.prepare()


def test_the_type_is_judged_by_the_header_and_not_by_the_body(world: World) -> None:
    """A patch is read as the kind that it is said to be."""
    sample = next(s for s in world.samples() if s.media_type == "application/json-patch+json")
    merge = json.dumps({"name": "x"}).encode()
    refuse_all(world, sample, [sample.raw(merge)], 400)
    as_merge = next(s for s in world.samples() if s.media_type == "application/merge-patch+json")
    refuse_all(world, as_merge, [as_merge.raw(b'[{"op": "remove", "path": "/name"}]')], 400)
