"""What a rehearsed import remembers of the devices that it would have made."""

from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from fleetroll.core.model import NewDevice
from fleetroll.service import rehearsals
from fleetroll.service.rehearsals import DeviceSpool


@pytest.fixture
def planned() -> Iterator[DeviceSpool]:
    with closing(DeviceSpool()) as planned:
        yield planned


def test_of_each_device_the_last_state_is_found_however_many_there_are(planned: DeviceSpool) -> None:
    idents = [f"d{number}" for number in range(10_000)]
    planned.keep(NewDevice(ident) for ident in idents)
    planned.keep(NewDevice(ident, name="again") for ident in idents[::100])
    found = planned.find([*idents, "other"])
    assert list(found) == idents
    assert [ident for ident, device in found.items() if device.name] == idents[::100]


def test_a_device_is_found_as_it_was(planned: DeviceSpool) -> None:
    software, metadata = msgspec.Raw(b'{"version":"1"}'), msgspec.Raw(b'{"big":18446744073709551615,"one":1.0}')
    whole = NewDevice("a", "n", "k", "h", software, metadata, ("t",), ("o",), cohort="c", template=1 << 62, dms="d")
    planned.keep([whole, NewDevice("b")])
    assert planned.find("ab") == {"a": whole, "b": NewDevice("b")}


def test_devices_are_told_apart_even_where_their_marks_are_not(
    planned: DeviceSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsals, "_mark", lambda _: 7)
    planned.keep(NewDevice(ident) for ident in ("caf\u00e9", "b", "c"))
    planned.keep([NewDevice("cafe\u0301", name="twin")])
    found = planned.find(["b", "caf\u00e9", "x"])
    assert {key: device.name for key, device in found.items()} == {"b": None, "caf\u00e9": "twin"}
