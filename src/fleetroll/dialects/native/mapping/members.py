"""Members of bodies that are the same for many nouns: optional texts, words of a closed set, and objects in objects."""

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET, Struct, structs

from fleetroll.core import names, patch
from fleetroll.core.faults import invalid


def choice(kinds: Any, value: str, field: str) -> Any:
    """The member of an enum, or of some of its members, with this value. Raises Fault invalid `invalid_body`."""
    for kind in kinds:
        if kind.value == value:
            return kind
    raise invalid("invalid_body", f"{field} must be one of {', '.join(kind.value for kind in kinds)}.", field)


def texts(values: Iterable[tuple[str, Any]], longest: int) -> dict[str, Any]:
    """The members that are given, the texts among them checked; values of other types are passed on as they are."""
    return {
        name: names.paragraph(value, name, longest) if isinstance(value, str) else value
        for name, value in values
        if value is not UNSET
    }


def merged(was: Any, change: Any) -> Any:
    """What a merge patch (RFC 7396) makes of a value, where the patch has a shape that says what it may change."""
    if isinstance(change, dict):
        return patch.apply_merge_patch(was, change)
    if not isinstance(change, Struct):
        return change
    members = {name: value for name, value in structs.asdict(change).items() if value is not UNSET}
    return structs.replace(was, **{name: merged(getattr(was, name), value) for name, value in members.items()})
