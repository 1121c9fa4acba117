"""Statements about a list of things that somebody has named: devices by their keys or numbers, their events, series."""

import functools
import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar

from fleetroll.core.model import SeriesKey
from fleetroll.store.connection import Query
from fleetroll.store.select import COLUMNS
from fleetroll.store.syntax import Syntax

V = TypeVar("V")
_LISTED = 512  # members of a list that one statement takes
_EVENT_COLUMNS = "id, org, at, type, subject, subject_id, name, actor, request, data, reported_at"
LIFE = ("device.identity_changed", "device.decommissioned")  # types of what changes the status of a device
# Literal, so that a partial index can serve it.
_LIFE = f"type IN {LIFE}"
_NO_SERIES: SeriesKey = (0, "", "")


def by_idents(syntax: Syntax, org: int, keys: Sequence[str]) -> Query:
    """The devices with these identity keys, which may be a thousand."""
    is_one = syntax.text_in_list.format(column="d.ident_key", value=":keys")
    text = f"SELECT {COLUMNS} FROM device AS d WHERE d.org = :org AND {is_one}"
    return Query(text, {"org": org, "keys": syntax.text_list(keys)})


def by_numbers(org: int, numbers: Sequence[int]) -> Query:
    """The devices with these numbers."""
    names, values = _listed("i", numbers)
    text = f"SELECT {COLUMNS} FROM device AS d WHERE d.org = :org AND d.id IN ({names})"
    return Query(text, {"org": org, **values})


def lives(org: int, devices: Sequence[int], most: int) -> Query:
    """The newest events that changed the status of these devices, so many of each."""
    if len(devices) == 1:  # read on the event loop, so that no more of them may be looked at than are shown
        of_one = f"WHERE org = :org AND subject_id = :device AND {_LIFE} ORDER BY id DESC LIMIT :most"
        return Query(
            f"SELECT {_EVENT_COLUMNS} FROM timeline {of_one}", {"org": org, "device": devices[0], "most": most}
        )
    names, values = _listed("d", devices)
    newest = (
        "SELECT id, row_number() OVER (PARTITION BY subject_id ORDER BY id DESC) AS place "
        f"FROM timeline WHERE org = :org AND subject_id IN ({names}) AND {_LIFE}"
    )
    text = (
        f"SELECT {_EVENT_COLUMNS} FROM timeline WHERE org = :org "
        f"AND id IN (SELECT n.id FROM ({newest}) AS n WHERE n.place <= :most)"
    )
    return Query(text, {"org": org, "most": most, **values})


def reporters(org: int, numbers: Sequence[int]) -> Query:
    """The devices with these numbers, as their traffic needs them."""
    names, values = _listed("i", numbers)
    columns = "d.id, d.ident, d.metric_schema, d.connected, d.last_seen, d.template, d.spoke_at, d.linked"
    return Query(f"SELECT {columns} FROM device AS d WHERE d.org = :org AND d.id IN ({names})", {"org": org, **values})


def known_series(org: int, series: Sequence[SeriesKey]) -> Query:
    """Those of these series that exist, with their numbers."""
    text, names = _known_series(_padded(len(series)))
    values: dict[str, Any] = {"org": org}
    for own, key in zip(names, itertools.chain(series, itertools.repeat(_NO_SERIES)), strict=False):
        values.update(zip(own, key, strict=True))
    return Query(text, values)


@functools.lru_cache
def _known_series(size: int) -> tuple[str, list[tuple[str, str, str]]]:
    """The statement for so many series, and the names of the parameters of each."""
    names = [(f"d{number}", f"e{number}", f"m{number}") for number in range(size)]
    keys = ", ".join(f"(:{device}, :{mode}, :{metric})" for device, mode, metric in names)
    # The first row says of which type all of them are.
    keys = keys.replace(":d0", "CAST(:d0 AS BIGINT)", 1)
    among = f"(s.device, s.mode, s.metric) IN (VALUES {keys})"
    if size == 1:
        among = "s.device = :d0 AND s.mode = :e0 AND s.metric = :m0"
    where = f"s.org = :org AND {among}"
    return f"SELECT s.device, s.mode, s.metric, s.id FROM series AS s WHERE {where}", names


def portions(wanted: Collection[V]) -> Iterator[list[V]]:
    """A list in parts that a statement can take."""
    whole = list(wanted)
    return (whole[start : start + _LISTED] for start in range(0, len(whole), _LISTED))


def _listed(prefix: str, numbers: Sequence[int]) -> tuple[str, dict[str, Any]]:
    """Parameters for a list of numbers, and what they bind.

    The list is padded to a power of two by one that is never there, so there are few texts to prepare.
    """
    size = _padded(len(numbers))
    names, text = _parameters(prefix, size)
    return text, dict(zip(names, [*numbers, *[0] * (size - len(numbers))], strict=True))


def _padded(size: int) -> int:
    return 1 << max(0, size - 1).bit_length()


@functools.lru_cache
def _parameters(prefix: str, size: int) -> tuple[list[str], str]:
    """Names of parameters, and how a statement lists them."""
    names = [f"{prefix}{number}" for number in range(size)]
    return names, ", ".join(f":{name}" for name in names)
