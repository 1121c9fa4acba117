"""Round trips: what the native API shows of a record is what it reads back, as JSON and as CSV."""

import csv
import io
from datetime import datetime
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from fleetroll.core import documents, limits
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import Device, NewDevice
from fleetroll.dialects.native.mapping import devices as mapping
from fleetroll.dialects.native.mapping import fleet
from fleetroll.dialects.native.mapping.times import instant
from fleetroll.dialects.native.shapes import devices as shapes
from fleetroll.wire.bodies import convert
from tests.support.effort import often

WRITABLE = set(NewDevice.__struct_fields__) & set(shapes.COLUMNS)

printable = st.characters(exclude_categories=("Cs", "Cc", "Cf", "Co", "Cn", "Zl", "Zp", "Zs"), include_characters=" ")


def line(longest: int) -> st.SearchStrategy[str]:
    return st.text(printable, min_size=1, max_size=min(longest, 24))


def trimmed(longest: int) -> st.SearchStrategy[str]:
    return line(longest).filter(lambda text: text == text.strip())


# Not `.` and `..`: what names a thing in a path may be neither.
labels = trimmed(limits.MAX_EMAIL).filter(lambda text: text not in {".", ".."})
tags = labels.filter(lambda text: "," not in text)
owners = labels.map(str.lower).filter(lambda text: text == text.strip().lower() and text.isprintable())
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
numbers = st.integers(limits.MIN_INTEGER, limits.MAX_INTEGER) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts | st.just('a\n"b",\r\nc\t'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, values, max_size=4).map(lambda value: documents.of(value, "document"))
metrics = st.fixed_dictionaries({"type": st.sampled_from(["number", "json"])}, optional={"unit": line(9)})
schemas = st.dictionaries(st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), metrics, max_size=3)
parts = st.none() | line(9)
software = st.builds(shapes.Software, parts, parts, parts).map(
    lambda shape: {name: text for name, text in msgspec.structs.asdict(shape).items() if text}
)
extras = st.fixed_dictionaries(
    {},
    optional={
        "memfault": st.fixed_dictionaries({}, optional={"description": line(30)}),
        "lamassu": st.fixed_dictionaries({"icon": st.just("") | line(9), "icon_color": line(9)}),
        "relay": st.fixed_dictionaries({"env": st.from_regex(r"[A-Za-z0-9_-]{1,9}", fullmatch=True)}),
    },
).map(lambda value: documents.of(value, "extras"))
instants = st.integers(0, 4_000_000_000_000_000)


def document(source: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[documents.Document]:
    return source.map(lambda value: documents.of(value, "document"))


@st.composite
def devices(draw: st.DrawFn) -> Device:
    return Device(
        id=draw(st.integers(1, 2**63 - 1)),
        org=1,
        ident=draw(labels),
        name=draw(st.none() | line(limits.MAX_NAME)),
        kind=draw(st.none() | line(limits.MAX_KIND)),
        hardware_version=draw(st.none() | line(limits.MAX_VERSION)),
        software=draw(st.none() | document(software)),
        metadata=draw(objects),
        tags=tuple(draw(st.lists(tags, max_size=3, unique=True))),
        owners=tuple(draw(st.lists(owners, max_size=3, unique=True))),
        schema=draw(document(schemas)),
        config=draw(objects),
        status=draw(st.sampled_from(Status)),
        connected=draw(st.booleans()),
        last_seen=draw(st.none() | instants),
        activated_at=draw(st.none() | instants),
        created_at=draw(instants),
        updated_at=draw(instants),
        revision=draw(st.integers(1, 2**53)),
        extras=draw(extras),
        cohort=draw(
            st.none() | st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True).filter(lambda slug: slug != "default")
        ),
    )


def written(device: Device, skip: tuple[object, ...] = ()) -> dict[str, Any]:
    members = {name: getattr(device, name) for name in WRITABLE}
    return {name: value for name, value in members.items() if value not in skip}


@settings(max_examples=often(40))
@given(devices())
def test_what_is_shown_as_json_is_read_back_unchanged(device: Device) -> None:
    text = msgspec.json.encode(mapping.device(device))
    change = mapping.replacement(msgspec.json.decode(text, type=shapes.DeviceInput))
    assert {name: getattr(change, name) for name in WRITABLE} == written(device)
    assert change.status is UNSET


@settings(max_examples=often(40))
@given(st.lists(devices(), min_size=1, max_size=3))
def test_what_is_shown_as_csv_is_read_back_but_for_what_is_empty(shown: list[Device]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(
        [shapes.COLUMNS, *(fleet.cells(mapping.device(d)) for d in shown)]
    )
    records = list(csv.DictReader(io.StringIO(text.getvalue(), newline="")))
    for device, record in zip(shown, records, strict=True):
        shape = convert(fleet.from_cells(record), shapes.NewDevice)
        change = mapping.change(shape)
        given_members = {name: value for name in WRITABLE if (value := getattr(change, name)) is not UNSET}
        # A device without a cohort is shown in the default one, so that much is not empty.
        assert given_members == {"cohort": device.cohort, **written(device, skip=(None, ()))}


@settings(max_examples=often(40))
@given(devices())
def test_every_time_keeps_its_microseconds_and_its_zone(device: Device) -> None:
    shown = msgspec.json.decode(msgspec.json.encode(mapping.device(device)))
    for name in ("created_at", "updated_at", "last_seen", "activated_at"):
        stored = getattr(device, name)
        moment = None if shown[name] is None else msgspec.convert(shown[name], datetime)
        assert shown[name] is None or shown[name].endswith("Z")
        assert instant(moment, name) == stored
