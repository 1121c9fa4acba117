"""Arithmetic on decimal numbers, to the digit that PostgreSQL's `numeric` has."""

import math
import re
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

# Enough for every digit of what a few operators make of the largest and the smallest numbers of documents.
_EXACT = Context(prec=10_000)
_ONE = Decimal(1)
# What C's strtod reads, except infinities and NaN. The texts are strangers': nothing in it is tried twice.
_MANTISSA = r"(?:{0}++(?:\.{0}*+)?|\.{0}++)"
_NUMERAL = re.compile(
    rf"[ \t-\r]*+([+-]?)(?:0[xX]({_MANTISSA.format('[0-9a-fA-F]')})([pP][+-]?[0-9]++)?"
    rf"|({_MANTISSA.format('[0-9]')})([eE][+-]?[0-9]++)?)[ \t-\r]*"
)
_GROUP, _LEAST_DIGITS, _MOST_PLACES = 4, 16, 1_000


def is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def exact(value: Any) -> Decimal:
    """A number by its shortest decimal form, which is how a document spells it."""
    if isinstance(value, Decimal):
        return value
    return Decimal(value) if isinstance(value, int) else _written_out(Decimal(repr(value)))


def parse(text: str) -> Decimal | None:
    """The first 15 digits of the number that a text says in double precision; None if it says none that fits."""
    match = _NUMERAL.fullmatch(text)
    if match is None:
        return None
    sign, hexadecimal, power, decimal, exponent = match.groups("")
    try:
        value = float.fromhex(f"0x{hexadecimal}{power}") if hexadecimal else float(decimal + exponent)
    except OverflowError:
        return None
    is_zero = not (hexadecimal or decimal).strip("0.")
    if math.isinf(value) or (not value and not is_zero):
        return None
    return _written_out(Decimal(f"{sign}{value:.15g}"))


def _written_out(number: Decimal) -> Decimal:
    """With every digit before the point, as its places are counted."""
    return number if _places(number) else _EXACT.quantize(number, _ONE)


def whole(number: Decimal, rounding: str) -> Decimal:
    return number.quantize(_ONE, rounding, _EXACT)


def compute(symbol: str, left: Decimal, right: Decimal) -> Decimal:
    """Raises ZeroDivisionError."""
    return _OPERATORS[symbol](left, right)


def _divide(left: Decimal, right: Decimal) -> Decimal:
    """Rounded half away from zero, after a number of places that depends on both."""
    if not right:
        raise ZeroDivisionError
    places = min(max(_least_places(left, right), _places(left), _places(right)), _MOST_PLACES)
    digits, rest = _EXACT.divmod(_EXACT.scaleb(left.copy_abs(), places), right.copy_abs())
    if _EXACT.add(rest, rest) >= right.copy_abs():
        digits = _EXACT.add(digits, _ONE)
    quotient = _EXACT.scaleb(digits, -places)
    return quotient if left.is_signed() is right.is_signed() else quotient.copy_negate()


def _least_places(left: Decimal, right: Decimal) -> int:
    """The decimal places for at least 16 significant digits, counted in groups of four as PostgreSQL stores them."""
    left_weight, left_first = _leading(left)
    right_weight, right_first = _leading(right)
    groups = left_weight - right_weight - (left_first <= right_first)
    return max(0, _LEAST_DIGITS - groups * _GROUP)


def _leading(number: Decimal) -> tuple[int, int]:
    """The first group of digits, and which one it is, counted from the point."""
    if not number:
        return 0, 0
    weight = number.adjusted() // _GROUP
    return weight, int(_EXACT.scaleb(number.copy_abs(), -weight * _GROUP))


def _remainder(left: Decimal, right: Decimal) -> Decimal:
    if not right:
        raise ZeroDivisionError
    return _EXACT.remainder(left, right)


def _places(number: Decimal) -> int:
    """How many digits it has after the point."""
    return max(0, -int(number.as_tuple().exponent))


_OPERATORS: dict[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": _EXACT.add,
    "-": _EXACT.subtract,
    "*": _EXACT.multiply,
    "/": _divide,
    "%": _remainder,
}
