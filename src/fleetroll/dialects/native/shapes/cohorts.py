"""Cohorts."""

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType


class Cohort(Struct):
    id: int
    slug: str
    name: str
    created_at: datetime
    updated_at: datetime
    revision: int


class CohortList(Struct):
    cohorts: list[Cohort]
    next_cursor: str | None


class NewCohort(Struct, forbid_unknown_fields=True):
    slug: str
    name: str | None = None


class CohortChange(Struct, forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
