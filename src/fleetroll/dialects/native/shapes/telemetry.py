"""Readings of a device, one by one and summed up."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from fleetroll.wire.texts import Slug, Time


class NewReading(Struct, forbid_unknown_fields=True):
    """One value of one metric, which the device's schema must have; without a time it is of now."""

    metric: Slug
    value: Any
    at: Time | None = None


class NewReadings(Struct, forbid_unknown_fields=True):
    """Up to 10,000 of one device, stored together or not at all. The same metric and time again replaces the value."""

    readings: list[NewReading]


class Written(Struct):
    written: int


class Reading(Struct, gc=False):
    metric: str
    at: Time
    value: Any


class Telemetry(Struct):
    """The last reading of each metric, or readings of one, or its aggregates by intervals of time.

    Each bucket has the time `at` at which it begins, and a member for each aggregate that was asked for.
    """

    readings: list[Reading] | UnsetType = UNSET
    buckets: list[dict[str, Any]] | UnsetType = UNSET
    next_cursor: str | UnsetType | None = UNSET
