"""Conditions of statements: what a filter asks, in fragments chosen from tables, with every value bound.

Nothing from a request becomes part of a statement's text; the set of texts is finite but for how fragments nest.
What a filter means is defined by `core.query.matches`.
"""

import math
import sys
from typing import Any, TypeGuard

from fleetroll.core.faults import invalid
from fleetroll.core.fields import DEVICE_FIELDS, canonical_value
from fleetroll.core.model import DEFAULT_COHORT
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
    Pattern,
    Search,
    Sort,
    SortValue,
    Value,
    conjuncts,
    fold,
)
from fleetroll.store.syntax import Syntax

COLUMN = {field: f"d.{field}" for field in DEVICE_FIELDS} | {"ident": "d.ident_key"}
ID = "d.id"
LINKS = {"tags": ("device_tag", "tag"), "owners": ("device_owner", "owner")}
_WORDS = ("ident", "name", "kind", "status", "hardware_version", "software_version", "cohort", "dms")  # with an index
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
_LINK_EXACT = "EXISTS (SELECT 1 FROM {table} AS l WHERE l.org = d.org AND l.{name} = {value} AND l.device = d.id)"
_LINK_FOLDED = f"({_LINK_EXACT} OR {_LINK_EXACT.replace('{name}', 'folded')})"
_LINK_ANY = "{column} <> '[]'"
_RANGES = {Operator.LT, Operator.LE, Operator.GT, Operator.GE, Operator.LIKE, Operator.EXISTS}
_EQUALITY = {Operator.EQ, Operator.ELEMENT}
_COMPARE = {
    Operator.EQ: "=",
    Operator.ELEMENT: "=",
    Operator.LT: "<",
    Operator.LE: "<=",
    Operator.GT: ">",
    Operator.GE: ">=",
}
_SURROGATES, _AFTER_SURROGATES = 0xD800, 0xE000
# The two halves of `search` are told apart by the line end between them.
_SEARCHED = {"ident": "%{}%\n%", "name": "%\n%{}%"}
_WHOLE = "{}\n%"


class Builder:
    """Collects bound values while the fragments of one statement are chosen.

    `order` is the field in whose order devices are listed, None where that does not matter. With `walked`, the index of
    the order leads to them, and that of no condition. `driver` is the condition of a plan whose index leads to them.
    """

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
        self._planned = driver
        self._chosen: Filter | None = None  # `driver`, where its index is one of the devices' own: no other is used
        self._joined: Filter | None = None  # the condition that is met by a join with its links alone
        self._join_condition = ""
        self.values: dict[str, Any] = {"org": org}

    def source(self, filter: Filter | None, *, driven: bool) -> tuple[str, str]:
        """The FROM part, and the column that holds the device's id."""
        parts = conjuncts(filter) if driven else ()
        for part in [self._planned] if driven and self._planned else parts:
            if isinstance(part, Search) and (match := self._syntax.search_match(fold(part.text))) is not None:
                self._join_condition = self._syntax.search_driver_match.format(value=self._bind(match))
                return f"{self._syntax.search_driver} CROSS JOIN device AS d", self._syntax.search_driver_id
            if is_member(part):
                table, name = LINKS[part.field]
                self._joined = part
                self._join_condition = f"l.org = :org AND l.{name} = {self._bind(part.value)} AND d.id = l.device"
                return f"{table} AS l CROSS JOIN device AS d", "l.device"
        self._chosen = self._planned if driven else None
        return "device AS d", ID

    def where(self, filter: Filter | None) -> str:
        conditions = [self._join_condition] if self._join_condition else []
        conditions.append("d.org = :org")
        conditions += [self._fragment(part) for part in conjuncts(filter) if part is not self._joined]
        return " AND ".join(conditions)

    def sort_keys(self, sort: Sort) -> list[str]:
        path = self._bind(self._syntax.sort_path(sort.path))
        return [key.format(column=f"d.{sort.field}", path=path) for key in self._syntax.sort_keys]

    def beyond(self, keys: tuple[str, ...], after: tuple[SortValue, int], *, descending: bool) -> str:
        """The keyset condition: rows that follow the last one seen."""
        sign = "<" if descending else ">"
        if len(keys) == 1:
            return f"{keys[0]} {sign} {self._bind(after[1])}"
        key = after[0] if isinstance(after[0], tuple | list) else after[:1]
        values = ", ".join(self._bind(value) for value in (*key, after[1]))
        return f"({', '.join(keys)}) {sign} ({values})"

    def between(self, column: str, after: int, until: int | None) -> list[str]:
        """The range of what is above `after`, and no higher than `until`."""
        above = f"{column} > {self._bind(after)}"
        return [above] if until is None else [above, f"{column} <= {self._bind(until)}"]

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
                document, value = COLUMN[filter.field], self._bind(filter.text)
                seen = self._syntax.json_without(document, filter.hidden) if filter.hidden else document
                return self._syntax.json_predicate.format(column=seen, value=value)
            case Comparison():
                return self._comparison(filter)

    def _among(self, parts: tuple[Filter, ...]) -> str | None:
        """Several values of one column as one list, which an index serves; None for any other alternatives."""
        first = parts[0]
        if not isinstance(first, Comparison) or not all(_is_word_of(first.field, part) for part in parts):
            return None
        values = ", ".join(self._bind(scalar(part)) for part in parts if isinstance(part, Comparison))
        return f"{self._column(first)} IN ({values})"

    def _search(self, needle: str) -> str:
        if "\n" in needle:
            return "false"  # it would match across the two halves
        itself = f"d.search LIKE {self._bind('%' + _escape(needle) + '%')} ESCAPE '\\'"
        match = None if self._join_condition else self._syntax.search_match(needle)
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
            return _BOOLEAN[bool(comparison.value)].format(column=COLUMN[comparison.field])
        if comparison.operator is Operator.EXISTS:
            return _SCALAR[Operator.EXISTS].format(column=self._column(comparison))
        column, value = self._column(comparison), self._bind(scalar(comparison))
        found = _SCALAR[comparison.operator].format(column=column, value=value)
        return " AND ".join([*self._range(column, comparison), found])

    def _range(self, column: str, comparison: Comparison) -> list[str]:
        """The range of an index with the texts that begin as a pattern does, for engines that need it spelled."""
        pattern = canonical_value(comparison)
        if not self._syntax.spells_ranges or not isinstance(pattern, Pattern) or not pattern.parts[0]:
            return []
        bounds = [f"{column} >= {self._bind(pattern.parts[0])}"]
        if beyond := _following(pattern.parts[0]):
            bounds.append(f"{column} < {self._bind(beyond)}")
        return bounds

    def _cohort(self, comparison: Comparison) -> str:
        """Devices of the default cohort have none in the column, which every condition takes into account."""
        column = self._column(comparison)
        if comparison.operator is Operator.EQ:
            return (
                f"{column} IS NULL"
                if comparison.value == DEFAULT_COHORT
                else f"{column} = {self._bind(comparison.value)}"
            )
        column = f"coalesce({COLUMN['cohort']}, {self._bind(DEFAULT_COHORT)})"
        value = self._bind(scalar(comparison)) if comparison.operator is not Operator.EXISTS else ""
        return _SCALAR[comparison.operator].format(column=column, value=value)

    def _column(self, comparison: Comparison) -> str:
        # An index of a range gives its rows in its own order. For a page in another order all of them would be sorted,
        # for every page of a long walk again; in the order of the page, only those that are read are looked at.
        column = COLUMN[comparison.field]
        leads_elsewhere = self._walked or (self._order and comparison.operator in _RANGES)
        if (comparison.field != self._order and leads_elsewhere) or self._chosen not in {None, comparison}:
            return self._syntax.unindexed.format(column=column)
        return column

    def _searched(self, comparison: Comparison) -> str:
        if comparison.value in {"", Folded("")}:
            return _SCALAR[Operator.EXISTS].format(column=COLUMN[comparison.field])
        text = comparison.value.text if isinstance(comparison.value, Folded) else fold(str(comparison.value))
        pattern = _SEARCHED[comparison.field].format(_escape(text))
        return f"d.search LIKE {self._bind(pattern)} ESCAPE '\\'"

    def _folded(self, field: str, operator: Operator, text: str) -> str:
        """Equality or containment without case. A folded text is stored only where folding made a difference."""
        if field == "ident":
            return f"d.search LIKE {self._bind(_WHOLE.format(_escape(text)))} ESCAPE '\\'"
        if operator is Operator.EQ:
            value = self._bind(text)
            return f"(d.{field} = {value} OR d.{field}_folded = {value})"
        return f"coalesce(d.{field}_folded, d.{field}) LIKE {self._bind(f'%{_escape(text)}%')} ESCAPE '\\'"

    def _link(self, comparison: Comparison) -> str:
        table, name = LINKS[comparison.field]
        if comparison.operator is Operator.EXISTS:
            return _LINK_ANY.format(column=COLUMN[comparison.field])
        if isinstance(comparison.value, Folded):
            return _LINK_FOLDED.format(table=table, name=name, value=self._bind(comparison.value.text))
        if isinstance(comparison.value, Pattern):
            column, value = COLUMN[comparison.field], self._bind(_like(comparison.value))
            return self._syntax.link_like.format(table=table, name=name, column=column, value=value)
        return _LINK_EXACT.format(table=table, name=name, value=self._bind(comparison.value))

    def _document(self, comparison: Comparison) -> str:
        syntax, column, operator = self._syntax, COLUMN[comparison.field], comparison.operator
        if operator is Operator.EXISTS and not comparison.path:
            return f"{column} <> '{{}}'"
        keys = comparison.path
        if operator is Operator.HAS:
            if not isinstance(comparison.value, str):
                raise invalid("invalid_filter", "A document's key must be named exactly, without a wildcard.", "filter")
            keys = (*keys, comparison.value)
        if operator in {Operator.EXISTS, Operator.HAS}:
            return syntax.json_present.format(column=column, path=self._bind(syntax.json_path(keys)))
        if operator not in _EQUALITY or isinstance(comparison.value, Pattern) or syntax.json_holding is None:
            return self._tested(comparison, column)
        large = self._large_number(comparison)
        if large is None:
            return self._holding(comparison, column, comparison.value)
        # The index finds what is spelled as the integer or as the float; few of them are another number.
        either = " OR ".join(self._holding(comparison, column, spelled) for spelled in (int(large), float(large)))
        return f"(({either}) AND {self._tested(comparison, column)})"

    def _holding(self, comparison: Comparison, column: str, value: Value) -> str:
        assert self._syntax.json_holding is not None
        held = self._syntax.json_holding(comparison.path, value, comparison.operator is Operator.ELEMENT)
        return self._syntax.json_equal.format(column=column, value=self._bind(held))

    def _large_number(self, comparison: Comparison) -> int | float | None:
        """The number that it compares with, if a float cannot tell that from its neighbours."""
        value = number(comparison)
        return value if value is not None and self._syntax.is_large(value) else None

    def _tested(self, comparison: Comparison, column: str) -> str:
        """The comparison put to what is at the path, or to each element of the array there."""
        syntax, is_of_elements = self._syntax, comparison.operator is Operator.ELEMENT
        at = {"column": column, "path": self._bind(syntax.json_path(comparison.path))}
        large = self._large_number(comparison)
        if is_of_elements or large is not None:
            at["keys"] = self._bind(syntax.json_keys(comparison.path))
        one = syntax.json_element if is_of_elements else syntax.json_leaf
        seen = {"type": one.type.format(**at), "read": one.read.format(**at)}
        if large is None:
            test = self._test(comparison, seen)
        else:
            test = self._test_large(comparison.operator, large, {**seen, "spelled": one.spelled.format(**at)})
        if not is_of_elements:
            return test
        return syntax.json_elements.format(**at, type=syntax.json_leaf.type.format(**at), test=test)

    def _test_large(self, operator: Operator, value: int | float, seen: dict[str, str]) -> str:
        return self._syntax.json_large.format(
            **seen,
            value=self._bind(nearest(value, operator)),
            digits=self._bind(self._syntax.json_digits(int(value))),
            compare=_COMPARE[operator],
        )

    def _test(self, comparison: Comparison, seen: dict[str, str]) -> str:
        syntax, value = self._syntax, comparison.value
        if value is None or isinstance(value, bool):
            return {None: syntax.json_null, True: syntax.json_true, False: syntax.json_false}[value].format(**seen)
        if comparison.operator is Operator.CONTAINS or isinstance(value, Pattern):
            return syntax.json_like.format(**seen, value=self._bind(scalar(comparison)))
        fragment = syntax.json_text if isinstance(value, str) else syntax.json_number
        compare = _COMPARE[comparison.operator]
        return fragment.format(**seen, value=self._bind(syntax.json_value(value)), compare=compare)


def is_member(part: Filter) -> TypeGuard[Comparison]:
    """Whether devices must have exactly a given tag or owner, which a table of links finds."""
    return (
        isinstance(part, Comparison)
        and part.field in LINKS
        and part.operator is Operator.HAS
        and isinstance(part.value, str)
    )


def leads(part: Filter) -> TypeGuard[Comparison]:
    """Whether there is an index of what meets the condition, in which devices are in order of id."""
    return is_member(part) or _is_indexed(part)


def _is_indexed(part: Filter) -> TypeGuard[Comparison]:
    return _is_word(part) and part.field in _WORDS


def _is_word_of(field: str, part: Filter) -> bool:
    return _is_word(part) and part.field == field and DEVICE_FIELDS[field].type is FieldType.TEXT


def _is_word(part: Filter) -> TypeGuard[Comparison]:
    """Whether a column must have exactly a given text; devices of the default cohort have none."""
    return (
        isinstance(part, Comparison)
        and part.operator is Operator.EQ
        and isinstance(part.value, str)
        and (part.field, part.value) != ("cohort", DEFAULT_COHORT)
    )


def number(comparison: Comparison) -> int | float | None:
    """The number that a comparison compares with; None if it compares with none."""
    if comparison.operator not in _COMPARE or isinstance(comparison.value, bool):
        return None
    return comparison.value if isinstance(comparison.value, int | float) else None


def nearest(value: int | float, operator: Operator) -> float | None:
    """The float that every float compares with as with `value`; None for equality where no float equals that."""
    near = float(value)
    if near == value:
        return near
    if operator in _EQUALITY:
        return None
    is_above = near > value
    if operator in {Operator.LT, Operator.GE}:
        return near if is_above else math.nextafter(near, math.inf)
    return math.nextafter(near, -math.inf) if is_above else near


def scalar(comparison: Comparison) -> object:
    """What to bind for the value of a comparison: for a pattern, or a text to be contained, the pattern of LIKE."""
    value = canonical_value(comparison)
    if isinstance(value, Pattern):
        return _like(value)
    return f"%{_escape(str(value))}%" if comparison.operator is Operator.CONTAINS else value


def _like(pattern: Pattern) -> str:
    return "%".join(map(_escape, pattern.parts))


def _following(start: str) -> str:
    """The least text that is greater than all texts that begin so, by code points; empty if there is none."""
    for end in range(len(start), 0, -1):
        following = ord(start[end - 1]) + 1
        if following <= sys.maxunicode:
            return start[: end - 1] + chr(_AFTER_SURROGATES if following == _SURROGATES else following)
    return ""


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
