"""SQLite's side of filters: JSON paths, substring search by trigrams. The page of what differs between engines."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs

from fleetroll.core import jsonpath, limits, times
from fleetroll.core.query import Value, digits
from fleetroll.store.connection import Row
from fleetroll.store.frequencies import Frequencies
from fleetroll.store.known_devices import KnownDevices
from fleetroll.store.match_counts import MatchCounts
from fleetroll.store.syntax import JsonValue, Syntax

JSON_HOLDS = "json_holds"
TIME_PLACE = "time_place"
NUMBER_DIGITS = "number_digits"
# What SQLite calls for the operator LIKE. Only what documents hold is compared by this name: a text may be as long as
# a document, and comparing it with a long pattern takes a second.
_JSON_LIKE = "like("
# Called only for texts that begin as a date does: it is a Python function, and costly.
_TIME = f"CASE WHEN {{column}} ->> {{path}} GLOB '[0-9]*-[0-9]*-[0-9]*' THEN {TIME_PLACE}({{column}} ->> {{path}}) END"
# Likewise only for numbers that a float may not tell from their neighbours.
_DIGITS = (
    "CASE WHEN abs(CAST({column} ->> {path} AS REAL)) BETWEEN 9007199254740992.0 AND 18446744073709551616.0 "
    f"THEN {NUMBER_DIGITS}({{column}} -> {{path}}) ELSE '' END"
)
_BEYOND = limits.MAX_INTEGER + 1
_TRIGRAM = 3
_MOST_TRIGRAMS = 3


def _json_path(keys: tuple[str, ...]) -> str:
    return "$" + "".join(f".{msgspec.json.encode(key).decode()}" for key in keys)


def _json_value(value: Value) -> Value:
    # No document holds an integer below -2^63.
    return float(value) if isinstance(value, int) and value < limits.MIN_INTEGER else value


def _sort_path(steps: tuple[str | int, ...]) -> str:
    return "$" + "".join(map(_sort_step, steps))


def _sort_step(step: str | int) -> str:
    if isinstance(step, str):
        return f".{msgspec.json.encode(step).decode()}"
    return f"[{step}]" if step >= 0 else f"[#{step}]"


def _without(column: str, names: tuple[str, ...]) -> str:
    paths = ", ".join(f"'$.{name}'" for name in names)
    return f"json_remove({column}, {paths})"


def json_holds(*values: Any) -> bool:
    """The function behind `json_predicate`, which SQLite does not have: of a document and a predicate."""
    document, predicate = values
    return document is not None and jsonpath.holds(jsonpath.parse_canonical(predicate), _decode(document)) is True


def time_place(*values: Any) -> float | None:
    """The function behind `_TIME`: the sort key of a text."""
    return times.sort_key(values[0])


def number_digits(*values: Any) -> str:
    """The function behind `_DIGITS`: of a number as a document spells it."""
    return digits(_decode(values[0]))


_decode = msgspec.json.Decoder().decode


def is_laborious(statement: str) -> bool:
    """Whether a single step of a statement may take as long as thousands of others."""
    return JSON_HOLDS in statement or _JSON_LIKE in statement


def reads_documents(statement: str) -> bool:
    return "json_" in statement


class Trigrams:
    """Chooses what to ask the substring index for: the trigrams of a text that fewest devices have.

    A list of a million devices is slow to read through, however few of them the other trigrams leave over.
    """

    def __init__(self) -> None:
        self._devices: dict[str, int] = {}

    def learn(self, common: Sequence[Row]) -> None:
        """The most common trigrams, each with the number of its devices."""
        self._devices = {term: devices for term, devices in common}  # noqa: C416  # a row is a tuple of anything

    def match(self, needle: str) -> str | None:
        """The full-text query for a folded text; None if it is too short for a trigram.

        What is not known is taken for rare, and the end of a text for rarer than its beginning, as with serial numbers.
        """
        starts = range(len(needle) - _TRIGRAM, -1, -1)
        trigrams = dict.fromkeys(needle[start : start + _TRIGRAM] for start in starts)
        rarest = sorted(trigrams, key=lambda trigram: self._devices.get(trigram, 0))[:_MOST_TRIGRAMS]
        return " AND ".join('"' + trigram.replace('"', '""') + '"' for trigram in rarest) or None


SYNTAX = Syntax(
    json_path=_json_path,
    json_value=_json_value,
    json_holding=None,
    json_equal="",
    json_leaf=JsonValue("json_type({column}, {path})", "{column} ->> {path}", "{column} -> {keys}"),
    json_element=JsonValue("l.type", "l.value", "{column} -> ({path} || '[' || l.key || ']')"),
    json_elements="({type} = 'array' AND EXISTS (SELECT 1 FROM json_each({column}, {keys}) AS l WHERE {test}))",
    json_text="({type} = 'text' AND {read} {compare} {value})",
    json_like="({type} = 'text' AND " + _JSON_LIKE + "{value}, {read}, '\\'))",
    json_number="({type} IN ('integer', 'real') AND {read} {compare} {value})",
    # SQLite reads an integer of more than 63 bits as a float. As text it has 19 or 20 digits, and is never negative.
    json_large=(
        "CASE {type} WHEN 'real' THEN {read} {compare} {value} "
        "WHEN 'integer' THEN CASE typeof({read}) WHEN 'integer' THEN false {compare} true "
        "ELSE substr('0' || ({spelled}), -length({digits})) {compare} {digits} END END"
    ),
    json_keys=_json_path,
    json_digits=lambda number: f"{min(number, _BEYOND):020d}",
    is_large=lambda number: number >= 1 << 63,
    json_true="{type} = 'true'",
    json_false="{type} = 'false'",
    json_null="{type} = 'null'",
    json_present="json_type({column}, {path}) IS NOT NULL",
    json_predicate=JSON_HOLDS + "({column}, {value})",
    json_without=_without,
    sort_path=_sort_path,
    sort_keys=(
        "CASE coalesce(json_type({column}, {path}), 'null') WHEN 'null' THEN 0 WHEN 'integer' THEN 1 "
        "WHEN 'real' THEN 1 WHEN 'array' THEN 4 WHEN 'object' THEN 4 "
        f"WHEN 'text' THEN CASE WHEN {_TIME} IS NULL THEN 3 ELSE 2 END ELSE 3 END",
        "CASE json_type({column}, {path}) WHEN 'integer' THEN CAST({column} ->> {path} AS REAL) "
        "WHEN 'real' THEN CAST({column} ->> {path} AS REAL) "
        f"WHEN 'text' THEN coalesce({_TIME}, 0.0) ELSE 0.0 END",
        "CASE json_type({column}, {path}) WHEN 'text' THEN {column} ->> {path} WHEN 'true' THEN 'true' "
        f"WHEN 'false' THEN 'false' WHEN 'integer' THEN {_DIGITS} WHEN 'real' THEN {_DIGITS} ELSE '' END",
    ),
    search_driver="device_search",
    search_driver_id="device_search.rowid",
    search_driver_match="device_search MATCH {value} AND d.id = device_search.rowid",
    search_subquery="d.id IN (SELECT rowid FROM device_search WHERE device_search MATCH {value})",
    search_match=Trigrams().match,
    unindexed="+{column}",
    text_in_list="{column} IN (SELECT value FROM json_each({value}))",
    text_list=lambda texts: msgspec.json.encode(texts).decode(),
    tail=lambda values: msgspec.json.encode(values).decode()[1:],
    # In the device's own row: the index of links by name cannot find those of one device.
    link_like=(
        "{column} <> '[]' AND EXISTS (SELECT 1 FROM json_each({column}) AS l WHERE l.value LIKE {value} ESCAPE '\\')"
    ),
    spells_ranges=True,
    joins_tallies=True,
    tallies_seen=True,
    near=2_000,
)


def syntax(trigrams: Trigrams, match_counts: MatchCounts) -> Syntax:
    """SQLite's side of filters, choosing trigrams and conditions by what one store has."""
    own = {"frequencies": Frequencies(), "match_counts": match_counts, "known": KnownDevices()}
    return structs.replace(SYNTAX, search_match=trigrams.match, **own)
