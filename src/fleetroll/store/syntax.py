"""What differs between engines in the statements that filters become. Each engine has a page of it."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from fleetroll.core.query import Value
from fleetroll.store.connection import Row
from fleetroll.store.frequencies import Frequencies
from fleetroll.store.known_devices import KnownDevices
from fleetroll.store.match_counts import MatchCounts


class JsonValue(Struct, frozen=True):
    """A JSON value in a statement: its type, itself as the engine reads it, and as the document spells it."""

    type: str
    read: str
    spelled: str


class Syntax(Struct, frozen=True):
    """What differs between engines in a filter. Fragments take {column}, {path}, {value} and {compare}.

    - `json_holding` makes a document that holds nothing but a value, or an array of it, at a path, where an index finds
      documents that contain it; `json_equal` looks for it.
    - The tests of a JSON value, such as `json_text`, take its {type} and what is {read}: of `json_leaf`, what is at the
      path, or of each `json_element` of the array there. `json_elements` puts the {test} to these; it takes the {type}
      of what is at the path.
    - A number that `is_large` is not exact as a single value. `json_large` takes it as {spelled}, which needs {keys},
      the path once more (`json_keys`), and compares it with a {value} for floats, as `nearest` gives it, and with
      {digits} for integers (`json_digits`).
    - `json_without` makes a document without some of its own members, whose names are ours.
    - `link_like` takes {table} and {name} as well.
    - `tail` makes of the values of a row, in any thread, what `Connection.load` takes as its end.
    - With `spells_ranges` an index finds texts by their beginning only if the range is spelled out.
    - With `joins_tallies`, devices that match may be gathered by a join with the tallies that do. With `tallies_seen`
      there are tallies of when devices were last seen, by spans of time.
    - Up to the place `near`, looking up what a page by offset passes costs less than a join that avoids it.
    """

    json_path: Callable[[tuple[str, ...]], str]
    json_value: Callable[[Value], object]
    json_holding: Callable[[tuple[str, ...], Value, bool], str] | None
    json_equal: str
    json_leaf: JsonValue
    json_element: JsonValue
    json_elements: str
    json_text: str
    json_like: str
    json_number: str
    json_large: str
    json_keys: Callable[[tuple[str, ...]], object]
    json_digits: Callable[[int], object]
    is_large: Callable[[int | float], bool]
    json_true: str
    json_false: str
    json_null: str
    json_present: str
    json_predicate: str
    json_without: Callable[[str, tuple[str, ...]], str]
    sort_path: Callable[[tuple[str | int, ...]], str]
    sort_keys: tuple[str, str, str]
    search_driver: str
    search_driver_id: str
    search_driver_match: str
    search_subquery: str
    search_match: Callable[[str], str | None]
    unindexed: str
    text_in_list: str
    text_list: Callable[[Sequence[str]], object]
    link_like: str
    tail: Callable[[Row], Any]
    spells_ranges: bool = False
    joins_tallies: bool = False
    tallies_seen: bool = False
    near: int = 0
    frequencies: Frequencies | None = None
    match_counts: MatchCounts | None = None
    known: KnownDevices | None = None
