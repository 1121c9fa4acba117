"""Metric schemas: which readings a device may report, each with its type, unit and unit symbol."""

import re
from typing import Any

from fleetroll.core import documents
from fleetroll.core.documents import Document
from fleetroll.core.faults import Fault, invalid

METRIC_TYPES = ("number", "string", "boolean", "json")
_METRIC = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MEMBERS = frozenset({"type", "unit", "unit_symbol"})


def parse_schema(value: dict[str, Any]) -> Document:
    """A schema document. `{"temp": "number"}` is short for `{"temp": {"type": "number"}}`. Raises Fault invalid."""
    return documents.of({name: _metric(name, entry) for name, entry in value.items()}, "schema")


def is_metric(name: str) -> bool:
    """Whether a metric may have this name."""
    return _METRIC.fullmatch(name) is not None


def _metric(name: str, entry: object) -> dict[str, Any]:
    if not is_metric(name):
        raise _refusal("a metric name must be 1 to 128 letters, digits, hyphens and underscores.")
    definition = {"type": entry} if isinstance(entry, str) else entry
    if not isinstance(definition, dict) or definition.get("type") not in METRIC_TYPES:
        raise _refusal(f"a metric must have a type that is one of {', '.join(METRIC_TYPES)}.")
    if set(definition) - _MEMBERS or not all(isinstance(text, str) for text in definition.values()):
        raise _refusal("a metric may have only type, unit and unit_symbol, each a string.")
    return definition


def _refusal(rule: str) -> Fault:
    return invalid("invalid_schema", f"schema: {rule}", "schema")
