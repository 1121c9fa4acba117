"""What is kept of devices is bounded in bytes, and what changes one reading of a device changes its mark."""

import re

import pytest

from fleetroll.store import change, rows
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
UPDATES += [change.statement(()), change.statement(change.INDEXED)]


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


def test_a_list_is_wanted_again_when_it_is_asked_for_twice() -> None:
    known = KnownDevices()
    assert not known.is_wanted_again("SELECT 1", {"org": 1, "limit": 50})
    assert not known.is_wanted_again("SELECT 1", {"org": 2, "limit": 50})
    assert not known.is_wanted_again("SELECT 2", {"org": 1, "limit": 50})
    assert known.is_wanted_again("SELECT 1", {"org": 1, "limit": 50})


def test_a_device_is_known_under_its_mark_and_no_other() -> None:
    known = KnownDevices()
    known.keep([row(1), row(2, name="two")])
    newer = row(2, name="2", revision=2)
    found, others = known.find([mark(newer), mark(row(1)), mark(row(3))])
    assert ([one.id for one in found], others) == ([1], [2, 3])
    known.keep([newer])
    assert [one.name for one in known.find([mark(newer)])[0]] == ["2"]
    assert known.find([mark(row(2))]) == ([], [2])


def test_what_is_kept_is_bounded_in_bytes() -> None:
    known = KnownDevices(most_bytes=100_000)
    long = [row(number, metadata='{"text":"%s"}' % ("x" * 9_000)) for number in range(1, 31)]
    for one in long:
        known.keep([one, one])
    found, _ = known.find([mark(one) for one in long])
    assert [one.id for one in found] == list(range(22, 31))
    known.keep([row(number) for number in range(100, 1_100)])
    assert len(known.find([mark(row(number)) for number in range(100, 1_100)])[0]) in range(90, 101)
    known.keep([row(1, metadata="x" * 200_000)])
    assert known.find([mark(row(1))]) == ([], [1])
