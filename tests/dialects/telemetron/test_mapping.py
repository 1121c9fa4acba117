"""The mapping keeps what the dialect knows: what is written through it is what it shows, whatever that is."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleetroll.core import documents, ids
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import Device, NewDevice, Owner
from fleetroll.dialects.telemetron import mapping, shapes
from fleetroll.service import devices, owners
from fleetroll.wire.bodies import convert
from fleetroll.wire.cursors import Cursors
from fleetroll.wire.request import NO_QUERY, Request

IDS = st.integers(1, ids.MAX_ID)
WORDS = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
PROPERTIES = st.dictionaries(WORDS, VALUES, max_size=4)
IDENTS = WORDS.filter(lambda text: text not in {".", ".."})
EMAILS = st.from_regex(r"[a-z0-9.+_-]{1,20}@[a-z0-9]{1,10}\.[a-z]{2,5}", fullmatch=True)


def asked(shape: Any, body: dict[str, Any], **path: str) -> Request:
    request = Request(path, NO_QUERY, Cursors(b"k" * 32, lambda: 0), "")
    request.body = convert(body, shape)
    return request


def stored(new: NewDevice, number: int) -> Device:
    return Device(
        number, 1, new.ident, None, new.kind, None, None, new.metadata, (), (), new.schema, new.config,
        Status.NO_IDENTITY, False, None, None, 0, 0, 1, new.extras,
    )  # fmt: skip


@given(IDS, IDENTS, WORDS, PROPERTIES)
def test_a_device_is_stored_and_shown_as_it_was_sent(
    number: int, ident: str, kind: str, properties: dict[str, Any]
) -> None:
    body = {"identifier": ident, "type": kind, "properties": properties}
    request = asked(shapes.PutDevice, body)
    new = devices.new_device(mapping.put_device(request))
    assert documents.load(new.metadata) == properties
    shown = mapping.stored_device(devices.Stored(stored(new, number), created=True), request).body
    assert (shown.identifier, shown.type) == (ident, kind)
    assert ids.parse_prefixed(mapping.DEVICE, shown.device_id) == number


@given(IDENTS)
def test_members_that_are_left_out_are_no_part_of_the_change(ident: str) -> None:
    change = mapping.put_device(asked(shapes.PutDevice, {"identifier": ident})).change
    assert change == type(change)()


@given(st.dictionaries(IDENTS, PROPERTIES, min_size=1, max_size=5))
def test_bulk_metadata_keeps_order_and_content(given_devices: dict[str, dict[str, Any]]) -> None:
    padded = {f" {ident}\t": properties for ident, properties in given_devices.items()}
    found = mapping.bulk_metadata(asked(shapes.BulkMetadata, {"devices": padded}))
    assert [(one.ident, documents.load(one.metadata)) for one in found] == list(given_devices.items())


@given(IDS, EMAILS, WORDS, st.none() | WORDS, st.none() | WORDS)
def test_a_customer_that_is_read_and_sent_back_says_the_same(
    number: int, email: str, name: str, phone: str | None, address: str | None
) -> None:
    owner = Owner(number, 7, email, name, phone, address, 1, 2, 1)
    request = asked(shapes.PutCustomer, {"email": email})
    shown = mapping.customer(owners.Owned(owner, []), request)
    body = {"email": shown.email, "name": shown.name, "phone": shown.phone, "address": shown.address}
    sent = mapping.put_customer(asked(shapes.PutCustomer, body | {"telemetronCustomerId": shown.id}))
    assert sent == owners.Put(number, email, {"name": name, "phone": phone, "address": address})
    assert mapping.one_customer(asked(shapes.QueryCustomer, {}, id=shown.id)).id == number


@given(EMAILS, st.sampled_from([str.upper, str.title, lambda text: f"  {text}\n"]))
def test_an_address_is_one_person_however_it_is_written(email: str, spelled: Any) -> None:
    body = {"deviceIdentifier": "d", "customerEmails": [email, spelled(email), "nobody", None]}
    assert mapping.assign_owners(asked(shapes.AssignDeviceToOwners, body)).refs == (email,)


@given(st.text(max_size=30))
def test_no_text_is_a_customer_id_but_the_one_spelling_of_each(text: str) -> None:
    number = mapping.customer_number(text)
    assert number == 0 or ids.prefixed(mapping.CUSTOMER, number) == text
