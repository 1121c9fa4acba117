"""PostgreSQL's side of filters: JSON in text columns, values by number. The page of what differs between engines."""

import re
from decimal import Decimal

import msgspec

from fleetroll.core.query import Value
from fleetroll.store.syntax import JsonValue, Syntax

_NAMED = re.compile(r"(?<!:):([a-z]\w*)")
# Strict, so that a path does not look into arrays, and silent where there is nothing at it.
_LEAF = "jsonb_path_query_first({column}::jsonb, CAST({path} AS text)::jsonpath, '{{}}', true)"
_TEXT = f"({_LEAF} #>> '{{{{}}}}')"
# What `times.sort_key` takes: the day is added to the first of its month, since not every month has every day.
_OFFSET = "(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])"
_WRITTEN = (
    "^(?!0000)[0-9][0-9][0-9][0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    f"([T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?{_OFFSET}?)?$"
)
_CLOCK = rf"regexp_replace(substr({_TEXT}, 11), '([.][0-9][0-9][0-9][0-9][0-9][0-9])[0-9]+', '\1')"
_ZONE = f"CASE WHEN {_TEXT} ~ '{_OFFSET}$' THEN '' ELSE 'Z' END"
_TIME = (
    f"(extract(epoch FROM CAST(substr({_TEXT}, 1, 8) || '01' || {_CLOCK} || {_ZONE} AS timestamptz) "
    f"+ (substr({_TEXT}, 9, 2)::int - 1) * INTERVAL '24 hours') * 1000000)::float8"
)
# As `query.digits`, of a number: a document's spelling of it is its value as a numeric.
_DIGITS = (
    f"CASE WHEN abs({_TEXT}::float8) BETWEEN 9007199254740992 AND 18446744073709551616 "
    f"THEN lpad(trunc({_TEXT}::numeric + CASE WHEN {_TEXT}::numeric < 0 THEN 100000000000000000000 ELSE 0 END)::text, "
    "20, '0') ELSE '' END"
)


def numbered(text: str) -> tuple[str, tuple[str, ...]]:
    """A statement with :name as $1 and so on, and the names in the order of their numbers."""
    names: dict[str, int] = {}
    numbered = _NAMED.sub(lambda found: f"${names.setdefault(found[1], len(names) + 1)}", text)
    return numbered, tuple(names)


def _json_path(keys: tuple[str, ...]) -> str:
    return "strict $" + "".join(f".{_json(key)}" for key in keys)


def _sort_path(steps: tuple[str | int, ...]) -> str:
    return "strict $" + "".join(map(_sort_step, steps))


def _sort_step(step: str | int) -> str:
    if isinstance(step, str):
        return f".{_json(step)}"
    return f"[{step}]" if step >= 0 else "[last]"


def _json_value(value: Value) -> object:
    # By its shortest decimal form, which is how a document spells it.
    return Decimal(repr(value)) if isinstance(value, int | float) else value


def _json_holding(keys: tuple[str, ...], value: Value, as_element: bool) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    held = repr(value) if is_number else _json(value)  # an integer of any size
    held = f"[{held}]" if as_element else held
    for key in reversed(keys):
        held = f"{{{_json(key)}:{held}}}"
    return held


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _of_type(type: str, condition: str) -> str:
    # A CASE, because nothing else guarantees that only values of the type are cast.
    return f"CASE {{type}} WHEN '{type}' THEN {condition} END"


SYNTAX = Syntax(
    json_path=_json_path,
    json_value=_json_value,
    json_holding=_json_holding,
    json_equal="{column}::jsonb @> CAST({value} AS text)::jsonb",
    json_leaf=JsonValue(f"jsonb_typeof({_LEAF})", _TEXT, "({column}::json #>> CAST({keys} AS text[]))"),
    json_element=JsonValue("json_typeof(l.value)", "(l.value #>> '{{}}')", "(l.value #>> '{{}}')"),
    json_elements=(
        "EXISTS (SELECT 1 FROM json_array_elements(CASE {type} WHEN 'array' "
        "THEN {column}::json #> CAST({keys} AS text[]) ELSE '[]' END) AS l WHERE {test})"
    ),
    json_text=_of_type("string", '{read} COLLATE "C" {compare} {value}'),
    json_like=_of_type("string", "{read} LIKE {value} ESCAPE '\\'"),
    json_number=_of_type("number", "{read}::numeric {compare} {value}"),
    # Its text tells an integer, which it spells in full, from a float, of which it is only the shortest spelling.
    json_large=_of_type(
        "number",
        "CASE WHEN {spelled} ~ '[.eE]' THEN CAST({spelled} AS float8) {compare} CAST({value} AS float8) "
        "ELSE CAST({spelled} AS numeric) {compare} CAST({digits} AS numeric) END",
    ),
    json_keys=list,
    json_digits=Decimal,
    is_large=lambda number: abs(number) >= 1 << 53,
    json_true="",
    json_false="",
    json_null="",
    json_present=f"{_LEAF} IS NOT NULL",
    json_predicate="{column}::jsonb @@ CAST({value} AS text)::jsonpath",
    json_without=lambda column, names: f"({column}::jsonb - '{{{','.join(names)}}}'::text[])",
    sort_path=_sort_path,
    sort_keys=(
        f"CASE coalesce(jsonb_typeof({_LEAF}), 'null') WHEN 'null' THEN 0 WHEN 'number' THEN 1 "
        "WHEN 'array' THEN 4 WHEN 'object' THEN 4 "
        f"WHEN 'string' THEN CASE WHEN {_TEXT} ~ '{_WRITTEN}' THEN 2 ELSE 3 END ELSE 3 END",
        f"CASE jsonb_typeof({_LEAF}) WHEN 'number' THEN {_TEXT}::float8 "
        f"WHEN 'string' THEN CASE WHEN {_TEXT} ~ '{_WRITTEN}' THEN {_TIME} ELSE 0.0 END ELSE 0.0 END",
        f"(CASE jsonb_typeof({_LEAF}) WHEN 'string' THEN {_TEXT} WHEN 'boolean' THEN {_TEXT} "
        f"WHEN 'number' THEN {_DIGITS} ELSE '' END) COLLATE \"C\"",
    ),
    # An index of trigrams, where there is one, serves LIKE itself.
    search_driver="",
    search_driver_id="",
    search_driver_match="",
    search_subquery="",
    search_match=lambda needle: None,
    unindexed="{column}",
    text_in_list="{column} = ANY ({value})",
    text_list=list,
    tail=tuple,
    link_like=(
        "EXISTS (SELECT 1 FROM {table} AS l "
        "WHERE l.org = d.org AND l.{name} LIKE {value} ESCAPE '\\' AND l.device = d.id)"
    ),
)
