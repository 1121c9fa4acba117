"""Numbers at and past their bounds, in every place that takes one: the places are found in the shapes and tables."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from fleetroll.core import limits
from fleetroll.wire.dialect import Parameter
from tests.support.app import running
from tests.support.raw import NATIVE, Raw, assert_refused, credential, send, send_all, words
from tests.support.samples import DEVICE, Sample, World

Place = tuple[str, ...]
# No whole number of ours: each is JSON, and each is refused wherever a whole number belongs.
WRONG = words("""1.0 1.5 1e2 1E0 -1 -0.0 -9223372036854775808 -9223372036854775809 true false null "1" "" [] [1] {}
    9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616 1e308""")
NO_NUMBER = ("-0", "1e400", "-1e400", "1" + "0" * 400, "9" * 5_000, "NaN", "Infinity", "0x1", "01", "+1", "1.")
NO_PARAMETER = words("""0 -1 +1 01 1.0 1e2 0x10 1_0 NaN inf true null 1%20 %201 1%00 %2B1 %E2%91%A0 %D9%A1 %EF%BC%91 1,2
    18446744073709551616 99999999999999999999 1e400""")
EDGES = (0, -1, 2**31, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**53) - 1, -(2**63))
OUTSIDE = (2**64, -(2**63) - 1, 10**30, -(10**30))

# Second names of a member, and what other members make pointless: they count only where those are left out.
SYNONYMS = {
    "organizationId",
    "newOrgId",
    "newOrganizationId",
    "newOwnerId",
    "newOwnerUserId",
    "orgId",
    "ownerId",
    "userId",
}


def numeric(shape: Any) -> Iterator[Place]:
    """The paths of all whole numbers and flags in a shape; `*` stands for any key."""
    yield from _numeric(inspect.type_info(shape), ())


def _numeric(info: inspect.Type, path: Place) -> Iterator[Place]:
    match info:
        case inspect.IntType() | inspect.FloatType() | inspect.BoolType():
            yield path
        case inspect.StructType():
            for field in info.fields:
                yield from _numeric(field.type, (*path, field.encode_name))
        case inspect.UnionType():
            for kind in info.types:
                yield from _numeric(kind, path)
        case inspect.DictType():
            yield from _numeric(info.value_type, (*path, "*"))
        case inspect.Metadata():
            yield from _numeric(info.type, path)


def spliced(document: Any, path: Place, marker: str) -> Any:
    """The document with the marker at the path."""
    if not path:
        return marker
    key = next(iter(document)) if path[0] == "*" else path[0]
    return {**document, key: spliced(document.get(key), path[1:], marker)}


def places(world: World) -> list[tuple[Sample, Place, bytes]]:
    """Every numeric place of every body, with the body around it."""
    return [
        (sample, path, json.dumps(spliced(sample.document, path, "@")).encode())
        for sample in world.samples()
        if sample.route.body is not None
        for path in numeric(sample.route.body)
        if holds(sample.document, path) and not sample.refused and path[-1] not in SYNONYMS
    ]


def holds(document: Any, path: Place) -> bool:
    """Whether the sample has such a member: where a shape takes several kinds of value, it shows one of them."""
    if not path:
        return True
    key = next(iter(document), None) if isinstance(document, dict) and path[0] == "*" else path[0]
    return isinstance(document, dict) and key in document and holds(document[key], path[1:])


def test_the_shapes_have_the_numbers_that_we_know_of(world: World) -> None:
    found = {(sample.route.path, path) for sample, path, _ in places(world)}
    assert ("/v1/organizations", ("quotas", "*")) in found
    assert ("/v1/devices:update", ("dry_run",)) in found


def test_every_numeric_member_refuses_what_is_no_such_number(world: World) -> None:
    for sample, path, body in places(world):
        is_flag = isinstance(at(sample.document, path), bool)
        wrong = [text for text in WRONG if not is_flag or text not in {"true", "false"}]
        nullable = sample.route.body and accepts_null(sample.route.body, path)
        for text in (*wrong, *NO_NUMBER):
            if text == "null" and nullable:
                continue
            response = send(world.app, sample.raw(body.replace(b'"@"', text.encode())))
            if sample.route.stream is not None and b'"outcome":"failed"' in response.body:
                continue  # a number of the right kind that names nothing, which each row finds out for itself
            names_nothing = response.status == 404 and text.isdigit()
            assert response.status == 400 or names_nothing, (sample.label, path, text, response.body)
            assert_refused(response, sample.dialect)


def at(document: Any, path: Place) -> Any:
    return at(document[next(iter(document)) if path[0] == "*" else path[0]], path[1:]) if path else document


def accepts_null(shape: Any, path: Place) -> bool:
    value: Any = None
    for key in reversed(path):
        value = {"x" if key == "*" else key: value}
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as problem:
        return "got `null`" not in str(problem)
    return True


def test_a_member_takes_its_bounds_and_nothing_past_them(world: World) -> None:
    for value, status in ((0, 200), (1, 200), (2**53, 200), (2**53 + 1, 400), (2**63, 400), (-1, 400)):
        reply = world.app.request("PATCH", "/v1/organizations/child", {"quotas": {"devices": value}})
        assert reply.status == status, value
        if status == 200:
            assert reply.json()["quotas"]["devices"] == value


def parameters(world: World) -> list[tuple[Sample, Parameter]]:
    samples = {sample.route.path + sample.route.method: sample for sample in world.samples()}.values()
    return [(s, p) for s in samples for p in s.route.query if p.type in {"integer", "boolean"}]


def test_every_numeric_query_parameter_refuses_what_is_no_number_of_its_range(world: World) -> None:
    assert len({sample.route.path for sample, _ in parameters(world)}) > 5
    for sample, parameter in parameters(world):
        name, from_zero = parameter.name, parameter.name == "after" or sample.dialect.name == "blynk"
        allowed = {"boolean": "true", "integer": "0" if from_zero else ""}
        values = [value for value in (*NO_PARAMETER, "9" * 5_000) if value != allowed[parameter.type]]
        if name == "limit":
            values += ["1001", "9223372036854775807", "9223372036854775808"]
        path = sample.target.partition("?")[0]
        for value in values:
            response = send(
                world.app, Raw(sample.route.method, f"{path}?{name}={value}".encode(), sample.raw().headers)
            )
            assert response.status == 400, (sample.label, name, value, response.body[:200])
            assert_refused(response, sample.dialect)


def test_a_list_takes_every_size_within_its_bounds(world: World) -> None:
    listings = [sample for sample, parameter in parameters(world) if parameter.name == "limit"]
    for sample in listings:
        for value in (1, limits.MAX_PAGE):
            target = re.sub(r"\blimit=\d+", f"limit={value}", sample.target).encode()
            assert send(world.app, Raw("GET", target, sample.raw().headers)).status == 200


def test_a_number_in_a_path_that_names_nothing_is_not_found(world: World) -> None:
    """Ids are opaque: what no id looks like names nothing, and no arithmetic is done on it."""
    for sample in world.samples():
        if not sample.route.path.endswith("/{id}") or sample.route.body is not None:
            continue
        base = sample.route.path.removesuffix("{id}")
        # A control character is no text at all, and refused as such.
        no_ids = [text for text in NO_PARAMETER if "%00" not in text]
        for text in (*no_ids, "9" * 400, "9223372036854775807", "9223372036854775808", "cus_" + "z" * 13):
            response = send(world.app, Raw(sample.route.method, f"{base}{text}".encode(), sample.raw().headers))
            assert response.status == 404, (sample.label, text, response.body)
            assert_refused(response, sample.dialect)


@pytest.mark.parametrize("last", ["0x1", "-1", "1.0", "abc", "9223372036854775808", "1 2", "\u0661", ""])
def test_a_last_event_id_that_is_no_number_is_refused(world: World, last: str) -> None:
    headers = (credential(NATIVE), (b"last-event-id", last.encode()))
    response = send(world.app, Raw("GET", b"/v1/events", headers))
    assert response.status == (400 if last else 200)


def test_integers_of_a_document_survive_every_way_in_and_out(world: World) -> None:
    app, wanted = world.app, {f"n{number}": value for number, value in enumerate(EDGES)}
    ways = {
        "POST": lambda: app.request("POST", "/v1/devices", {"ident": "edges", "metadata": wanted, "config": wanted}),
        "PUT": lambda: app.request("PUT", "/v1/devices/edges", {"metadata": wanted, "config": wanted}),
        "PATCH": lambda: app.request("PATCH", "/v1/devices/edges", {"metadata": wanted}),
        "JSON Patch": lambda: app.request("PATCH", "/v1/devices/edges", json_patch(wanted)),
        "import": lambda: app.request(
            "POST",
            "/v1/devices:import",
            raw=json.dumps({"ident": "edges", "metadata": wanted}).encode(),
            headers={"content-type": "application/x-ndjson"},
        ),
        "telemetron": lambda: app.request(
            "POST", "/api/ext-v1/device", {"identifier": "edges", "type": "t", "properties": wanted}
        ),
    }
    for way, write in ways.items():
        assert write().status in {200, 201}, way
        assert read(world, "edges") == [wanted] * 3, way
        app.request("PATCH", "/v1/devices/edges", {"metadata": {"n0": 7}})


def json_patch(wanted: dict[str, int]) -> Any:
    return [{"op": "replace", "path": "/metadata", "value": wanted}]


def read(world: World, ident: str) -> list[Any]:
    """The metadata of a device as it is got, and exported in both forms."""
    app = world.app
    rows = app.request("GET", f"/v1/devices:export?filter=ident=%22{ident}%22").lines()
    table = app.request("GET", f"/v1/devices:export?format=csv&filter=ident=%22{ident}%22").body.decode()
    cell = next(csv.DictReader(io.StringIO(table)))["metadata"]
    return [app.request("GET", f"/v1/devices/{ident}").json()["metadata"], rows[0]["metadata"], json.loads(cell)]


def test_an_export_with_such_integers_can_be_imported_without_a_change(world: World) -> None:
    app = world.app
    app.request("PUT", "/v1/devices/kept", {"metadata": {f"n{n}": value for n, value in enumerate(EDGES)}})
    for form, kind in (("ndjson", "application/x-ndjson"), ("csv", "text/csv")):
        exported = app.request("GET", f"/v1/devices:export?format={form}&filter=ident=kept").body
        results = app.request("POST", "/v1/devices:import", raw=exported, headers={"content-type": kind}).lines()
        assert [result["outcome"] for result in results] == ["unchanged"], form


def test_integers_outside_of_64_bits_are_refused_in_documents_everywhere(world: World) -> None:
    bodies = []
    for value in OUTSIDE:
        for sample in world.samples():
            text = json.dumps(sample.document)
            if sample.route.body is not None and '"shelf": 4' in text:
                bodies.append((sample, text.replace('"shelf": 4', f'"shelf": {value}').encode()))
    assert len({sample.route.path for sample, _ in bodies}) > 4
    before = world.state.all()
    for (sample, _), response in zip(bodies, send_all(world.app, [s.raw(b) for s, b in bodies]), strict=True):
        assert_refused(response, sample.dialect, 400)
    assert world.state.all() == before


@pytest.mark.parametrize(
    "moment",
    [
        "9999-12-31T23:59:59-12:00",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59.9999999Z",
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2038-01-19T03:14:08Z",
        "2099-01-01T00:00:00",
        "2099-02-30T00:00:00Z",
        "2099-01-01T24:00:00Z",
        "2099-01-01T00:00:60Z",
        "10000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "2099-01-01T00:00:00+99:99",
    ],
)
def test_a_time_at_the_end_of_the_calendar_is_stored_readably_or_refused(tmp_path: Path, moment: str) -> None:
    with running(tmp_path / "data") as app:
        made = app.request("POST", "/v1/keys", {"name": "k", "role": "viewer", "expires_at": moment})
        assert made.status in {201, 400}
        if made.status == 400:
            assert_refused(made, NATIVE)
        for path in ("/v1/keys", "/v1/keys/2", "/v1/me"):
            assert app.request("GET", path).status in {200, 404}, path
        filtered = app.request("GET", f"/v1/devices?filter=created_at%3C%22{moment.replace('+', '%2B')}%22")
        assert filtered.status in {200, 400}


def test_a_page_number_and_a_size_cannot_be_multiplied_into_another_row(world: World) -> None:
    """There is no offset to overflow: a page begins after a signed place."""
    for extra in ("page=2", "offset=1", "skip=9223372036854775807", "page_size=9223372036854775807"):
        assert_refused(world.app.request("GET", f"/v1/devices?{extra}"), NATIVE, 400)
    assert world.app.request("GET", f"/v1/devices/{DEVICE}").status == 200
