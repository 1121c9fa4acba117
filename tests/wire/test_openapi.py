"""What `/openapi.json` says of every route is what the route takes and gives."""

import base64
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from jsonschema import Draft202012Validator
from msgspec import structs

from fleetroll.application import DIALECTS
from fleetroll.core import faults, ids
from tests.support.app import App, Response
from tests.support.raw import NATIVE
from tests.support.samples import DEVICE, Sample, World, world_in

UPSERT = "/api/ext-v1/device"  # whose sample is a device that is not there
ENDLESS = "/v1/events"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("openapi") / "data") as world:
        yield world


@pytest.fixture(scope="module")
def description(world: World) -> Any:
    return world.app.request("GET", "/openapi.json", key=None).json()


def operation(description: Any, sample: Sample) -> Any:
    return description["paths"][sample.route.path][sample.route.method.lower()]


def parameters(description: Any) -> list[tuple[str, Any]]:
    """Those of all operations, with their paths."""
    paths = description["paths"].items()
    return [(path, one) for path, methods in paths for told in methods.values() for one in told["parameters"]]


def problems(description: Any, schema: Any, document: Any) -> list[str]:
    validator = Draft202012Validator({**schema, "components": description["components"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def answered(app: App, sample: Sample, **given: str) -> Response:
    raw = sample.raw()
    headers = {name.decode(): value.decode("latin-1") for name, value in raw.headers} | given
    return app.request(raw.method, raw.target.decode(), key=None, headers=headers, raw=raw.body)


def documents(media_type: str, reply: Response) -> list[Any]:
    """The JSON documents of a body: each line, or the whole."""
    if media_type == "application/x-ndjson":
        return reply.lines()
    return [reply.json()] if media_type.endswith("json") else []


def lies(description: Any, sample: Sample, reply: Response) -> list[str]:
    """Where a reply is not what its route is described to give."""
    described = operation(description, sample)["responses"]
    if str(reply.status) not in described:
        return [f"{reply.status} {reply.body[:200]!r}"]
    content = described[str(reply.status)].get("content")
    if content is None:
        return [f"a body: {reply.body[:200]!r}"] if reply.body else []
    media_type = reply.headers["content-type"].partition(";")[0]
    if media_type not in content:
        return [f"{media_type}, not {list(content)}"]
    schema = content[media_type].get("schema", {})
    return [problem for document in documents(media_type, reply) for problem in problems(description, schema, document)]


def test_every_reply_is_as_it_is_described(world: World, description: Any) -> None:
    found = {}
    for sample in world.one_by_one():
        if sample.route.path == ENDLESS or sample.refused:
            continue
        if lied := lies(description, sample, answered(world.app, sample)):
            found[sample.label] = lied
        if sample.route.method != "GET":
            world.prepare()
    assert found == {}


# These say how a reply is sent, not what it is about.
SENDING = {"content-type", "content-length", "date", "transfer-encoding", "connection", "vary"}


def test_every_header_of_a_success_is_described_and_no_other(world: World, description: Any) -> None:
    found: dict[str, set[str]] = {}
    for sample in world.one_by_one():
        if sample.route.path == ENDLESS or sample.refused:
            continue
        reply = answered(world.app, sample)
        described = operation(description, sample)["responses"][str(reply.status)]["headers"]
        assert described.keys() <= description["components"]["headers"].keys()
        told = {name.lower() for name in described}
        given = set(reply.headers) - SENDING | ({"idempotency-replayed"} if sample.route.idempotent else set())
        if told != given:
            found[sample.label] = told ^ given
        if sample.route.method != "GET":
            world.prepare()
    assert found == {}


def test_a_refusal_is_as_it_is_described(world: World, description: Any) -> None:
    described = description["components"]["responses"]
    schemas = {
        name: content["schema"]
        for name, told in described.items()
        for content in told["content"].values()
        if "schema" in content
    }
    assert schemas.keys() > {"native", "blynk", "lamassu"}
    for sample in world.one_by_one():
        reply = world.app.request(sample.route.method, sample.raw().target.decode(), key="wrong")
        if sample.dialect.name in schemas and reply.status == 401:
            assert problems(description, schemas[sample.dialect.name], reply.json()) == [], sample.label
    full = world.app.request("GET", "/v1/devices?filter=colour%20%3D%20red").json()
    assert {"field", "errors"} < full.keys()
    assert problems(description, schemas["native"], full) == []
    assert problems(description, schemas["native"], full | {"code": None}) != []


def test_a_path_that_can_only_be_refused_is_described_without_a_success(world: World, description: Any) -> None:
    est = ("cacerts", "crl", "simpleenroll", "simplereenroll", "serverkeygen")
    for path in ("/api/ext-v1/customer/getCustomer/", *(f"/.well-known/est/{verb}" for verb in est)):
        for method, told in description["paths"][path].items():
            headers = {"content-type": "application/pkcs10"}
            reply = world.app.request(method.upper(), path, headers=headers, raw=b"")
            assert (list(told["responses"]), reply.status // 100) == (["default"], 4), path


def test_every_kind_of_success_is_described(world: World, description: Any) -> None:
    for method, path, target, status, media_type in (
        ("PUT", "/v1/devices/{ident}", "/v1/devices/put", 201, "application/json"),
        ("PUT", "/v1/devices/{ident}", "/v1/devices/put", 200, "application/json"),
        ("GET", "/v1/devices:export", "/v1/devices:export?format=csv", 200, "text/csv"),
    ):
        reply = world.app.request(method, target, {} if method == "PUT" else None)
        told = description["paths"][path][method.lower()]["responses"]
        assert (reply.status, reply.headers["content-type"].partition(";")[0]) == (status, media_type)
        shown = reply.json() if media_type.endswith("json") else reply.body.decode()
        assert problems(description, told[str(status)]["content"][media_type]["schema"], shown) == []


def test_a_query_parameter_is_described_as_required_where_it_is(world: World, description: Any) -> None:
    found = {}
    for sample in world.one_by_one():
        if sample.route.path == ENDLESS or sample.refused or sample.route.form:
            continue
        parameters = operation(description, sample)["parameters"]
        told = {one["name"] for one in parameters if one["in"] == "query" and one["required"]}
        path, _, query = sample.target.partition("?")
        needed = [pair for pair in query.split("&") if pair.partition("=")[0] in told]
        for left_out in needed:
            short = "&".join(pair for pair in needed if pair is not left_out)
            if answered(world.app, structs.replace(sample, target=f"{path}?{short}")).status != 400:
                found[sample.label] = left_out
        if answered(world.app, structs.replace(sample, target=f"{path}?{'&'.join(needed)}")).status >= 300:
            found[sample.label] = "more than is told"
        if sample.route.method != "GET":
            world.prepare()
    assert found == {}


def test_a_query_parameter_takes_what_is_described_and_nothing_beyond_it(world: World, description: Any) -> None:
    found, tried = {}, 0
    for sample in world.one_by_one():
        if sample.route.path == ENDLESS or sample.refused or sample.route.form:
            continue
        path, _, query = sample.target.partition("?")
        parameters = [one for one in operation(description, sample)["parameters"] if one["in"] == "query"]
        needed = {one["name"] for one in parameters if one["required"]}
        # The metric is what `limit` and `order` of readings are about.
        given = [pair for pair in query.split("&") if pair.partition("=")[0] in needed | {"metric"}]
        for told in parameters:
            if sample.route.body is not None and told["name"] in sample.document:  # the body comes first
                continue
            within, beyond = examples(told["schema"])
            others = [pair for pair in given if pair.partition("=")[0] != told["name"]]
            for value in [*within, *beyond]:
                target = f"{path}?{'&'.join([*others, told['name'] + '=' + value])}"
                reply = answered(world.app, structs.replace(sample, target=target))
                tried += 1
                is_number_of_none = value == str(ids.MAX_ID) and reply.status == 404
                if (reply.status < 300 or is_number_of_none) != (value in within):
                    found[sample.label, told["name"], value] = reply.body
                if sample.route.method != "GET":
                    world.prepare()
    assert (found, tried > 30) == ({}, True)


def test_every_parameter_is_explained(description: Any) -> None:
    unexplained = {(path, one["name"]) for path, one in parameters(description) if not one["description"]}
    assert unexplained == set()


def test_what_stands_in_a_path_is_explained_and_nothing_else() -> None:
    for dialect in DIALECTS:
        assert dialect.places.keys() == set(re.findall(r"{(\w+)}", " ".join(route.path for route in dialect.routes)))


def test_an_explanation_is_text_and_not_source(description: Any) -> None:
    about = [schema.get("description", "") for schema in description["components"]["schemas"].values()]
    assert not [text for text in about if "\n " in text or text != text.strip()]


def test_each_status_of_a_refusal_is_explained(world: World, description: Any) -> None:
    told = description["components"]["responses"]["native"]["description"]
    for target, status, reason in (
        ("/v1/devices?limit=x", 400, "invalid"),
        ("/v1/devices/no-such", 404, "not_found"),
        ("/v1/events?after=999999999", 410, "unknown_event"),
    ):
        assert world.app.request("GET", target).status == status
        assert re.search(rf" {status} ([a-z_]+, )*{reason}\b", told), told


def test_a_number_in_a_query_is_described_by_its_bounds(description: Any) -> None:
    unbounded = {
        (path, one["name"])
        for path, one in parameters(description)
        if one["schema"].get("type") == "integer" and "maximum" not in one["schema"]
    }
    assert unbounded == set()


def examples(schema: Any) -> tuple[list[str], list[str]]:
    """The outermost values that a parameter may have, and some that it may not; none if anything will do."""
    if "enum" in schema:
        return [quote(word) for word in schema["enum"]], ["nonsense", schema["enum"][0].swapcase()]
    if "maximum" in schema:
        least, most = schema["minimum"], schema["maximum"]
        beyond = [str(least - 1), str(most + 1)]
        return ([str(most)] if most == ids.MAX_ID else [str(least), str(most)]), beyond
    return [], []


def test_a_key_of_a_request_is_described_by_how_long_it_may_be(world: World, description: Any) -> None:
    path = "/v1/devices"
    (told,) = [one for one in description["paths"][path]["post"]["parameters"] if one["name"] == "Idempotency-Key"]
    least, most = told["schema"]["minLength"], told["schema"]["maxLength"]
    for length, status in ((least - 1, 400), (least, 201), (most, 201), (most + 1, 400)):
        headers = {"Idempotency-Key": "k" * length}
        assert world.app.request("POST", path, {"ident": f"key-{length}"}, headers=headers).status == status, length


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
def test_a_precondition_is_described_by_the_tags_that_it_may_have(world: World, description: Any, name: str) -> None:
    path = "/v1/devices/{ident}"
    (told,) = [one for one in description["paths"][path]["get"]["parameters"] if one["name"] == name]
    for value in ("*", '"1.1"', 'W/"1.1"', '"1.1" , W/"2.2",*', "", '"', "1.1", '"1.1",', '"1.1" "2.2"', 'w/"1.1"'):
        reply = world.app.request("GET", path.format(ident=DEVICE), headers={name: value})
        assert (problems(description, told["schema"], value) == []) == (reply.status != 400), value


@pytest.mark.parametrize(("name", "value"), [("If-Match", '"other"'), ("If-None-Match", "*")])
def test_preconditions_hold_where_they_are_described(world: World, description: Any, name: str, value: str) -> None:
    """A change of a version that there is not is refused in any case."""
    found = {}
    for sample in world.one_by_one():
        if sample.route.path == ENDLESS or sample.refused:
            continue
        status = answered(world.app, sample, **{name: value}).status
        reads = sample.route.method == "GET"
        told = name in {parameter["name"] for parameter in operation(description, sample)["parameters"]}
        if sample.route.path == UPSERT and value == "*":
            assert told
            continue
        held = status == (304 if reads and value == "*" else sample.dialect.envelope.status(faults.stale()))
        if held != (told or (not reads and name == "If-Match")):
            found[sample.label] = status
        if sample.route.method != "GET":
            world.prepare()
    assert found == {}


def test_an_organization_below_is_acted_in_where_that_is_described(world: World, description: Any) -> None:
    name = "Fleetroll-Organization"
    found = {}
    for sample in world.one_by_one():
        if sample.route.path == ENDLESS or sample.refused:
            continue
        status = answered(world.app, sample, **{name: "no-such"}).status
        told = name in {parameter["name"] for parameter in operation(description, sample)["parameters"]}
        if told != (status == 404):
            found[sample.label] = status
        if sample.route.method != "GET" and not told:
            world.prepare()
    assert found == {}


def test_a_stream_resumes_by_the_header_that_is_described(world: World, description: Any) -> None:
    told = {parameter["name"] for parameter in description["paths"][ENDLESS]["get"]["parameters"]}
    reply = world.app.request("GET", ENDLESS, headers={"Last-Event-ID": "999999999"})
    assert (reply.status, "Last-Event-ID" in told) == (410, True)


def test_a_patch_is_taken_in_the_forms_that_are_described(world: World, description: Any) -> None:
    for route in [route for route in NATIVE.routes if route.method == "PATCH"]:
        told = description["paths"][route.path]["patch"]["requestBody"]["content"]
        for media_type, body in (("application/json-patch+json", b"[]"), ("application/merge-patch+json", b"{}")):
            reply = world.app.request("PATCH", route.path, raw=body, headers={"content-type": media_type})
            assert reply.status == (404 if media_type in told else 415), (route.path, media_type)


def test_a_patch_is_described_by_what_its_kind_looks_like(world: World, description: Any) -> None:
    path = "/v1/devices/{ident}"
    described = description["paths"][path]["patch"]["requestBody"]["content"]
    assert described.keys() == {"application/json-patch+json", "application/merge-patch+json", "application/json"}
    for media_type, told in described.items():
        for body in (
            {},
            {"name": "A"},
            [],
            [{"op": "test", "path": "", "value": {}}],
            [{"op": "add"}],
            [{"op": "drop", "path": ""}],
            [1],
        ):
            headers = {"content-type": media_type}
            reply = world.app.request("PATCH", path.format(ident=DEVICE), body, headers=headers)
            is_taken = reply.status < 300 or reply.json()["code"] == "patch_test_failed"
            assert is_taken == (problems(description, told["schema"], body) == []), (media_type, body, reply.body)


def test_what_is_made_is_found_where_its_location_says(world: World) -> None:
    made = [sample for sample in world.samples() if sample.route.status == 201 and sample.dialect is NATIVE]
    assert len(made) > 8
    for sample in made:
        if not sample.route.path.endswith("/credentials"):  # one of these has no page of its own
            reply = answered(world.app, sample)
            found = world.app.request("GET", reply.headers["location"])
            assert (found.status, found.json().get("id")) == (200, reply.json()["id"]), sample.label


def test_a_reply_about_one_record_has_an_entity_tag_unless_nobody_edits_it(world: World) -> None:
    ones = [one for one in world.samples() if one.dialect is NATIVE and one.route.method == "GET"]
    untagged = {
        sample.route.path
        for sample in ones
        if sample.route.path.endswith("}") and "etag" not in answered(world.app, sample).headers
    }
    assert untagged == {"/v1/keys/{id}", "/v1/certificates/{serial}", "/v1/software-versions/{type}/{version}"}


def test_every_body_that_is_taken_is_one_that_is_described(world: World, description: Any) -> None:
    found = {}
    for sample in world.samples():
        content = operation(description, sample).get("requestBody", {}).get("content", {})
        if sample.document is None:
            continue
        lines = sample.body().splitlines() if sample.media_type == "application/x-ndjson" else [sample.body()]
        sent = [json.loads(line) if "json" in sample.media_type else line.decode() for line in lines]
        schema = content[sample.media_type]["schema"]
        if wrong := [problem for one in sent for problem in problems(description, schema, one)]:
            found[sample.label] = wrong
    assert found == {}


VALUES = {
    "sort": "created_date",
    "since": "2020-01-01",
    "last_seen_since": "2020-01-01",
    "last_seen_until": "2020-01-01",
}


def test_a_parameter_is_described_as_an_array_where_it_may_be_repeated(world: World, description: Any) -> None:
    found = {}
    for sample in [one for one in world.samples() if one.dialect.name == "memfault" and one.route.method == "GET"]:
        path = sample.target.partition("?")[0]
        for told in [one for one in operation(description, sample)["parameters"] if one["in"] == "query"]:
            pair = f"{told['name']}={VALUES.get(told['name'], 1)}"
            reply = answered(world.app, structs.replace(sample, target=f"{path}?{pair}&{pair}"))
            if (told["schema"]["type"] == "array") != (reply.status == 200):
                found[sample.label, told["name"]] = reply.body
    assert found == {}


def with_members(world: World) -> Iterator[Sample]:
    """The samples whose body is an object."""
    for sample in world.one_by_one():
        if not sample.refused and isinstance(sample.document, dict) and sample.route.lines is None:
            yield sample


@pytest.mark.long
def test_a_member_is_described_as_required_where_it_is(world: World, description: Any) -> None:
    """By leaving out each member of a full body in turn."""
    found = {}
    for sample in with_members(world):
        told = required(description, sample)
        for name in sample.document.keys() - CHOICES:
            another = world.again(sample)
            another.document.pop(name, None)
            status = answered(world.app, another).status
            if (status == 400) != (name in told):
                found[sample.label, name] = status
            if status < 300:
                world.prepare()
    assert found == {}


def test_a_member_of_another_type_than_the_described_is_refused(world: World, description: Any) -> None:
    found = {}
    for sample in with_members(world):
        schema = operation(description, sample)["requestBody"]["content"][sample.media_type]["schema"]
        for name in sample.document.keys() - SUBJECTS:
            for value in ("text", 1, 1.5, True, ["text"], {"text": 1}):
                document = sample.document | {name: value}
                if not problems(description, schema, document):
                    continue
                status = answered(world.app, structs.replace(sample, document=document)).status
                if not 400 <= status < 500:
                    found[sample.label, name] = value
    assert found == {}


# Texts that are more than so many characters, such as times and filters, and those that mean something with others.
FORMS = {
    *("expires_at", "time_zone", "tz", "timeZone", "certificate", "filter", "start", "end", "expiration_date"),
    *("email", "customerEmail", "deviceIdentifier", "env", "interval", "aggregate_fn", "device_id"),
    *("native PATCH ident", "native PATCH name", "native PATCH kind", "native PATCH hardware_version"),
    *("native PATCH cohort", "telemetron POST type", "memfault POST slug", "memfault PATCH slug"),
    *("blynk POST newValue", "blynk POST type", "blynk POST unitSystem", "blynk POST address"),
    *("lamassu PUT status", "lamassu POST id", "lamassu POST name", "enrollment POST id", "enrollment PUT id"),
    *("enrollment POST bind_mode", "enrollment PUT revocation_reason"),
}


@pytest.mark.long
def test_a_text_is_described_by_how_long_it_may_be(world: World, description: Any) -> None:
    """By an empty one and a long one in place of each text of a full body in turn."""
    found, refused = {}, 0
    for sample in with_members(world):
        schema = operation(description, sample)["requestBody"]["content"][sample.media_type]["schema"]
        texts = {name for name, value in sample.document.items() if isinstance(value, str)} - FORMS
        for name, text in itertools.product(sorted(texts), ("", "x" * 5000)):
            if f"{sample.dialect.name} {sample.route.method} {name}" in FORMS:
                continue
            another = world.again(sample)
            another.document[name] = text
            status = answered(world.app, another).status
            refused += status == 400
            if (status == 400) != (problems(description, schema, another.document) != []):
                found[sample.label, name, text[:1]] = status
            if status < 300:
                world.prepare()
    assert (found, refused > 100) == ({}, True)


@pytest.mark.parametrize(("path", "name"), [("/v1/owners", "ref"), ("/devices", "owner_ref")])
def test_a_reference_to_an_owner_is_described_without_the_blanks_around_it(
    world: World, description: Any, path: str, name: str
) -> None:
    posts = (
        one for one in world.samples() if one.dialect.name in {"native", "memfault"} and one.route.method == "POST"
    )
    sample = next(one for one in posts if one.route.path.endswith(path) and name in one.document)
    schema = operation(description, sample)["requestBody"]["content"][sample.media_type]["schema"]
    for text in ("", " ", "a", "a b", "a\nb", "\u00e9" * 254, "y" * 255, f" {'z' * 254}\t"):
        another = world.again(sample)
        another.document[name] = text
        status = answered(world.app, another).status
        assert (status == 400) == (problems(description, schema, another.document) != []), text


PIN: dict[str, Any] = {"pin": "v7"}
CODE = {"code": "hot", "name": "Hot", "type": "WARNING"}
FIELD = {"name": "site", "type": "Text"}
VENDOR_PIN: dict[str, Any] = {"pin": 7}
VENDOR_CODE = {"eventCode": "hot", "name": "Hot"}
# Members of full bodies, each with values that are taken and values that are not.
WITHIN: dict[tuple[str, str], tuple[list[Any], list[Any]]] = {
    ("/v1/devices", "tags"): ([[], ["a b"], ["t" * 128]], [[""], ["a,b"], ["t" * 129], [1]]),
    ("/v1/devices", "owners"): ([[], ["\u00e9" * 254]], [[""], [" "], ["o" * 255]]),
    ("/v1/devices", "software"): ([None, {}, {"version": ""}, {"type": "t" * 256}], [{"build": "b" * 257}]),
    ("/v1/devices", "schema"): (
        [{}, {"t": "json"}, {"t": {"type": "number"}}, {"t-1": {"type": "string", "unit": "C", "unit_symbol": ""}}],
        [{"t": "text"}, {"a b": "json"}, {"t" * 129: "json"}, {"t": {"unit": "C"}}, {"t": {"type": "json", "min": 1}}],
    ),
    ("/v1/keys", "scopes"): ([[], ["devices:read"]], [["devices"], [""]]),
    ("/v1/organizations", "quotas"): ([{}, {"devices": 0}], [{"things": 1}, {"devices": -1}]),
    ("/v1/organizations", "address"): ([None, {}, {"zip": ""}], [{"city": "c" * 257}]),
    ("/v1/groups", "criteria"): ([[], [{"field": "dms", "operator": "eq", "value": ""}]],
                                 [[{"field": "name", "operator": "eq", "value": ""}]]),
    ("/v1/dms", "settings"): (
        [{}, {"admission": {"levels": 8}}, {"profile": {"tags": ["a"]}}],
        [{"admission": {"levels": 0}}, {"admission": {"levels": 9}}, {"profile": {"tags": [""]}}],
    ),
    ("/v1/devices/{ident}:log-event", "description"): ([None, "", "d" * 300], ["d" * 301]),
    ("/api/v1/organization/device/trigger-event", "eventDescription"): ([None, "", "d" * 300], ["d" * 301]),
    ("/api/v0/organizations/{organization}/projects", "slug"): ([None, ""], ["a b", "s" * 129]),
    ("/v1/devices", "extras"): ([{}, {"relay": {}}], [{"relay": "production"}]),
    ("/v1/templates", "datastreams"): (
        [[PIN], [{"pin": "A999"}], [PIN | {"alias": "t-1", "label": "", "unit": None}]],
        [[{"pin": ""}], [{"pin": "v01"}], [{"pin": "x1"}], [PIN | {"alias": "a b"}], [PIN | {"label": "l" * 257}]],
    ),
    ("/v1/templates", "events"): (
        [[CODE], [CODE | {"description": ""}]],
        [[CODE | {"code": "a b"}], [CODE | {"code": "c" * 129}], [CODE | {"name": ""}], [CODE | {"type": "HOT"}]],
    ),
    ("/v1/templates", "metafields"): (
        [[FIELD], [FIELD | {"hint": "", "options": [""]}]],
        [[FIELD | {"name": ""}], [FIELD | {"name": "n" * 257}], [FIELD | {"icon": "i" * 4097}]],
    ),
    ("/api/ext-v1/deviceAssignment/assignDevicesToOwner", "autoCreateDevices"): ([True, None], ["true", 1]),
    ("/api/ext-v1/deviceAssignment/assignDevicesToOwner", "deviceIdentifiers"): (
        [["sample"], ["sample"] * 1000], [[], [""], ["sample"] * 1001],
    ),
    ("/api/ext-v1/device/bulk-metadata", "devices"): (
        [{"sample": {}}, {str(number): {} for number in range(1000)}],
        [{}, {"sample": []}, {str(number): {} for number in range(1001)}],
    ),
    ("/api/v1/organization/create", "type"): ([None, "BRANCH"], ["branch", ""]),
    ("/api/v1/organization/create", "address"): ([None, {"zip": None}], [{"fullAddress": "a" * 257}]),
    ("/api/v1/organization/template/create", "datastreams"): (
        [[VENDOR_PIN], [VENDOR_PIN | {"type": "ENUM", "pinType": "ANALOG", "alias": "t-1"}]],
        [[VENDOR_PIN | wrong] for wrong in ({"pin": 1000}, {"type": "enum"}, {"pinType": ""}, {"alias": ""})],
    ),
    ("/api/v1/organization/template/create", "events"): (
        [[VENDOR_CODE]], [[VENDOR_CODE | {"eventCode": ""}], [VENDOR_CODE | {"type": ""}]],
    ),
    ("/api/v1/organization/template/create", "metafields"): ([[FIELD]], [[FIELD | {"type": "text"}]]),
    ("/iot/db/telemetry/history", "aggregate_fn"): ([None, "mean", "stddev"], ["average", ""]),
    ("/iot/db/telemetry/history", "env"): ([None, "test"], ["", "a b"]),
    ("/iot/db/telemetry/history", "limit"): ([None, 1, 10_000], [0, 10_001]),
    ("/iot/db/telemetry/history", "offset"): ([None, 0, 2**53], [-1, 2**53 + 1]),
}  # fmt: skip


@pytest.mark.parametrize(("path", "member"), WITHIN)
def test_what_is_within_a_member_is_described(world: World, description: Any, path: str, member: str) -> None:
    world.prepare()
    sample = next(one for one in world.samples() if (one.route.method, one.route.path) == ("POST", path))
    schema = operation(description, sample)["requestBody"]["content"][sample.media_type]["schema"]
    for values, is_right in zip(WITHIN[path, member], (True, False), strict=True):
        for value in values:
            another = world.again(sample)
            another.document[member] = value
            is_taken = answered(world.app, another).status < 300
            is_described = problems(description, schema, another.document) == []
            assert (is_taken, is_described) == (is_right, is_right), value


def test_a_member_that_a_route_needs_is_not_described_as_null(world: World, description: Any) -> None:
    found = {}
    for sample in with_members(world):
        schema = operation(description, sample)["requestBody"]["content"][sample.media_type]["schema"]
        for name in sample.document.keys() & set(sample.route.needs):
            document = sample.document | {name: None}
            status = answered(world.app, structs.replace(sample, document=document)).status
            if status != 400 or not problems(description, schema, document):
                found[sample.label, name] = status
    assert found == {}


# What a device may be sent with, although nobody may set it.
IGNORED = ["id", "revision", "status", "connected", "last_seen", "activated_at", "created_at", "updated_at"]


def test_members_have_types_but_for_what_may_be_anything(description: Any) -> None:
    untyped = {
        (dialect, name)
        for title, schema in description["components"]["schemas"].items()
        for dialect in [title.partition(".")[0]]
        for name, described in schema.get("properties", {}).items()
        if not described
    }
    values = {
        "native": ["data", "value", *IGNORED],
        "memfault": ["data"],
        "memfault_device": ["data"],
        "blynk": ["newValue", "value"],
    }
    assert untyped == {(dialect, name) for dialect, names in values.items() for name in names}


def test_times_are_described_as_times(description: Any) -> None:
    others = {
        (title, name)
        for title, schema in description["components"]["schemas"].items()
        for name, described in schema.get("properties", {}).items()
        if title.startswith("native.") and (name == "at" or name.endswith(("_at", "_seen")))
        if described and "date-time" not in json.dumps(described)
    }
    assert others == set()


# What a question of RelayX's history is about; which of them count depends on its noun, and the others are ignored.
SUBJECTS = {"device_id", "device_ids", "fields", "event_names", "levels", "command_name"}
# One of several will do, or what is there already decides.
CHOICES = {"filter", "newUserId", "metadata", "type"}


def schema_of(description: Any, sample: Sample) -> Any:
    """The schema of a body, with what is behind its reference."""
    schema = operation(description, sample)["requestBody"]["content"][sample.media_type]["schema"]
    behind = description["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
    return {**behind, "required": [*schema.get("required", ()), *behind.get("required", ())]}


def required(description: Any, sample: Sample) -> set[str]:
    return set(schema_of(description, sample)["required"])


WORDS = {"role", "kind", "status", "unit_system", "type"}


def test_a_member_that_takes_some_words_alone_is_described_by_them(world: World, description: Any) -> None:
    found = {}
    for sample in with_members(world):
        if sample.dialect.name != "native" or sample.route.method != "POST":
            continue
        for name in sample.document.keys() & WORDS:
            reply = answered(world.app, structs.replace(sample, document=sample.document | {name: "nonsense"}))
            if words := re.search(r"must be one of (.*)\.", reply.json().get("detail", "")):
                told = schema_of(description, sample)["properties"][name].get("enum", ())
                found[sample.label, name] = set(words[1].split(", ")) ^ set(told)
    assert len(found) >= 6
    assert not any(found.values()), found


def test_a_device_that_is_made_without_its_values_is_described_so(world: World, description: Any) -> None:
    (sample,) = [one for one in world.samples() if one.route.path == "/api/v1/organization/device/create"]
    short = structs.replace(sample, document=sample.document | {"baseInfo": True})
    reply = answered(world.app, short)
    assert (reply.status, "metaFieldValues" in reply.json()) == (201, False)
    assert lies(description, short, reply) == []


def carried(scheme: Any, key: str) -> dict[str, str]:
    """The header field that carries a key as a scheme of the description says."""
    if scheme["type"] == "apiKey":
        return {scheme["name"]: key}
    shown = base64.b64encode(f":{key}".encode()).decode() if scheme["scheme"] == "basic" else key
    return {"authorization": f"{scheme['scheme']} {shown}"}


def test_a_key_is_taken_in_every_way_that_is_described(world: World, description: Any) -> None:
    schemes = description["components"]["securitySchemes"]
    for sample in world.samples():
        if sample.route.method != "GET" or sample.route.path == ENDLESS or sample.refused:
            continue
        for name, *others in operation(description, sample)["security"]:
            reply = world.app.request("GET", sample.target, key=None, headers=carried(schemes[name], world.app.key))
            assert (reply.status, others) == (sample.route.status, []), (sample.label, name)


def test_where_no_header_carries_a_credential_none_is_described(world: World, description: Any) -> None:
    paths = description["paths"]
    assert paths["/.well-known/est/{aps}/crl"]["get"]["security"] == [{}]
    assert paths["/.well-known/est/{aps}/simpleenroll"]["post"]["security"] == [{"clientCertificate": []}, {}]
    token = paths["/oauth2/token"]["post"]
    assert token["security"] == [{"basic": []}, {}]
    [(media_type, form)] = token["requestBody"]["content"].items()
    key = world.app.request("POST", "/v1/keys", {"name": "app", "role": "viewer", "kind": "oauth"}).json()
    given = {name: key.get(name, "client_credentials") for name in form["schema"]["properties"]}
    headers = {"content-type": media_type}
    reply = world.app.request("POST", "/oauth2/token", key=None, headers=headers, raw=urlencode(given).encode())
    assert (reply.status, given.keys() >= {"client_id", "client_secret", "grant_type"}) == (200, True)


def test_refusals_are_as_they_are_shown(world: World, description: Any) -> None:
    """The example that a dialect's refusals are described by has the members of a real one."""
    shown = description["components"]["responses"]
    for sample in world.samples():
        reply = world.app.request(sample.route.method, sample.target, key=None)
        if reply.status != 401:
            continue
        assert operation(description, sample)["responses"]["default"] == {
            "$ref": f"#/components/responses/{sample.dialect.name}"
        }
        media_type = reply.headers["content-type"]
        assert members(shown[sample.dialect.name]["content"][media_type]["example"]) == members(reply.json())


def members(document: Any) -> Any:
    return {name: members(value) for name, value in document.items()} if isinstance(document, dict) else None
