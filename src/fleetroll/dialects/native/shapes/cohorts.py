"""Cohorts."""

from msgspec import UNSET, Struct, UnsetType

from fleetroll.wire.texts import Line, Name, Slug, Time


class Cohort(Struct):
    id: int
    slug: str
    name: str
    created_at: Time
    updated_at: Time
    revision: int


class CohortList(Struct):
    cohorts: list[Cohort]
    next_cursor: str | None


class NewCohort(Struct, forbid_unknown_fields=True):
    slug: Slug
    name: Line | None = None


class CohortChange(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
