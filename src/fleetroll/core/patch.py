"""JSON Patch (RFC 6902), JSON Pointer (RFC 6901) and JSON Merge Patch (RFC 7396) on documents.

Values are treated as immutable. An operation rebuilds only the containers between the root and its target and shares
all the rest, so `copy` costs nothing, no later operation can alter both copies, and a failed patch has changed
nothing. What comes out shares parts with what went in: encode it, do not edit it.

A patch is an amplifier. Size and depth are therefore known after every step, unless the patch is too small to reach a
bound by any of them; they follow from what the step moved, because encoding the whole document a hundred times would be
the attack itself. The rules about characters and numbers are checked when the result becomes a document again.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from fleetroll.core import documents, limits
from fleetroll.core.faults import Fault, conflict, invalid

Path: TypeAlias = tuple[str, ...]
Container: TypeAlias = dict[str, Any] | list[Any]

_ABSENT = object()
# How many bytes one byte of a path becomes at most where missing parents are created: `/` an object with an empty key,
# `{"":},`.
_WIDEST = 6


class Operation(msgspec.Struct, frozen=True):
    """One step of a JSON Patch, valid in shape; whether its pointers lead anywhere is for the document to say."""

    op: str
    path: Path
    value: Any = None
    origin: Path = ()


class Patch(msgspec.Struct, frozen=True):
    """Operations, and what bounds them: the size and the brackets of their text, and the steps of all their paths."""

    operations: list[Operation]
    size: int
    brackets: int
    steps: int

    def stays_within(self, text: bytes, longest: int) -> bool:
        """Whether no operation can make the document of this text longer, or nest it deeper, than it may be."""
        if any(operation.op == "copy" for operation in self.operations):
            return False
        # A move takes a value at most as many levels down as its path has steps, and may be followed by another.
        room = limits.MAX_JSON_DEPTH - self.steps
        deepest = self.brackets - 1 - len(self.operations)
        return (
            len(text) + _WIDEST * self.size <= longest and deepest <= room and not documents.depth_exceeds(text, room)
        )


def parse_json_patch(value: object, *, lenient: bool = False) -> Patch:
    """A patch from its decoded JSON. Raises Fault invalid.

    Members that the RFC does not define are ignored, as it demands. Lenient means: the names of an operation's members
    may be in any case.
    """
    if not isinstance(value, list):
        raise _refused("A patch must be an array of operations.")
    if len(value) > limits.MAX_PATCH_OPERATIONS:
        raise _refused(f"A patch must have at most {limits.MAX_PATCH_OPERATIONS} operations.")
    text = documents.encode(value, "patch")
    if len(text) > limits.MAX_PATCH:
        raise _refused(f"A patch must have at most {limits.MAX_PATCH} bytes.")
    # The array and the operation are two levels around every value.
    if documents.depth_exceeds(text, limits.MAX_JSON_DEPTH + 2):
        raise _refused(f"A patch must not nest deeper than {limits.MAX_JSON_DEPTH} levels.")
    operations = [_operation(index, entry, lenient=lenient) for index, entry in enumerate(value)]
    steps = sum(len(operation.path) for operation in operations)
    return Patch(operations, len(text), text.count(b"[") + text.count(b"{"), steps)


def apply_json_patch(
    document: dict[str, Any],
    patch: Patch,
    *,
    lenient: bool = False,
    longest: int = limits.MAX_DOCUMENT,
) -> dict[str, Any]:
    """The document after all operations; if one fails there is a Fault and no result. `longest` bounds it, in bytes.

    Lenient means: `add` creates missing parents, `remove` of what is missing does nothing, and `test` finds null there.
    """
    text = documents.encode(document, "document")
    if patch.stays_within(text, longest):
        draft = _Draft(document, lenient=lenient)
    else:
        draft = _Measured(document, lenient=lenient, longest=longest)
    for index, operation in enumerate(patch.operations):
        try:
            _STEPS[operation.op](draft, operation)
        except Fault as fault:
            raise _located(fault, index, operation) from None
    return draft.root


def apply_merge_patch(target: object, patch: object, *, levels: int = limits.MAX_JSON_DEPTH) -> Any:
    """The target with the patch's members merged in; null removes a member, anything but an object replaces all."""
    if not isinstance(patch, dict):
        return patch
    if not levels:
        raise _refused(f"A patch must not nest deeper than {limits.MAX_JSON_DEPTH} levels.")
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = apply_merge_patch(merged.get(key), value, levels=levels - 1)
    return merged


# --- drafts ----------------------------------------------------------------------------------------------------------


class _Draft:
    """A document between two steps. Its root is an object at all times."""

    def __init__(self, root: dict[str, Any], *, lenient: bool) -> None:
        self.root = root
        self.lenient = lenient

    def find(self, path: Path) -> Any:
        """The value at the path, or _ABSENT."""
        value: Any = self.root
        for token in path:
            value = _member(value, token)
        return value

    def take(self, path: Path) -> Any:
        value = self.find(path)
        if value is _ABSENT:
            raise _refused("there is nothing at this location")
        return value

    def add(self, path: Path, value: object) -> None:
        if self.lenient:
            reach = self._reach(path)
            path, value = path[:reach], _nested(path[reach:], value)
        self._write(path, value, _with_added)

    def replace(self, path: Path, value: object) -> None:
        self.take(path)
        self._write(path, value, _with_replaced)

    def remove(self, path: Path) -> None:
        if not path:
            raise _refused("the document itself cannot be removed")
        self.take(path)
        self._write(path, _ABSENT, _without)

    def _write(self, path: Path, value: object, change: Callable[[Any, str, object], Container]) -> None:
        if path:
            self._rebuild(path, value, change)
        elif isinstance(value, dict):
            self.root = value
        else:
            raise _refused("the document must remain an object")

    def _rebuild(self, path: Path, value: object, change: Callable[[Any, str, object], Container]) -> None:
        spine = self._spine(path)
        node: Any = change(spine[-1], path[-1], value)
        for outer, step in zip(spine[-2::-1], path[-2::-1], strict=True):
            node = _with_replaced(outer, step, node)
        self.root = node

    def _spine(self, path: Path) -> list[Any]:
        """The containers that hold the target, from the root inwards."""
        spine: list[Any] = [self.root]
        for token in path[:-1]:
            spine.append(_member(spine[-1], token))
        if not isinstance(spine[-1], dict | list):
            raise _refused("the parent of this location does not exist or is not a container")
        return spine

    def _reach(self, path: Path) -> int:
        """How much of the path must be written with `add`: all that exists, and the first step that does not."""
        value: Any = self.root
        for count, token in enumerate(path[:-1], start=1):
            value = _member(value, token)
            if value is _ABSENT:
                return count
        return len(path)


class _Measure(msgspec.Struct, frozen=True):
    """The encoded size of a value and how deeply it nests; a container that lost a part may nest less than `depth`."""

    value: object  # held so that its id, under which it is looked up, cannot pass to another value
    size: int
    depth: int
    exact: bool


class _Measured(_Draft):
    """A draft within the bounds at all times."""

    def __init__(self, root: dict[str, Any], *, lenient: bool, longest: int) -> None:
        super().__init__(root, lenient=lenient)
        self.longest = longest
        self._measures: dict[int, _Measure] = {}
        self._measure(root)

    def _write(self, path: Path, value: object, change: Callable[[Any, str, object], Container]) -> None:
        self._refuse_too_deep(path, value)
        super()._write(path, value, change)
        if self._measure(self.root).size > self.longest:
            raise _refused(f"the document would be larger than {self.longest} bytes")

    def _rebuild(self, path: Path, value: object, change: Callable[[Any, str, object], Container]) -> None:
        before = self._spine(path)
        super()._rebuild(path, value, change)
        after = self._spine(path)
        growth = self._growth(before[-1], path[-1], after[-1], value)
        depth = self._depth(value)
        for old, new in zip(reversed(before), reversed(after), strict=True):
            depth += 1
            self._inherit(old, new, growth, depth)

    def _refuse_too_deep(self, path: Path, value: object) -> None:
        room = limits.MAX_JSON_DEPTH - len(path)
        if self._depth(value) <= room:
            return
        # Parts may have been removed from it since it was measured.
        if not self._measure(value).exact:
            del self._measures[id(value)]
        if self._depth(value) > room:
            raise _refused(f"the document would be nested deeper than {limits.MAX_JSON_DEPTH} levels")

    def _growth(self, old: Container, token: str, new: Container, value: object) -> int:
        """What the text of a container gained when `value` came, replaced a member, or (_ABSENT) made one go."""
        removed = _member(old, token) if len(new) <= len(old) else _ABSENT
        growth = self._size(value) - self._size(removed)
        if len(new) == len(old):
            return growth
        key = self._size(token) + 1 if isinstance(old, dict) else 0
        commas = max(len(new) - 1, 0) - max(len(old) - 1, 0)
        return growth + commas + key * (len(new) - len(old))

    def _inherit(self, old: Container, new: Container, growth: int, depth: int) -> None:
        """Carry what is known about a container over to its successor, so that nothing is encoded twice."""
        if measure := self._measures.get(id(old)):
            self._measures[id(new)] = _Measure(new, measure.size + growth, max(measure.depth, depth), exact=False)

    def _size(self, value: object) -> int:
        return 0 if value is _ABSENT else self._measure(value).size

    def _depth(self, value: object) -> int:
        return self._measure(value).depth if isinstance(value, dict | list) else 0

    def _measure(self, value: object) -> _Measure:
        measure = self._measures.get(id(value))
        if measure is None:
            text = documents.encode(value, "patch")
            depth = documents.depth(text) if isinstance(value, dict | list) else 0
            measure = self._measures[id(value)] = _Measure(value, len(text), depth, exact=True)
        return measure


# --- operations ------------------------------------------------------------------------------------------------------


def _add(draft: _Draft, operation: Operation) -> None:
    draft.add(operation.path, operation.value)


def _remove(draft: _Draft, operation: Operation) -> None:
    missing = not operation.path or draft.find(operation.path) is _ABSENT
    if not (draft.lenient and missing):
        draft.remove(operation.path)


def _replace(draft: _Draft, operation: Operation) -> None:
    draft.replace(operation.path, operation.value)


def _move(draft: _Draft, operation: Operation) -> None:
    value = draft.take(operation.origin)
    if operation.origin == operation.path:
        return
    if operation.path[: len(operation.origin)] == operation.origin:
        raise _refused("a value cannot be moved into itself")
    draft.remove(operation.origin)
    draft.add(operation.path, value)


def _copy(draft: _Draft, operation: Operation) -> None:
    draft.add(operation.path, draft.take(operation.origin))


def _test(draft: _Draft, operation: Operation) -> None:
    value = draft.find(operation.path)
    if value is _ABSENT and draft.lenient:
        value = None
    if value is _ABSENT or not documents.same_value(value, operation.value):
        raise conflict("patch_test_failed", "the value there is not the expected one")


_STEPS: Mapping[str, Callable[[_Draft, Operation], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
OPERATIONS = tuple(_STEPS)
_NEEDS_VALUE = {"add", "replace", "test"}
_NEEDS_ORIGIN = {"move", "copy"}


# --- containers ------------------------------------------------------------------------------------------------------


def _member(value: Any, step: str) -> Any:
    """The member or element that a pointer's step names, or _ABSENT."""
    if isinstance(value, dict):
        return value.get(step, _ABSENT)
    if isinstance(value, list) and _is_index(step) and int(step) < len(value):
        return value[int(step)]
    return _ABSENT


def _is_index(step: str) -> bool:
    """RFC 6901: decimal digits without leading zeros. Other scripts have digits too, hence the second question."""
    return step == "0" or (step.isdecimal() and step.isascii() and step[0] != "0")


def _with_added(container: Container, step: str, value: object) -> Container:
    if isinstance(container, dict):
        return {**container, step: value}
    position = _position(container, step)
    return [*container[:position], value, *container[position:]]


def _with_replaced(container: Container, step: str, value: object) -> Container:
    if isinstance(container, dict):
        return {**container, step: value}
    changed = container.copy()
    changed[int(step)] = value
    return changed


def _without(container: Container, step: str, _: object) -> Container:
    rest = container.copy()
    if isinstance(rest, dict):
        del rest[step]
    else:
        del rest[int(step)]
    return rest


def _position(array: list[Any], step: str) -> int:
    if step == "-":
        return len(array)
    if not _is_index(step) or int(step) > len(array):
        raise _refused("this is not a position in the array, nor its end")
    return int(step)


def _nested(path: Path, value: object) -> object:
    """The value within new containers, one for each step: an array where the step can only be a position."""
    for step in reversed(path):
        if step in ("-", "0"):
            value = [value]
        elif _is_index(step):
            raise _refused("a new array begins at position 0")
        else:
            value = {step: value}
    return value


# --- reading a patch -------------------------------------------------------------------------------------------------


def _operation(index: int, entry: object, *, lenient: bool) -> Operation:
    if not isinstance(entry, dict):
        raise _at(index, "is not an object")
    entry = {name.lower(): value for name, value in entry.items()} if lenient else entry
    op = entry.get("op")
    if not isinstance(op, str) or op not in _STEPS:
        raise _at(index, f"needs an 'op' that is one of {', '.join(_STEPS)}")
    if op in _NEEDS_VALUE and "value" not in entry and not (lenient and op == "test"):
        raise _at(index, f"({op}) has no 'value'")
    origin = _pointer(index, entry, "from") if op in _NEEDS_ORIGIN else ()
    return Operation(op, _pointer(index, entry, "path"), entry.get("value"), origin)


def _pointer(index: int, entry: Mapping[str, object], name: str) -> Path:
    text = entry.get(name)
    if not isinstance(text, str) or len(text) > limits.MAX_POINTER:
        raise _at(index, f"needs a '{name}': a JSON Pointer of at most {limits.MAX_POINTER} characters")
    tokens = text.split("/")
    escaped = "~" in text
    if tokens[0] or (escaped and any("~" in step.replace("~0", "").replace("~1", "") for step in tokens)):
        raise _at(index, f"has a '{name}' that is not a JSON Pointer: {text}")
    if len(tokens) > limits.MAX_JSON_DEPTH + 1:
        raise _at(index, f"has a '{name}' of more than {limits.MAX_JSON_DEPTH} steps")
    return tuple([step.replace("~1", "/").replace("~0", "~") for step in tokens[1:]] if escaped else tokens[1:])


# --- refusals --------------------------------------------------------------------------------------------------------


def _written(path: Path) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)


def _refused(message: str) -> Fault:
    return invalid("invalid_patch", message)


def _at(index: int, message: str) -> Fault:
    return invalid("invalid_patch", f"Operation {index} {message}.", operation=index)


def _located(fault: Fault, index: int, operation: Operation) -> Fault:
    """The same refusal, with the words that tell which operation it was."""
    where = _written(operation.path)
    origin = f" from '{_written(operation.origin)}'" if operation.op in _NEEDS_ORIGIN else ""
    why = fault.message.rstrip(".")
    message = f"Operation {index} ({operation.op} '{where}'{origin}) failed: {why}."
    code = fault.code if fault.code == "patch_test_failed" else "invalid_patch"
    return Fault(fault.kind, code, message, details={"operation": index, "path": where})
