"""What is kept of devices is bounded in bytes, and what changes one reading of a device changes its mark."""

import re

import pytest

from fleetroll.store import device_update, rows
from fleetroll.store.connection import Row
from fleetroll.store.known_devices import MARK, KnownDevices
from fleetroll.store.statements import SQL

EMPTY: dict[str, object] = {
    **dict.fromkeys(rows.DEVICE),
    **dict.fromkeys(("metadata", "metric_schema", "config", "extras", "metadata_times"), "{}"),
    **dict.fromkeys(("tags", "owners"), "[]"),
    "ident": "d",
    "status": "NO_IDENTITY",
}
UPDATES = [text for text in SQL.values() if "UPDATE device SET" in text]
UPDATES += [device_update.statement(()), device_update.statement(device_update.INDEXED)]


def row(number: int, **columns: object) -> Row:
    return tuple((EMPTY | {"id": number, "revision": 1} | columns)[column] for column in rows.DEVICE)


def mark(of: Row) -> Row:
    return tuple(of[rows.DEVICE.index(column)] for column in MARK)


@pytest.mark.parametrize("statement", UPDATES)
def test_whatever_is_written_of_a_device_changes_its_mark(statement: str) -> None:
    written = re.search(r"UPDATE device SET (.*?)WHERE", statement, re.DOTALL)
    assert written is not None
    columns = set(re.findall(r"(?:^|,)\s*(\w+) = ", written[1])) & set(rows.DEVICE)
    assert "revision" in columns or columns <= set(MARK)


LIST = ("SELECT 1", {"org": 1, "limit": 50})


def look(known: KnownDevices, changed: int) -> bool:
    """Ask for `LIST`, so many of whose 50 devices have changed. Returns whether it asked for marks."""
    asked = known.asks_for_marks(*LIST)
    if asked is not None:
        known.learn(asked, 50, changed)
    return asked is not None


def test_a_list_asks_for_marks_when_it_is_asked_for_twice() -> None:
    known = KnownDevices()
    assert known.asks_for_marks(*LIST) is None
    assert known.asks_for_marks("SELECT 1", {"org": 2, "limit": 50}) is None
    assert known.asks_for_marks("SELECT 2", {"org": 1, "limit": 50}) is None
    assert known.asks_for_marks(*LIST) is not None


def test_a_list_of_which_few_change_goes_on_asking_for_marks() -> None:
    known = KnownDevices()
    assert [look(known, 50), look(known, 50), *(look(known, 25) for _ in range(20))] == [False, *[True] * 21]


def test_a_list_of_which_most_change_is_read_as_a_whole_but_for_a_look_now_and_then() -> None:
    known = KnownDevices()
    looks = [look(known, 50) for _ in range(100)]
    assert looks[:3] == [False, True, True]
    assert sum(looks) <= 22
    assert any(looks[50:])


def test_a_device_is_known_under_its_mark_and_no_other() -> None:
    known = KnownDevices()
    known.put([row(1), row(2, name="two")])
    newer = row(2, name="2", revision=2)
    found, others = known.find([mark(newer), mark(row(1)), mark(row(3))])
    assert ([one.id for one in found], others) == ([1], [2, 3])
    known.put([newer])
    assert [one.name for one in known.find([mark(newer)])[0]] == ["2"]
    assert known.find([mark(row(2))]) == ([], [2])


def test_what_is_kept_is_bounded_in_bytes() -> None:
    known = KnownDevices(most_bytes=100_000)
    long = [row(number, metadata='{"text":"%s"}' % ("x" * 9_000)) for number in range(1, 31)]
    for one in long:
        known.put([one, one])
    found, _ = known.find([mark(one) for one in long])
    assert [one.id for one in found] == list(range(22, 31))
    known.put([row(number) for number in range(100, 1_100)])
    assert len(known.find([mark(row(number)) for number in range(100, 1_100)])[0]) in range(90, 101)
    known.put([row(1, metadata="x" * 200_000)])
    assert known.find([mark(row(1))]) == ([], [1])
