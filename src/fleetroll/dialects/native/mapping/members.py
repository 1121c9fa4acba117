"""Members of bodies that are the same for many nouns: optional texts, and words of a closed set."""

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET

from fleetroll.core import names
from fleetroll.core.faults import invalid


def choice(kinds: Any, value: str, field: str) -> Any:
    for kind in kinds:
        if kind.value == value:
            return kind
    raise invalid("invalid_body", f"{field} must be one of {', '.join(kind.value for kind in kinds)}.", field)


def texts(values: Iterable[tuple[str, Any]], longest: int) -> dict[str, Any]:
    return {
        name: names.paragraph(value, name, longest) if isinstance(value, str) else value
        for name, value in values
        if value is not UNSET
    }
