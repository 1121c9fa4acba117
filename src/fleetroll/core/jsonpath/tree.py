"""Predicates as trees: the nodes, and a walk that changes texts in them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeAlias

from msgspec import Struct, structs

Scalar: TypeAlias = str | int | float | Decimal | bool | None


class Key(Struct, frozen=True, tag=True):
    """`.name`; `.*` where the name is None."""

    name: str | None


class Index(Struct, frozen=True, tag=True):
    """`[0]`, `[last]`, `[1 to last - 1]`, `[0, 2]`. A position from the end is -1 for the last and below."""

    spans: tuple[tuple[int, int], ...]


class Elements(Struct, frozen=True, tag=True):
    """`[*]`"""


class Descendants(Struct, frozen=True, tag=True):
    """`.**`, `.**{2}`, `.**{1 to last}`: what is so many levels below, itself at level 0; -1 is the last level.

    From `last` to `last`, that is the leaves alone.
    """

    first: int = 0
    last: int = -1


class Where(Struct, frozen=True, tag=True):
    """`? (…)`"""

    predicate: "Predicate"


class Method(Struct, frozen=True, tag=True):
    """`.size()`, `.type()`, `.double()`, `.abs()`, `.floor()`, `.ceiling()`"""

    name: str


Step: TypeAlias = Key | Index | Elements | Descendants | Where | Method


class Path(Struct, frozen=True, tag=True):
    """`root` is `$`, the document, `@`, the item of a filter, or what is in parentheses, `($.a - 1).abs()`."""

    root: "str | Operand"
    steps: tuple[Step, ...]


class Literal(Struct, frozen=True, tag=True):
    value: Scalar


class Signed(Struct, frozen=True, tag=True):
    """`-$.a`, `+$.a`: applied to each value that the part has."""

    symbol: str
    part: "Operand"


class Arithmetic(Struct, frozen=True, tag=True):
    """`$.a + 1`. Each side is one number."""

    symbol: str
    left: "Operand"
    right: "Operand"


Operand: TypeAlias = Path | Literal | Signed | Arithmetic


class Compared(Struct, frozen=True, tag=True):
    symbol: str
    left: Operand
    right: Operand


class Exists(Struct, frozen=True, tag=True):
    path: Path


class StartsWith(Struct, frozen=True, tag=True):
    path: Path
    text: str


class LikeRegex(Struct, frozen=True, tag=True):
    path: Path
    pattern: str
    flags: str = ""


class All(Struct, frozen=True, tag=True):
    parts: "tuple[Predicate, ...]"


class Either(Struct, frozen=True, tag=True):
    parts: "tuple[Predicate, ...]"


class Negated(Struct, frozen=True, tag=True):
    part: "Predicate"


class Unknown(Struct, frozen=True, tag=True):
    part: "Predicate"


class Bare(Struct, frozen=True, tag=True):
    """A path alone, which holds where it finds `true` and nothing else."""

    path: Path


class Strict(Struct, frozen=True, tag=True):
    """A whole predicate in strict mode."""

    part: "Predicate"


Predicate: TypeAlias = Compared | Exists | StartsWith | LikeRegex | All | Either | Negated | Unknown | Bare | Strict


def translated(predicate: Predicate, words: Mapping[str, str]) -> Predicate:
    """The predicate in which texts that values are compared with are replaced as `words` says."""
    match predicate:
        case Compared(symbol, left, right):
            return Compared(symbol, _operand(left, words), _operand(right, words))
        case Exists(path) | StartsWith(path) | LikeRegex(path) | Bare(path):
            return structs.replace(predicate, path=_path(path, words))
        case All(parts) | Either(parts):
            return type(predicate)(tuple(translated(part, words) for part in parts))
        case Negated(part) | Unknown(part) | Strict(part):
            return type(predicate)(translated(part, words))


def _operand(operand: Operand, words: Mapping[str, str]) -> Operand:
    if isinstance(operand, Path):
        return _path(operand, words)
    if isinstance(operand, Literal) and isinstance(operand.value, str):
        return Literal(words.get(operand.value, operand.value))
    return operand


def _path(path: Path, words: Mapping[str, str]) -> Path:
    """With other words in its filters."""
    return Path(path.root, tuple(_step(step, words) for step in path.steps))


def _step(step: Step, words: Mapping[str, str]) -> Step:
    return Where(translated(step.predicate, words)) if isinstance(step, Where) else step
