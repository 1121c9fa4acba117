"""Times as texts: what is one, and what comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetroll.core.times import from_datetime, iso, parse_iso, parse_rfc3339, to_datetime

FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00.5z", 500_000),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T18:30:00-05:30", 0),
        ("2024-02-29", 1_709_164_800_000_000),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140_000_000),
        ("1970-01-01T00:00:00", None),
        ("1970-01-01T00:00Z", None),
        ("1970-01-01 00:00:00Z", None),
        ("1970-01-01Z", None),
        ("1970-01-01T00:00:00.0000001Z", None),
        ("1970-01-01T00:00:00.Z", None),
        ("1970-01-01T24:00:00Z", None),
        ("1970-01-01T23:59:60Z", None),
        ("1970-01-01T00:00:00+24:00", None),
        ("1970-01-01T00:00:00+0100", None),
        ("2023-02-29", None),
        ("0000-01-01", None),
        ("１970-01-01", None),  # noqa: RUF001
        ("0", None),
    ],
)
def test_a_time_is_rfc_3339_or_a_date_at_midnight(text: str, expected: int | None) -> None:
    assert parse_rfc3339(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:01", 60_000_000),
        ("1970-01-01 00:01Z", 60_000_000),
        ("1970-01-01T01:00+01:00", 0),
        ("1970-01-01T01:00 01:00", 0),
        ("1970-01-01 00:00:01.1234567", 1_123_456),
        ("1970-01-01T24:00", None),
        ("1970-01-01T00:1", None),
        ("1970-01-01T00:01:", None),
        ("1970-01-01T00", None),
    ],
)
def test_a_vendors_time_may_lack_seconds_and_offset(text: str, expected: int | None) -> None:
    assert parse_iso(text) == expected


@pytest.mark.parametrize("at", [0, 1, -1, 4_000_000_000_000_001, -62_135_596_800_000_000, 253_402_300_799_999_999])
def test_an_instant_keeps_its_microseconds_as_a_moment(at: int) -> None:
    assert from_datetime(to_datetime(at)) == at


@given(st.sampled_from((FIRST, LAST, 0, -1)) | st.integers(FIRST, LAST))
def test_an_iso_time_has_all_its_digits(at: int) -> None:
    assert iso(at) == to_datetime(at).isoformat(timespec="microseconds")
