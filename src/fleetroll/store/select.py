"""Pages and counts of devices as statements: the conditions of a filter, and the order of a list.

Where a page in order of id has a selective conjunct with an index of its own (a substring, a tag, an owner), that index
drives the join, so a page reads only its own rows; of several, a `Plan` says which.
"""

import functools
from collections.abc import Sequence

from msgspec import Struct

from fleetroll.core.fields import DEVICE_FIELDS
from fleetroll.core.query import Comparison, Filter, Operator, Page, Search, Sort, conjuncts, fields, fold
from fleetroll.store import rows
from fleetroll.store.conditions import COLUMN, ID, LINKS, Builder, is_member, leads, scalar
from fleetroll.store.connection import Query
from fleetroll.store.known_devices import MARK
from fleetroll.store.syntax import Syntax

COLUMNS = ", ".join(f"d.{column}" for column in rows.DEVICE)
_WEIGHT = " + ".join(f"coalesce(octet_length(d.{column}), 0)" for column in rows.DOCUMENTS)
_MARKS = ", ".join(f"d.{column}" for column in MARK)
TALLIED = ("status", "cohort", "hardware_version", "software_version")
# The tallies in the shape of devices, each standing for many, so that conditions on a device can be put to them.
_TALLIES = (
    "(SELECT org, status, nullif(cohort, '') AS cohort, nullif(hardware_version, '') AS hardware_version, "
    "nullif(software_version, '') AS software_version, devices FROM device_tally) AS d"
)
# Each tally that matches, with its devices: these are found by an index of the same columns, in order within each.
_ALIKE = (
    "(SELECT d.status, d.cohort, d.hardware_version, d.software_version FROM {tallies} WHERE {condition}) AS t "
    "CROSS JOIN device AS d ON d.org = :org AND d.status = t.status AND d.cohort IS t.cohort "
    "AND d.hardware_version IS t.hardware_version AND d.software_version IS t.software_version"
)
_SPAN = 32  # bits of a time that its span leaves out
_EVER = 1 << 62
_SEEN = (
    "SELECT coalesce((SELECT sum(t.devices) FROM device_seen_tally AS t "
    "WHERE t.org = :org AND t.span > :first AND t.span < :last), 0) "
    "+ (SELECT count(*) FROM device AS d WHERE d.org = :org AND d.last_seen >= :since AND d.last_seen < :second) "
    "+ (SELECT count(*) FROM device AS d WHERE d.org = :org AND d.last_seen >= :final AND d.last_seen <= :until)"
)
_NULLABLE = frozenset({"name", "kind", "last_seen", "dms"})
_SORTS = {field.name: COLUMN[field.name] for field in DEVICE_FIELDS.values() if field.sortable}
# A page by offset may be in an order without an index: then what matches is sorted. Owners are ordered by their text.
_UNSORTED = ("activated_at", "connected", "hardware_version", "owners", "software_version", "template")
_ORDERED = _SORTS | {name: COLUMN[name] for name in _UNSORTED}
_ABSENT = _NULLABLE | {"activated_at", "hardware_version", "software_version", "template"}


class Plan(Struct, frozen=True):
    """How devices are found: by the index of `driver`, if it is given, which has those that it finds in order of id.

    If `gathered`, all that match are found first and then sorted; else the index of the order is walked, if it has one.
    """

    driver: Comparison | Search | None = None
    gathered: bool = False


UNPLANNED = Plan()


@functools.lru_cache(maxsize=1024)
def marks(text: str) -> str:
    """A statement that lists devices, made to list their marks."""
    return text.replace(COLUMNS, _MARKS, 1)


@functools.lru_cache(maxsize=1024)
def weighed(text: str) -> str:
    """A statement that lists devices, made to list how many bytes their documents have.

    Neither engine reads a document for that.
    """
    return text.replace(COLUMNS, f"{_WEIGHT} AS weight")


def drivers(syntax: Syntax, filter: Filter | None) -> list[Comparison]:
    """The conditions that could each lead to the devices by an index; none where a search for a text does."""
    parts = conjuncts(filter)
    if any(isinstance(part, Search) and syntax.search_match(fold(part.text)) is not None for part in parts):
        return []
    return [part for part in parts if leads(part)]


def alone(syntax: Syntax, filter: Filter | None) -> Comparison | Search | None:
    """The filter, where it is one condition with an index of its own, in which devices are in order of id."""
    if isinstance(filter, Search):
        return filter if syntax.search_match(fold(filter.text)) is not None else None
    return filter if filter is not None and leads(filter) else None


def up_to(syntax: Syntax, org: int, part: Comparison, most: int) -> Query:
    """How many devices one of the `drivers` leads to, counted no further than `most`."""
    builder = Builder(syntax, org)
    if is_member(part):
        table, name = LINKS[part.field]
        found = f"SELECT 1 FROM {table} AS l WHERE l.org = :org AND l.{name} = :word"
    else:
        found = f"SELECT 1 FROM device AS d WHERE d.org = :org AND {COLUMN[part.field]} = :word"
    builder.values |= {"word": scalar(part), "most": most}
    return Query(f"SELECT count(*) FROM ({found} LIMIT :most) AS found", builder.values)


def pages(
    syntax: Syntax, org: int, filter: Filter | None, sort: Sort, page: Page, plan: Plan = UNPLANNED
) -> list[Query]:
    """The statements that make up one page.

    Where the sort field is nullable and the first gives fewer devices than the limit, there is a second, of those
    without the field. `both` are then asked at once.
    """
    if sort.field not in _NULLABLE:
        return [_page(syntax, org, filter, sort, page, None, plan)]
    if page.after and page.after[0] is None:
        return [_page(syntax, org, filter, sort, page, "IS NULL", plan)]
    present = _page(syntax, org, filter, sort, page, "IS NOT NULL", plan)
    return [present, _page(syntax, org, filter, sort, Page(page.limit), "IS NULL", plan)]


def stretch(
    syntax: Syntax, org: int, filter: Filter | None, after: int, until: int | None, limit: int, plan: Plan = UNPLANNED
) -> Query:
    """A page in order of id, of devices whose id is above `after` and, if `until` is given, no higher than that."""
    builder = Builder(syntax, org, "id", driver=plan.driver)
    source, id_column = builder.source(filter, driven=True)
    conditions = [builder.where(filter)]
    for column in dict.fromkeys((id_column, ID)):  # on both sides of a join, as neither engine infers it
        conditions += builder.between(column, after, until)
    return _listed(builder, source, conditions, (id_column,), Sort(), limit)


def both(present: Query, absent: Query) -> Query:
    """The two statements of a page as one. Each row begins with the number of its statement, and its place there.

    Between two, a device that gains or loses the field could be listed twice or not at all.
    """
    assert absent.values.items() <= present.values.items()
    first, second = (
        f"SELECT {part} AS part, row_number() OVER () AS place, s.* FROM ({query.text}) AS s"
        for part, query in enumerate((present, absent))
    )
    return Query(f"{first} UNION ALL {second} ORDER BY part, place LIMIT :limit", present.values)


def slices(
    syntax: Syntax, org: int, filter: Filter | None, sort: Sort, plan: Plan, *, near: bool = False
) -> list[Query]:
    """The statements that make up a page by offset, each to be given its `start` and `limit`.

    Where few devices match they are `gathered`, by the filter's index or from the tallies, and sorted; where many do,
    the list is walked in its order until enough have passed. A nullable sort field takes two statements, as in `pages`.
    `near` says that few are passed, so that a join which looks up the page's devices alone would not be worth it.
    """
    presences = ("IS NOT NULL", "IS NULL") if sort.field in _ABSENT else (None,)
    return [_slice(syntax, org, filter, sort, presence, plan, near=near) for presence in presences]


def _slice(
    syntax: Syntax, org: int, filter: Filter | None, sort: Sort, presence: str | None, plan: Plan, *, near: bool
) -> Query:
    driven = plan.gathered or plan.driver is not None
    builder = Builder(syntax, org, None if plan.gathered else sort.field, walked=not driven, driver=plan.driver)
    if plan.gathered and is_joined(syntax, filter):
        source, id_column = _ALIKE.format(tallies=_TALLIES, condition=builder.where(filter)), ID
        condition = "d.org = :org"
    else:
        source, id_column = builder.source(filter, driven=driven)
        condition = builder.where(filter)
    term = syntax.unindexed if plan.gathered else "{column}"
    if presence:
        condition += f" AND {term.format(column=_ORDERED[sort.field])} {presence}"
    order = ", ".join(term.format(column=key) for key in _keys(sort, presence, id_column))
    listed = f"FROM {source} WHERE {condition} ORDER BY {order} LIMIT :limit OFFSET :start"
    if near and not driven:
        return Query(f"SELECT {COLUMNS} {listed}", builder.values)
    text = (
        f"SELECT {COLUMNS} FROM (SELECT {id_column} AS id {listed}) AS s CROSS JOIN device AS d "
        f"WHERE d.org = :org AND d.id = s.id ORDER BY {', '.join(_keys(sort, presence, ID))}"
    )
    return Query(text, builder.values)


def _keys(sort: Sort, presence: str | None, id_column: str) -> list[str]:
    """The sort keys of a page by offset; the id decides between devices that are alike in all others."""
    last = id_column + _direction(sort)
    if sort.field == "id":
        return [last]
    first = [] if presence == "IS NULL" else [_ORDERED[sort.field] + _direction(sort)]
    return [*first, *(f"{_ORDERED[key.field]}{_direction(key)} NULLS LAST" for key in sort.then), last]


def _direction(sort: Sort) -> str:
    return " DESC" if sort.descending else ""


def count(syntax: Syntax, org: int, filter: Filter | None, plan: Plan = UNPLANNED) -> Query:
    builder = Builder(syntax, org, driver=plan.driver)
    source, number = _counted(builder, filter)
    return Query(f"SELECT {number} FROM {source} WHERE {builder.where(filter)}", builder.values)


def count_seen(syntax: Syntax, org: int, filter: Filter | None) -> Query | None:
    """As `count`, for a range of `last_seen` over several spans, of which only the first and the last are counted."""
    times = _between(filter) if syntax.tallies_seen and filter is not None else None
    if times is None:
        return None
    since, until = times
    first, last = since >> _SPAN, until >> _SPAN
    ends = {"since": since, "second": (first + 1) << _SPAN, "final": last << _SPAN, "until": until}
    return Query(_SEEN, {"org": org, "first": first, "last": last, **ends}) if first < last else None


def versioned(counting: Query | None = None) -> Query:
    """The version of the substring index in a snapshot, and what is counted in the same."""
    columns = "number" if counting is None else f"number, ({counting.text})"
    return Query(f"SELECT {columns} FROM device_search_version WHERE id = 1", counting.values if counting else {})


def searched(filter: Filter | None) -> str | None:
    """The folded text, where that is all that a filter asks for and devices can have it."""
    text = fold(filter.text) if isinstance(filter, Search) else "\n"
    return None if "\n" in text else text


def statuses(syntax: Syntax, org: int, filter: Filter | None, plan: Plan = UNPLANNED) -> Query:
    builder = Builder(syntax, org, driver=plan.driver)
    source, number = _counted(builder, filter)
    text = f"SELECT d.status, {number} FROM {source} WHERE {builder.where(filter)} GROUP BY d.status"
    return Query(text, builder.values)


def is_tallied(filter: Filter | None) -> bool:
    """Whether the tallies have all that the filter asks, so that counting looks at no devices."""
    return filter is None or set(fields(filter)) <= set(TALLIED)


def is_joined(syntax: Syntax, filter: Filter | None) -> bool:
    """Whether devices are gathered through the tallies, which can tell exactly those that match."""
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


def _counted(builder: Builder, filter: Filter | None) -> tuple[str, str]:
    """The FROM part and the number of what it gives: tallies, where they have all that the filter asks of a device."""
    if is_tallied(filter):
        return _TALLIES, "CAST(sum(d.devices) AS BIGINT)"
    return builder.source(filter, driven=True)[0], "count(*)"


def _page(
    syntax: Syntax, org: int, filter: Filter | None, sort: Sort, page: Page, presence: str | None, plan: Plan
) -> Query:
    builder = Builder(syntax, org, None if plan.gathered else sort.field, driver=plan.driver)
    source, id_column = builder.source(filter, driven=plan.gathered or sort.field == "id")
    if sort.path:
        return _page_by_path(builder, source, filter, sort, page)
    conditions = [builder.where(filter)]
    column = syntax.unindexed.format(column=_SORTS[sort.field]) if plan.gathered else _SORTS[sort.field]
    keys = (id_column,) if sort.field == "id" or presence == "IS NULL" else (column, id_column)
    if presence:
        conditions.append(f"{column} {presence}")
    if page.after:
        conditions.append(builder.beyond(keys, page.after, descending=sort.descending))
        if keys == (id_column,) != (ID,):
            # On both sides of the join, or PostgreSQL may merge them from the beginning of one.
            conditions.append(builder.beyond((ID,), page.after, descending=sort.descending))
    return _listed(builder, source, conditions, keys, sort, page.limit)


def _page_by_path(builder: Builder, source: str, filter: Filter | None, sort: Sort, page: Page) -> Query:
    """All that the filter finds, sorted; there is no index of what documents hold."""
    keys = (*builder.sort_keys(sort), ID)
    conditions = [builder.where(filter)]
    if page.after:
        conditions.append(builder.beyond(keys, page.after, descending=sort.descending))
    return _listed(builder, source, conditions, keys, sort, page.limit)


def _listed(builder: Builder, source: str, conditions: list[str], keys: Sequence[str], sort: Sort, limit: int) -> Query:
    order = ", ".join(key + _direction(sort) for key in keys)
    builder.values["limit"] = limit
    text = f"SELECT {COLUMNS} FROM {source} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT :limit"
    return Query(text, builder.values)
