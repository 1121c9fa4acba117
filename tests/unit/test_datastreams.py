"""What is made a value of a datastream is valid: it need not be checked against the datastream again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetroll.core import datastreams
from fleetroll.core.faults import Fault
from fleetroll.core.model import DatastreamKind

numbers = st.integers() | st.floats() | st.booleans()
texts = st.text() | numbers.map(str) | st.floats(allow_nan=False).map("{:e}".format)
parts = numbers | texts | st.none()
given_values = st.lists(parts | st.lists(parts, max_size=3), max_size=3)
bounds = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("kind", DatastreamKind)
@given(shown=given_values, least=bounds, most=bounds)
def test_what_is_made_a_value_of_a_datastream_is_one(
    kind: DatastreamKind, shown: list[Any], least: float | None, most: float | None
) -> None:
    try:
        value = datastreams.parse(kind, None, shown)
    except Fault:
        return
    datastreams.check(kind, value)
    datastreams.check(kind, datastreams.clamped(kind, value, least, most))


@pytest.mark.parametrize(
    ("kind", "shown", "value"),
    [
        (DatastreamKind.INTEGER, ["7.0"], 7),
        (DatastreamKind.DOUBLE, ["7"], 7),
        (DatastreamKind.ENUM, [2.0], 2),
        (DatastreamKind.STRING, [7.5], "7.5"),
        (DatastreamKind.LOCATION, ["1.5", 2], [1.5, 2]),
    ],
)
def test_each_kind_makes_values(kind: DatastreamKind, shown: list[Any], value: Any) -> None:
    assert datastreams.parse(kind, None, shown) == value
