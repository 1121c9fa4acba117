"""Cohorts, and the devices to move into one."""

from msgspec import UNSET, Struct, UnsetType

from fleetroll.wire.texts import Name, SlugIfAny


class Cohort(Struct):
    id: int
    name: str
    slug: str
    count_devices: int
    last_deployment: None
    created_date: str
    updated_date: str


class NewCohort(Struct):
    name: Name
    slug: SlugIfAny | None = None


class CohortChange(Struct):
    name: Name | UnsetType = UNSET
    slug: str | UnsetType = UNSET


class Placing(Struct):
    """The serials of 1 to 1000 devices to move, under either name."""

    devices: list[str] = []
    device_serials: list[str] = []
