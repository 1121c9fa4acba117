"""Templates and metafields as pure rules: spellings of a number, lookups of parts, and the values of every kind."""

from typing import Any

import pytest
from msgspec import structs

from fleetroll.core import documents, ids, metafields, templates
from fleetroll.core.faults import Fault
from fleetroll.core.model import Datastream, DatastreamKind, EventCode, Metafield, MetafieldKind, Template

TEMPLATE = Template(
    id=1,
    org=1,
    name="t",
    description=None,
    board=None,
    connection=None,
    datastreams=(Datastream(0, "v1", DatastreamKind.LOCATION, "place"), Datastream(0, "v2")),
    events=(EventCode(0, "hot", "Hot"),),
    metafields=(Metafield(0, "f"),),
    last_part=0,
    created_at=0,
    updated_at=0,
    revision=1,
)


@pytest.mark.parametrize("number", [1, 2, 63, 64, 10_000, (1 << 54) - 1])
def test_a_template_number_has_one_spelling(number: int) -> None:
    text = ids.template_id(number)
    assert len(text) == 13
    assert ids.parse_template_id(text) == number


@pytest.mark.parametrize("text", ["", "TMPL", "tmplAAAAAAAAB", "TMPLAAAAAAAA", "TMPLAAAAAAAABB", "TMPLAAAA AAAB", "7"])
def test_other_texts_are_no_template_number(text: str) -> None:
    assert ids.parse_template_id(text) is None


def test_parts_are_found_by_every_name() -> None:
    found = templates.numbered(TEMPLATE)
    place, second = found.datastreams
    assert (place.id, second.id, found.events[0].id, found.metafields[0].id, found.last_part) == (1, 2, 3, 4, 4)
    assert templates.by_pin(found, "v1") is templates.datastream(found, 1) is place
    assert templates.event_code(found, "hot") is found.events[0]
    assert templates.metafield(found, 4) is templates.metafield_named(found, "f") is found.metafields[0]
    for nothing in (
        templates.by_pin(found, "v3"),
        templates.datastream(found, 4),
        templates.event_code(found, "HOT"),
        templates.metafield(found, 1),
        templates.metafield_named(found, "g"),
    ):
        assert nothing is None


@pytest.mark.parametrize(
    ("text", "pin"), [("V1", "v1"), ("v0", "v0"), ("d255", "d255"), ("v01", None), ("1", None), ("v-1", None)]
)
def test_a_pin_is_read_in_either_case(text: str, pin: str | None) -> None:
    assert templates.parse_pin(text) == pin


def test_metrics_come_and_go_with_the_template_and_leave_others_alone() -> None:
    own = documents.of({"own": {"type": "string"}}, "schema")
    given = templates.apply_metrics(own, None, TEMPLATE)
    assert documents.load(given) == {"own": {"type": "string"}, "place": {"type": "json"}, "v2": {"type": "number"}}
    other = structs.replace(TEMPLATE, datastreams=(Datastream(1, "v3", DatastreamKind.STRING),))
    changed = templates.apply_metrics(given, TEMPLATE, other)
    assert documents.load(changed) == {"own": {"type": "string"}, "v3": {"type": "string"}}
    assert bytes(templates.apply_metrics(changed, other, None)) == bytes(own)


# What is given, and what is kept of it.
READ: dict[MetafieldKind, list[tuple[Any, Any]]] = {
    MetafieldKind.TEXT: [("SN:1", "SN:1"), ("", ""), ({"type": "Text", "value": "x"}, "x")],
    MetafieldKind.NUMBER: [(1.5, 1.5), (7, 7), ("12.5", 12.5), ("-3", -3), ({"type": "Number", "value": 2}, 2)],
    MetafieldKind.RANGE: [({"from": 0, "to": 90}, {"from": 0, "to": 90}), ('{"from":1,"to":2}', {"from": 1, "to": 2})],
    MetafieldKind.TIME: [(3600, 3600), ("60", 60), ({"type": "Time", "time": 5}, 5)],
    MetafieldKind.COORDINATES: [({"lat": 52.5, "lon": -13}, {"lat": 52.5, "lon": -13})],
    MetafieldKind.DEVICE_REFERENCE: [(12, 12), ("12", 12), ({"selectedDeviceId": 3, "selectedProductIds": [4]}, 3)],
    MetafieldKind.LIST: [("a", "a"), ({"type": "List", "options": ["a", "b"], "selectedOption": "b"}, "b")],
    MetafieldKind.TEMPLATE_ID: [("b", "b")],
    MetafieldKind.CONTACT: [
        ({"firstName": "Ann", "isFirstNameEnabled": True, "isDefaultsEnabled": False, "zip": "1"},) * 2,
        ({}, {}),
    ],
    MetafieldKind.EMAIL: [("Ann@Example.com", "ann@example.com"), ({"value": "a@b.de"}, "a@b.de")],
    MetafieldKind.DEVICE_NAME: [("Pump", "Pump")],
    MetafieldKind.DEVICE_OWNER: [("Ann@Example.com", "ann@example.com"), (" Crew 7 ", "Crew 7")],
    MetafieldKind.TIME_ZONE: [("Europe/Berlin", "Europe/Berlin"), ("UTC", "UTC"), ("America/Port-au-Prince",) * 2],
}
REFUSED: dict[MetafieldKind, list[Any]] = {
    MetafieldKind.TEXT: [1, True, [], {"value": 1}, "x" * 4097, {"type": "Number", "value": "x"}],
    MetafieldKind.NUMBER: ["x", "", "1e", "0x1", True, "nan", "1e999", {"value": "2"}],
    MetafieldKind.RANGE: [1, {"from": 1}, {"from": 1, "to": "2"}, {"from": -1, "to": 2}, {"from": 1, "to": 2, "x": 3}],
    MetafieldKind.TIME: [-1, 1.5, "x", True],
    MetafieldKind.COORDINATES: [{"lat": 91, "lon": 0}, {"lat": 0, "lon": -181}, {"lat": 0}, "0,0", [1, 2]],
    MetafieldKind.DEVICE_REFERENCE: [0, -1, "x", {"selectedDeviceId": "3"}],
    MetafieldKind.LIST: ["c", 1, ["a"]],
    MetafieldKind.TEMPLATE_ID: ["c", {}],
    MetafieldKind.CONTACT: ["Ann", {"firstName": 1}, {"isZipEnabled": "yes"}, {"age": 3}],
    MetafieldKind.EMAIL: ["ann", 1, ""],
    MetafieldKind.DEVICE_NAME: [1, {}, "", " ", "a/b", "x" * 51],
    MetafieldKind.DEVICE_OWNER: ["", " ", 1, None.__class__],
    MetafieldKind.TIME_ZONE: ["", "1/2", "a b", "../etc/passwd", 1],
}
assert READ.keys() == REFUSED.keys() == set(MetafieldKind)
OPTIONS = ("a", "b")


@pytest.mark.parametrize("kind", MetafieldKind)
def test_a_value_is_read_in_each_spelling_and_kept_in_one(kind: MetafieldKind) -> None:
    field = Metafield(1, "f", kind, options=OPTIONS)
    for given, kept in READ[kind]:
        assert metafields.read(field, given) == kept
        assert metafields.accepts(field, kept)
        shown = metafields.show(field, kept)
        assert shown["type"] == kind.value
        assert metafields.read(field, shown) == kept, "what is shown can be written back"


@pytest.mark.parametrize("kind", MetafieldKind)
def test_a_value_of_another_kind_is_refused(kind: MetafieldKind) -> None:
    field = Metafield(1, "f", kind, options=OPTIONS)
    for given in REFUSED[kind]:
        with pytest.raises(Fault) as refused:
            metafields.read(field, given)
        assert refused.value.code == "invalid_metafield"


def test_only_a_field_that_is_not_mandatory_can_be_emptied() -> None:
    assert metafields.read(Metafield(1, "f"), None) is None
    with pytest.raises(Fault):
        metafields.read(Metafield(1, "f", mandatory=True), None)
    assert metafields.show(Metafield(1, "f"), None) == {"type": "Text", "value": None}


def test_metadata_is_held_to_the_fields_that_it_has() -> None:
    fields = (Metafield(1, "n", MetafieldKind.NUMBER), Metafield(2, "Name", MetafieldKind.DEVICE_NAME))
    metafields.check(fields, {"n": 1, "other": "x", "Name": 5}, {})
    metafields.check(fields, {"n": None}, {})
    metafields.check(fields, {"n": "1"}, {"n": "1"})
    for known in ({}, {"n": 1}, {"other": "1"}):
        with pytest.raises(Fault):
            metafields.check(fields, {"n": "1"}, known)
    with pytest.raises(Fault):
        metafields.check(fields, {"n": True}, {"n": 1})
