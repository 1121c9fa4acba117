"""JSON whose member names match in any case, the last one winning, as servers written in Go read it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, inspect

from fleetroll.wire import bodies


class _Names(Struct, frozen=True):
    """The member names of a shape: by the name in lower case, its spelling and the names within its value.

    `items` are the names within the items of an array, or within the values of an object with keys of any name.
    """

    members: Mapping[str, "tuple[str, _Names | None]"] = {}
    items: "_Names | None" = None


class LooseDecoder:
    """Decodes bodies in a shape; raises what `bodies.decode` does."""

    def __init__(self, shape: Any) -> None:
        self._shape = shape
        self._names = _names(inspect.type_info(shape))

    def decode(self, body: bytes) -> Any:
        return bodies.convert(self.spelled(bodies.checked_json(body)), self._shape)

    def spelled(self, value: Any) -> Any:
        """A value that was decoded elsewhere, with its members spelled as the shape spells them."""
        return _spelled(value, self._names)


def _names(kind: inspect.Type) -> _Names | None:
    match kind:
        case inspect.StructType():
            known = {field.encode_name.lower(): (field.encode_name, _names(field.type)) for field in kind.fields}
            return _Names(members=known)
        case inspect.ListType():
            inner = _names(kind.item_type)
        case inspect.DictType():
            inner = _names(kind.value_type)
        case inspect.UnionType():
            return next((found for part in kind.types if (found := _names(part))), None)
        case _:
            return None
    return inner and _Names(items=inner)


def _spelled(value: Any, names: _Names | None) -> Any:
    """The value with the members of its objects spelled as the shape spells them."""
    if names is None:
        return value
    if isinstance(value, list):
        return [_spelled(item, names.items) for item in value]
    if not isinstance(value, dict):
        return value
    if names.items is not None:
        return {key: _spelled(item, names.items) for key, item in value.items()}
    spelled = {}
    for key, item in value.items():
        name, inner = names.members.get(key.lower(), (key, None))
        spelled[name] = _spelled(item, inner)
    return spelled
