"""Filters to statements: literal fragments chosen from tables, with every value bound.

Nothing from a request becomes part of a statement's text; the set of texts is finite but for how fragments nest.
What a filter means is defined by `core.query.matches`. Where a page in order of id has a selective conjunct with an
index of its own (a substring, a tag, an owner), that index drives the join, so a page reads only its own rows; of
several, a `Plan` says which.
"""

import functools
import itertools
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, TypeGuard, TypeVar

from msgspec import Struct

from fleetroll.core.faults import invalid
from fleetroll.core.fields import DEVICE_FIELDS, canonical_value
from fleetroll.core.model import DEFAULT_COHORT, SeriesKey
from fleetroll.core.query import (
    And,
    Comparison,
    FieldType,
    Filter,
    Folded,
    JsonPath,
    Not,
    Operator,
    Or,
    Page,
    Pattern,
    Search,
    Sort,
    SortPlace,
    Value,
    conjuncts,
    fields,
    fold,
)
from fleetroll.store.frequencies import Frequencies
from fleetroll.store.searches import Searches

V = TypeVar("V")
_LISTED = 512
COLUMNS = (
    "d.id, d.org, d.ident, d.name, d.kind, d.hardware_version, d.software, d.metadata, d.tags, d.owners, "
    "d.metric_schema, d.config, d.status, d.connected, d.last_seen, d.activated_at, d.created_at, d.updated_at, "
    "d.revision, d.extras, d.cohort, d.template, d.dms, d.identity, d.identity_due, d.metadata_times, d.token_version"
)
EVENT_COLUMNS = "id, org, at, type, subject, subject_id, name, actor, request, data, reported_at"
# What a change always writes: no index is about it, but for that of the time, which is another one anyway.
_UNINDEXED = (
    "metadata", "tags", "owners", "metric_schema", "config", "extras", "identity", "metadata_times", "token_version",
    "updated_at", "revision",
)  # fmt: skip
_STORED = {
    "ident": ("ident", "ident_key", "search"),
    "name": ("name", "search"),
    "kind": ("kind",),
    "hardware_version": ("hardware_version",),
    "software": ("software", "software_version"),
    "status": ("status",),
    "activated_at": ("activated_at",),
    "cohort": ("cohort",),
    "template": ("template",),
    "dms": ("dms", "dms_folded"),
    "identity_due": ("identity_due",),
}
INDEXED = tuple(_STORED)
TALLIED = ("status", "cohort", "hardware_version", "software_version")
# The tallies as if they were devices, each of them many: what is said of a device can be said of them.
_TALLIES = (
    "(SELECT org, status, nullif(cohort, '') AS cohort, nullif(hardware_version, '') AS hardware_version, "
    "nullif(software_version, '') AS software_version, devices FROM device_tally) AS d"
)
# Each of the tallies that match, with the devices of which it is one: in an index of theirs, and in order within it.
_ALIKE = (
    "(SELECT d.status, d.cohort, d.hardware_version, d.software_version FROM {tallies} WHERE {condition}) AS t "
    "CROSS JOIN device AS d ON d.org = :org AND d.status = t.status AND d.cohort IS t.cohort "
    "AND d.hardware_version IS t.hardware_version AND d.software_version IS t.software_version"
)
# Literal, so that a partial index can serve it.
_LIFE = "type IN ('device.identity_changed', 'device.decommissioned')"
_COLUMN = {field: f"d.{field}" for field in DEVICE_FIELDS} | {"ident": "d.ident_key"}
_ID = "d.id"
_SPAN = 32  # bits of a time that its span leaves out
_EVER = 1 << 62
_SEEN = (
    "SELECT coalesce((SELECT sum(t.devices) FROM device_seen_tally AS t "
    "WHERE t.org = :org AND t.span > :first AND t.span < :last), 0) "
    "+ (SELECT count(*) FROM device AS d WHERE d.org = :org AND d.last_seen >= :since AND d.last_seen < :second) "
    "+ (SELECT count(*) FROM device AS d WHERE d.org = :org AND d.last_seen >= :final AND d.last_seen <= :until)"
)
_WORDS = ("ident", "name", "kind", "status", "hardware_version", "software_version", "cohort", "dms")  # with an index
_NULLABLE = frozenset({"name", "kind", "last_seen", "dms"})
_SORTS = {field.name: _COLUMN[field.name] for field in DEVICE_FIELDS.values() if field.sortable}
# A page by place may be in an order without an index: then what matches is sorted. Owners are ordered by their text.
_UNSORTED = ("activated_at", "connected", "hardware_version", "owners", "software_version", "template")
_PLACES = _SORTS | {name: _COLUMN[name] for name in _UNSORTED}
_ABSENT = _NULLABLE | {"activated_at", "hardware_version", "software_version", "template"}

_SCALAR = {
    Operator.EQ: "{column} = {value}",
    Operator.LT: "{column} < {value}",
    Operator.LE: "{column} <= {value}",
    Operator.GT: "{column} > {value}",
    Operator.GE: "{column} >= {value}",
    Operator.LIKE: "{column} LIKE {value} ESCAPE '\\'",
    Operator.CONTAINS: "{column} LIKE {value} ESCAPE '\\'",
    Operator.EXISTS: "{column} IS NOT NULL",
}
# Literal, so that a partial index can serve it.
_BOOLEAN = {True: "{column} = true", False: "{column} = false"}
_LINKS = {"tags": ("device_tag", "tag"), "owners": ("device_owner", "owner")}
_LINK_EXACT = "EXISTS (SELECT 1 FROM {table} AS l WHERE l.org = d.org AND l.{name} = {value} AND l.device = d.id)"
_LINK_FOLDED = (
    "(EXISTS (SELECT 1 FROM {table} AS l WHERE l.org = d.org AND l.{name} = {value} AND l.device = d.id) OR "
    "EXISTS (SELECT 1 FROM {table} AS l WHERE l.org = d.org AND l.folded = {value} AND l.device = d.id))"
)
_LINK_ANY = "{column} <> '[]'"
_NO_SERIES: SeriesKey = (0, "", "")
_SURROGATES, _AFTER_SURROGATES = 0xD800, 0xE000
_RANGES = {Operator.LT, Operator.LE, Operator.GT, Operator.GE, Operator.LIKE, Operator.EXISTS}
_COMPARE = {Operator.EQ: "=", Operator.LT: "<", Operator.LE: "<=", Operator.GT: ">", Operator.GE: ">="}


class Syntax(Struct, frozen=True):
    """What differs between engines in a filter. Fragments take {column}, {path}, {value} and {compare}.

    `link_like` takes {table} and {name} as well. `json_holding` is a document that holds nothing but a value at a path,
    where an index finds what holds it. With `spells_ranges` an index finds what texts begin with only if the range is
    spelled. Up to the place `near` a page by place is dearer by a join than by what it passes, which is not looked up.
    """

    json_path: Callable[[tuple[str, ...]], str]
    json_value: Callable[[Value], object]
    json_holding: Callable[[tuple[str, ...], Value], str] | None
    json_equal: str
    json_text: str
    json_like: str
    json_number: str
    json_true: str
    json_false: str
    json_null: str
    json_present: str
    json_nonempty: str
    json_predicate: str
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
    spells_ranges: bool = False
    joins_tallies: bool = False
    tallies_seen: bool = False
    near: int = 0
    frequencies: Frequencies | None = None
    searches: Searches | None = None


class Query(Struct, frozen=True):
    """A statement and the values it binds."""

    text: str
    values: dict[str, Any]


class Plan(Struct, frozen=True):
    """How devices are found: by the index of `driver`, if it is given, which has those that it finds in order of id.

    What is `gathered` is sorted, where the order has an index of its own that would be walked otherwise.
    """

    driver: Comparison | Search | None = None
    gathered: bool = False


UNPLANNED = Plan()


def drivers(syntax: Syntax, filter: Filter | None) -> list[Comparison]:
    """The conditions of which each could lead to the devices by an index; none where a text that is searched does."""
    parts = conjuncts(filter)
    if any(isinstance(part, Search) and syntax.search_match(fold(part.text)) is not None for part in parts):
        return []
    return [part for part in parts if _leads(part)]


def alone(syntax: Syntax, filter: Filter | None) -> Comparison | Search | None:
    """The filter, where it is one condition with an index of its own, in which devices are in order of id."""
    if isinstance(filter, Search):
        return filter if syntax.search_match(fold(filter.text)) is not None else None
    return filter if filter is not None and _leads(filter) else None


def up_to(syntax: Syntax, org: int, part: Comparison, most: int) -> Query:
    """How many devices one of the `drivers` leads to, counted no further than `most`."""
    builder = _Builder(syntax, org)
    if _is_member(part):
        table, name = _LINKS[part.field]
        found = f"SELECT 1 FROM {table} AS l WHERE l.org = :org AND l.{name} = :word"
    else:
        found = f"SELECT 1 FROM device AS d WHERE d.org = :org AND {_COLUMN[part.field]} = :word"
    builder.values |= {"word": _scalar(part), "most": most}
    return Query(f"SELECT count(*) FROM ({found} LIMIT :most) AS found", builder.values)


def pages(
    syntax: Syntax, org: int, filter: Filter | None, sort: Sort, page: Page, plan: Plan = UNPLANNED
) -> list[Query]:
    """The statements that make up one page, each to be asked for what the ones before it left of the limit.

    A nullable sort field takes two: devices that have it, then those that have not.
    """
    if sort.field not in _NULLABLE:
        return [_page(syntax, org, filter, sort, page, None, plan)]
    if page.after and page.after[0] is None:
        return [_page(syntax, org, filter, sort, page, "IS NULL", plan)]
    present = _page(syntax, org, filter, sort, page, "IS NOT NULL", plan)
    return [present, _page(syntax, org, filter, sort, Page(page.limit), "IS NULL", plan)]


def slices(
    syntax: Syntax, org: int, filter: Filter | None, sort: Sort, plan: Plan, *, near: bool = False
) -> list[Query]:
    """The statements that make up a page by place, each to be given its `start` and `limit`.

    Where few devices match they are `gathered`, by the filter's index or from the tallies, and sorted; where many do,
    the list is walked in its order until enough have passed. A nullable sort field takes two statements, as in `pages`.
    `near` says that few are passed, so that finding the others first by themselves would not be worth a join.
    """
    presences = ("IS NOT NULL", "IS NULL") if sort.field in _ABSENT else (None,)
    return [_slice(syntax, org, filter, sort, presence, plan, near=near) for presence in presences]


def _slice(
    syntax: Syntax, org: int, filter: Filter | None, sort: Sort, presence: str | None, plan: Plan, *, near: bool
) -> Query:
    gathered = plan.gathered
    driven = gathered or plan.driver is not None
    builder = _Builder(syntax, org, None if gathered else sort.field, walked=not driven, driver=plan.driver)
    if gathered and is_joined(syntax, filter):
        source, id_column = _ALIKE.format(tallies=_TALLIES, condition=builder.where(filter)), _ID
        conditions = ["d.org = :org"]
    else:
        source, id_column = builder.source(filter, driven=driven)
        conditions = [builder.where(filter)]
    column, direction = _PLACES[sort.field], " DESC" if sort.descending else ""
    place = syntax.unindexed.format(column=column) if gathered else column
    if presence:
        conditions.append(f"{place} {presence}")
    keys = [] if sort.field == "id" or presence == "IS NULL" else [column + direction]
    if sort.field != "id":
        keys += [f"{_PLACES[key.field]}{' DESC' if key.descending else ''} NULLS LAST" for key in sort.then]
    order = ", ".join([*keys, f"d.id{direction}"])
    keys.append(id_column + direction)
    places = ", ".join(syntax.unindexed.format(column=key) if gathered else key for key in keys)
    listed = f"FROM {source} WHERE {' AND '.join(conditions)} ORDER BY {places} LIMIT :limit OFFSET :start"
    if near and not driven:
        return Query(f"SELECT {COLUMNS} {listed}", builder.values)
    text = (
        f"SELECT {COLUMNS} FROM (SELECT {id_column} AS id {listed}) AS s CROSS JOIN device AS d "
        f"WHERE d.org = :org AND d.id = s.id ORDER BY {order}"
    )
    return Query(text, builder.values)


def count(syntax: Syntax, org: int, filter: Filter | None, plan: Plan = UNPLANNED) -> Query:
    builder = _Builder(syntax, org, driver=plan.driver)
    source, number = _counted(builder, filter)
    return Query(f"SELECT {number} FROM {source} WHERE {builder.where(filter)}", builder.values)


def count_seen(syntax: Syntax, org: int, filter: Filter | None) -> Query | None:
    """The same for a range of `last_seen` over several spans, of which the first and the last alone are counted."""
    times = _between(filter) if syntax.tallies_seen and filter is not None else None
    if times is None:
        return None
    since, until = times
    first, last = since >> _SPAN, until >> _SPAN
    ends = {"since": since, "second": (first + 1) << _SPAN, "final": last << _SPAN, "until": until}
    return Query(_SEEN, {"org": org, "first": first, "last": last, **ends}) if first < last else None


def versioned(counting: Query | None = None) -> Query:
    """The version of the substring index in a view, and what is counted in the same."""
    columns = "number" if counting is None else f"number, ({counting.text})"
    return Query(f"SELECT {columns} FROM device_search_version WHERE id = 1", counting.values if counting else {})


def searched(filter: Filter | None) -> str | None:
    """The folded text, where that is all that a filter asks for and devices can have it."""
    text = fold(filter.text) if isinstance(filter, Search) else "\n"
    return None if "\n" in text else text


def statuses(syntax: Syntax, org: int, filter: Filter | None, plan: Plan = UNPLANNED) -> Query:
    builder = _Builder(syntax, org, driver=plan.driver)
    source, number = _counted(builder, filter)
    text = f"SELECT d.status, {number} FROM {source} WHERE {builder.where(filter)} GROUP BY d.status"
    return Query(text, builder.values)


def is_tallied(filter: Filter | None) -> bool:
    """Whether the tallies have all that the filter asks, so that counting looks at no devices."""
    return filter is None or set(fields(filter)) <= set(TALLIED)


def is_joined(syntax: Syntax, filter: Filter | None) -> bool:
    """Whether what is gathered comes from the tallies, which know of all devices that match which they are."""
    return syntax.joins_tallies and filter is not None and is_tallied(filter)


def is_covered(filter: Filter | None, sort: Sort) -> bool:
    """Whether the index of the order has all that the filter asks: then devices that are passed are not looked up."""
    covered = sort.field == "last_seen" and not sort.then
    return covered and (filter is None or set(fields(filter)) <= {*TALLIED, "last_seen"})


def _between(filter: Filter) -> tuple[int, int] | None:
    """The first and the last time of `last_seen`, where a filter asks for nothing else."""
    since, until = -_EVER, _EVER
    for part in conjuncts(filter):
        match part:
            case Comparison("last_seen", Operator.EXISTS):
                pass
            case Comparison("last_seen", Operator.GE | Operator.GT, int(at)):
                since = max(since, at + (part.operator is Operator.GT))
            case Comparison("last_seen", Operator.LE | Operator.LT, int(at)):
                until = min(until, at - (part.operator is Operator.LT))
            case _:
                return None
    return since, until


def _counted(builder: "_Builder", filter: Filter | None) -> tuple[str, str]:
    """The FROM part and the number of what it gives: tallies, where they have all that the filter asks of a device."""
    if is_tallied(filter):
        return _TALLIES, "CAST(sum(d.devices) AS BIGINT)"
    return builder.source(filter, driven=True)[0], "count(*)"


def by_idents(syntax: Syntax, org: int, keys: Sequence[str]) -> Query:
    """The devices with these identity keys, which may be a thousand."""
    is_one = syntax.text_in_list.format(column="d.ident_key", value=":keys")
    text = f"SELECT {COLUMNS} FROM device AS d WHERE d.org = :org AND {is_one}"
    return Query(text, {"org": org, "keys": syntax.text_list(keys)})


@functools.lru_cache(maxsize=1024)
def change(members: tuple[str, ...]) -> str:
    """The statement that writes a device over a known revision, of whose `INDEXED` members these have changed.

    Whatever a statement names is written anew in its indexes, changed or not.
    """
    columns = dict.fromkeys((*_UNINDEXED, *(column for member in members for column in _STORED[member])))
    written = ", ".join(f"{column} = :{column}" for column in columns)
    return f"UPDATE device SET {written} WHERE org = :org AND id = :device AND revision = :known RETURNING id"


def lives(org: int, devices: Sequence[int]) -> Query:
    """What happened to the status of these devices."""
    names, values = _listed("d", devices, 0)
    text = f"SELECT {EVENT_COLUMNS} FROM timeline WHERE org = :org AND subject_id IN ({names}) AND {_LIFE}"
    return Query(text, {"org": org, **values})


def reporters(org: int, numbers: Sequence[int]) -> Query:
    """The devices with these numbers, as their traffic needs them."""
    names, values = _listed("i", numbers, 0)
    columns = "d.id, d.ident, d.metric_schema, d.connected, d.last_seen"
    return Query(f"SELECT {columns} FROM device AS d WHERE d.org = :org AND d.id IN ({names})", {"org": org, **values})


def known_series(org: int, series: Sequence[SeriesKey]) -> Query:
    """Those there are of series, with their numbers."""
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
    return (whole[place : place + _LISTED] for place in range(0, len(whole), _LISTED))


def _listed(prefix: str, wanted: Sequence[Any], nothing: Any) -> tuple[str, dict[str, Any]]:
    """Parameters for a list of values, and what they bind.

    The list is padded to a power of two by what is never there, so there are few texts to prepare.
    """
    names, text = _parameters(prefix, _padded(len(wanted)))
    return text, dict(itertools.zip_longest(names, wanted, fillvalue=nothing))


def _padded(size: int) -> int:
    return 1 << max(0, size - 1).bit_length()


@functools.lru_cache
def _parameters(prefix: str, size: int) -> tuple[list[str], str]:
    """Names of parameters, and how a statement lists them."""
    names = [f"{prefix}{number}" for number in range(size)]
    return names, ", ".join(f":{name}" for name in names)


def _page(
    syntax: Syntax, org: int, filter: Filter | None, sort: Sort, page: Page, presence: str | None, plan: Plan
) -> Query:
    builder = _Builder(syntax, org, None if plan.gathered else sort.field, driver=plan.driver)
    source, id_column = builder.source(filter, driven=plan.gathered or sort.field == "id")
    conditions = [builder.where(filter)]
    if sort.path:
        return _page_by_path(builder, source, filter, sort, page)
    column = syntax.unindexed.format(column=_SORTS[sort.field]) if plan.gathered else _SORTS[sort.field]
    keys = (id_column,) if sort.field == "id" or presence == "IS NULL" else (column, id_column)
    if presence:
        conditions.append(f"{column} {presence}")
    if page.after:
        conditions.append(builder.beyond(keys, page.after, descending=sort.descending))
        if keys == (id_column,) != (_ID,):
            # Of both sides of the join, or PostgreSQL may merge them from the beginning of one.
            conditions.append(builder.beyond((_ID,), page.after, descending=sort.descending))
    direction = " DESC" if sort.descending else ""
    order = ", ".join(key + direction for key in keys)
    builder.values["limit"] = page.limit
    text = f"SELECT {COLUMNS} FROM {source} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT :limit"
    return Query(text, builder.values)


def _page_by_path(builder: "_Builder", source: str, filter: Filter | None, sort: Sort, page: Page) -> Query:
    """All that the filter finds, sorted; there is no index of what documents hold."""
    keys = (*builder.sort_keys(sort), "d.id")
    conditions = [builder.where(filter)]
    if page.after:
        conditions.append(builder.beyond(keys, page.after, descending=sort.descending))
    order = ", ".join(key + " DESC" if sort.descending else key for key in keys)
    builder.values["limit"] = page.limit
    text = f"SELECT {COLUMNS} FROM {source} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT :limit"
    return Query(text, builder.values)


class _Builder:
    """Collects bound values while the fragments of one statement are chosen."""

    def __init__(
        self,
        syntax: Syntax,
        org: int,
        order: str | None = None,
        *,
        walked: bool = False,
        driver: Comparison | Search | None = None,
    ) -> None:
        self._syntax = syntax
        self._order = order
        self._walked = walked
        self._wanted = driver
        self._chosen: Filter | None = None
        self._driver: Filter | None = None
        self._driver_condition = ""
        self.values: dict[str, Any] = {"org": org}

    def source(self, filter: Filter | None, *, driven: bool) -> tuple[str, str]:
        """The FROM part, and the column that holds the device's id."""
        parts = conjuncts(filter) if driven else ()
        for part in [self._wanted] if driven and self._wanted else parts:
            if isinstance(part, Search) and (match := self._syntax.search_match(fold(part.text))) is not None:
                self._driver_condition = self._syntax.search_driver_match.format(value=self._bind(match))
                return f"{self._syntax.search_driver} CROSS JOIN device AS d", self._syntax.search_driver_id
            if _is_member(part):
                table, name = _LINKS[part.field]
                self._driver = part
                self._driver_condition = f"l.org = :org AND l.{name} = {self._bind(part.value)} AND d.id = l.device"
                return f"{table} AS l CROSS JOIN device AS d", "l.device"
        self._chosen = self._wanted if driven else None
        return "device AS d", _ID

    def where(self, filter: Filter | None) -> str:
        conditions = [self._driver_condition] if self._driver_condition else []
        conditions.append("d.org = :org")
        conditions += [self._fragment(part) for part in conjuncts(filter) if part is not self._driver]
        return " AND ".join(conditions)

    def sort_keys(self, sort: Sort) -> list[str]:
        path = self._bind(self._syntax.sort_path(sort.path))
        return [key.format(column=f"d.{sort.field}", path=path) for key in self._syntax.sort_keys]

    def beyond(self, keys: tuple[str, ...], after: tuple[SortPlace, int], *, descending: bool) -> str:
        """The keyset condition: rows that follow the last one seen."""
        sign = "<" if descending else ">"
        if len(keys) == 1:
            return f"{keys[0]} {sign} {self._bind(after[1])}"
        place = after[0] if isinstance(after[0], tuple | list) else after[:1]
        values = ", ".join(self._bind(value) for value in (*place, after[1]))
        return f"({', '.join(keys)}) {sign} ({values})"

    def _bind(self, value: object) -> str:
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"

    def _fragment(self, filter: Filter) -> str:
        match filter:
            case And():
                return f"({' AND '.join(map(self._fragment, filter.parts))})"
            case Or():
                return self._among(filter.parts) or f"({' OR '.join(map(self._fragment, filter.parts))})"
            case Not():
                # A comparison with an absent value is NULL here and false in `matches`; this makes them agree.
                return f"({self._fragment(filter.part)}) IS NOT TRUE"
            case Search():
                return self._search(fold(filter.text))
            case JsonPath():
                column, value = _COLUMN[filter.field], self._bind(filter.text)
                return self._syntax.json_predicate.format(column=column, value=value)
            case Comparison():
                return self._comparison(filter)

    def _among(self, parts: tuple[Filter, ...]) -> str | None:
        """Several values of one column as one list, which an index serves; None for any other alternatives."""
        first = parts[0]
        if not isinstance(first, Comparison) or not all(_is_word_of(first.field, part) for part in parts):
            return None
        values = ", ".join(self._bind(_scalar(part)) for part in parts if isinstance(part, Comparison))
        return f"{self._column(first)} IN ({values})"

    def _search(self, needle: str) -> str:
        if "\n" in needle:
            return "false"  # it would match across the two halves
        itself = f"d.search LIKE {self._bind('%' + _escape(needle) + '%')} ESCAPE '\\'"
        match = None if self._driver_condition else self._syntax.search_match(needle)
        if match is None:
            return itself
        return f"({self._syntax.search_subquery.format(value=self._bind(match))} AND {itself})"

    def _comparison(self, comparison: Comparison) -> str:
        kind = DEVICE_FIELDS[comparison.field].type
        if kind is FieldType.DOCUMENT:
            return self._document(comparison)
        if kind is FieldType.SET:
            return self._link(comparison)
        if comparison.operator is Operator.CONTAINS and comparison.field in _SEARCHED:
            return self._searched(comparison)
        if isinstance(comparison.value, Folded):
            return self._folded(comparison.field, comparison.operator, comparison.value.text)
        if comparison.field == "cohort":
            return self._cohort(comparison)
        if kind is FieldType.BOOLEAN and comparison.operator is Operator.EQ:
            return _BOOLEAN[bool(comparison.value)].format(column=_COLUMN[comparison.field])
        if comparison.operator is Operator.EXISTS:
            return _SCALAR[Operator.EXISTS].format(column=self._column(comparison))
        column, value = self._column(comparison), self._bind(_scalar(comparison))
        found = _SCALAR[comparison.operator].format(column=column, value=value)
        return " AND ".join([*self._range(column, comparison), found])

    def _range(self, column: str, comparison: Comparison) -> list[str]:
        """Where in an index the texts are that begin as a pattern does, if that has to be said."""
        pattern = canonical_value(comparison)
        if not self._syntax.spells_ranges or not isinstance(pattern, Pattern) or not pattern.parts[0]:
            return []
        bounds = [f"{column} >= {self._bind(pattern.parts[0])}"]
        if beyond := _following(pattern.parts[0]):
            bounds.append(f"{column} < {self._bind(beyond)}")
        return bounds

    def _cohort(self, comparison: Comparison) -> str:
        """Devices of the default cohort have none; the condition is one on the column, whatever it asks."""
        column = self._column(comparison)
        if comparison.operator is Operator.EQ:
            return (
                f"{column} IS NULL"
                if comparison.value == DEFAULT_COHORT
                else f"{column} = {self._bind(comparison.value)}"
            )
        column = f"coalesce({_COLUMN['cohort']}, {self._bind(DEFAULT_COHORT)})"
        value = self._bind(_scalar(comparison)) if comparison.operator is not Operator.EXISTS else ""
        return _SCALAR[comparison.operator].format(column=column, value=value)

    def _column(self, comparison: Comparison) -> str:
        # An index of a range gives its rows in its own order. For a page in another order all of them would be sorted,
        # for every page of a long walk again; in the order of the page, only those that are read are looked at.
        column = _COLUMN[comparison.field]
        leads_elsewhere = self._walked or (self._order and comparison.operator in _RANGES)
        if (comparison.field != self._order and leads_elsewhere) or self._chosen not in {None, comparison}:
            return self._syntax.unindexed.format(column=column)
        return column

    def _searched(self, comparison: Comparison) -> str:
        if comparison.value in {"", Folded("")}:
            return _SCALAR[Operator.EXISTS].format(column=_COLUMN[comparison.field])
        text = comparison.value.text if isinstance(comparison.value, Folded) else fold(str(comparison.value))
        pattern = _SEARCHED[comparison.field].format(_escape(text))
        return f"d.search LIKE {self._bind(pattern)} ESCAPE '\\'"

    def _folded(self, field: str, operator: Operator, text: str) -> str:
        """Equality or containment without case. What is stored folded is so only where folding made a difference."""
        if field == "ident":
            return f"d.search LIKE {self._bind(_WHOLE.format(_escape(text)))} ESCAPE '\\'"
        if operator is Operator.EQ:
            value = self._bind(text)
            return f"(d.{field} = {value} OR d.{field}_folded = {value})"
        return f"coalesce(d.{field}_folded, d.{field}) LIKE {self._bind(f'%{_escape(text)}%')} ESCAPE '\\'"

    def _link(self, comparison: Comparison) -> str:
        table, name = _LINKS[comparison.field]
        if comparison.operator is Operator.EXISTS:
            return _LINK_ANY.format(column=_COLUMN[comparison.field])
        if isinstance(comparison.value, Folded):
            return _LINK_FOLDED.format(table=table, name=name, value=self._bind(comparison.value.text))
        if isinstance(comparison.value, Pattern):
            column, value = _COLUMN[comparison.field], self._bind(_like(comparison.value))
            return self._syntax.link_like.format(table=table, name=name, column=column, value=value)
        return _LINK_EXACT.format(table=table, name=name, value=self._bind(comparison.value))

    def _document(self, comparison: Comparison) -> str:
        syntax, column, operator = self._syntax, _COLUMN[comparison.field], comparison.operator
        if operator is Operator.EXISTS and not comparison.path:
            return syntax.json_nonempty.format(column=column)
        keys = comparison.path
        if operator is Operator.HAS:
            if not isinstance(comparison.value, str):
                raise invalid("invalid_filter", "A document is asked for a key by its exact name.", "filter")
            keys = (*keys, comparison.value)
        if operator is Operator.EQ and syntax.json_holding is not None:
            held = self._bind(syntax.json_holding(keys, comparison.value))
            return syntax.json_equal.format(column=column, value=held)
        path = self._bind(syntax.json_path(keys))
        if operator in {Operator.EXISTS, Operator.HAS}:
            return syntax.json_present.format(column=column, path=path)
        return self._leaf(comparison, column, path)

    def _leaf(self, comparison: Comparison, column: str, path: str) -> str:
        syntax, value = self._syntax, comparison.value
        if value is None or isinstance(value, bool):
            fragment = {None: syntax.json_null, True: syntax.json_true, False: syntax.json_false}[value]
            return fragment.format(column=column, path=path)
        if comparison.operator in {Operator.LIKE, Operator.CONTAINS}:
            return syntax.json_like.format(column=column, path=path, value=self._bind(_scalar(comparison)))
        fragment = syntax.json_text if isinstance(value, str) else syntax.json_number
        compare = _COMPARE[comparison.operator]
        return fragment.format(column=column, path=path, value=self._bind(syntax.json_value(value)), compare=compare)


# The two halves of `search` are told apart by the line end between them.
_SEARCHED = {"ident": "%{}%\n%", "name": "%\n%{}%"}
_WHOLE = "{}\n%"


def _is_member(part: Filter) -> TypeGuard[Comparison]:
    return (
        isinstance(part, Comparison)
        and part.field in _LINKS
        and part.operator is Operator.HAS
        and isinstance(part.value, str)
    )


def _leads(part: Filter) -> TypeGuard[Comparison]:
    """Whether there is an index of what has that, in which devices are in order of id."""
    return _is_member(part) or _is_indexed(part)


def _is_indexed(part: Filter) -> TypeGuard[Comparison]:
    return _is_word(part) and part.field in _WORDS


def _is_word_of(field: str, part: Filter) -> bool:
    return _is_word(part) and part.field == field and DEVICE_FIELDS[field].type is FieldType.TEXT


def _is_word(part: Filter) -> TypeGuard[Comparison]:
    """Whether a column must have exactly that text; devices of the default cohort have none."""
    return (
        isinstance(part, Comparison)
        and part.operator is Operator.EQ
        and isinstance(part.value, str)
        and (part.field, part.value) != ("cohort", DEFAULT_COHORT)
    )


def _scalar(comparison: Comparison) -> object:
    value = canonical_value(comparison)
    if isinstance(value, Pattern):
        return _like(value)
    return f"%{_escape(str(value))}%" if comparison.operator is Operator.CONTAINS else value


def _like(pattern: Pattern) -> str:
    return "%".join(map(_escape, pattern.parts))


def _following(start: str) -> str:
    """The least text that is greater than all that begin so, by code points; empty if there is none."""
    for end in range(len(start), 0, -1):
        following = ord(start[end - 1]) + 1
        if following <= sys.maxunicode:
            return start[: end - 1] + chr(_AFTER_SURROGATES if following == _SURROGATES else following)
    return ""


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
