"""Rows about cohorts."""

from fleetroll.dialects.native.mapping import cohorts as mapping
from fleetroll.dialects.native.routes.named import Bodies, Codec, named
from fleetroll.dialects.native.shapes import cohorts as shapes
from fleetroll.service import cohorts

ROUTES = named(
    "cohorts",
    cohorts.noun,
    ("a cohort", "cohorts"),
    Bodies(shapes.NewCohort, shapes.CohortChange, shapes.Cohort, shapes.CohortList),
    Codec(mapping.new_cohort, mapping.change_cohort, mapping.cohort),
)
