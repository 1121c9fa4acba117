"""What is remembered to save time takes little memory, whatever tenants store: it is counted, but not measured."""

import json
import tracemalloc
from collections.abc import Callable

import msgspec
import pytest

from fleetroll.core import readings
from fleetroll.core.model import NewDevice
from fleetroll.core.query import Comparison, Operator
from fleetroll.store import rows
from fleetroll.store.frequencies import Frequencies

_MANY = 100
FREQUENCIES = Frequencies()
_DOCUMENTS = {"metadata", "metric_schema", "config", "extras", "metadata_times"}


def schema(number: int) -> None:
    """A long one, as no other device has it."""
    types = {f"metric_{number}_{metric}": {"type": "number"} for metric in range(150)}
    assert len(readings.metric_types(msgspec.Raw(json.dumps(types).encode()))) == 150


def owners(number: int) -> list[str]:
    return [f"{number} {owner} {'x' * 240}" for owner in range(64)]


def read(number: int) -> None:
    values = {"status": "NO_IDENTITY", "tags": "[]", "owners": json.dumps(owners(number))}
    row = tuple("{}" if column in _DOCUMENTS else values.get(column) for column in rows.DEVICE)
    assert len(rows.device(row).owners) == 64


def write(number: int) -> None:
    text = rows.described(NewDevice("a", owners=tuple(owners(number))))[2]
    assert isinstance(text, str) and len(text) > 15_000  # noqa: PT018


def ask(number: int) -> None:
    """A condition as long as a filter may be."""
    condition = Comparison("name", Operator.EQ, f"{number} {'x' * 4_000}")
    FREQUENCIES.put(1, condition, number)
    assert FREQUENCIES.get(1, condition) == number


@pytest.mark.parametrize("use", [schema, read, write, ask])
def test_large_values_are_forgotten(use: Callable[[int], None]) -> None:
    tracemalloc.start()
    try:
        for number in range(_MANY):
            use(number)
        settled, _ = tracemalloc.get_traced_memory()
        for number in range(_MANY, 2 * _MANY):
            use(number)
        assert tracemalloc.get_traced_memory()[0] - settled < 1 << 18
    finally:
        tracemalloc.stop()
