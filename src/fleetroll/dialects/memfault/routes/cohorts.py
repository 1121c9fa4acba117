"""Rows about cohorts, and the devices within."""

from fleetroll.dialects.memfault.mapping import cohorts as mapping
from fleetroll.dialects.memfault.mapping.devices import list_cohort, page
from fleetroll.dialects.memfault.mapping.paging import numbered_by_creation
from fleetroll.dialects.memfault.routes.parameters import BY_CREATION, LISTING, NAMES, PROJECT, in_project
from fleetroll.dialects.memfault.shapes import cohorts as shapes
from fleetroll.dialects.memfault.shapes.envelopes import Many, One
from fleetroll.service import cohorts, fleet, views
from fleetroll.wire.dialect import Parameter, nothing

_COHORT = f"{PROJECT}/cohorts/{{cohort}}"

ROUTES = (
    in_project(
        "POST",
        f"{PROJECT}/cohorts",
        cohorts.create,
        mapping.new_cohort,
        mapping.cohort,
        "Create a cohort; a slug is generated if none is given",
        body=shapes.NewCohort,
        reply=One,
    ),
    in_project(
        "GET",
        f"{PROJECT}/cohorts",
        cohorts.all_counted,
        numbered_by_creation,
        mapping.cohort_page,
        "List cohorts",
        reply=Many,
        query=(
            *NAMES,
            Parameter("slug", "slug; may be repeated", "array"),
            BY_CREATION,
        ),
    ),
    in_project("GET", _COHORT, cohorts.counted, mapping.one_cohort, mapping.cohort, "Read a cohort", reply=One),
    in_project(
        "PATCH",
        _COHORT,
        cohorts.edit,
        mapping.change_cohort,
        mapping.cohort,
        "Rename a cohort",
        guarded=True,
        body=shapes.CohortChange,
        reply=One,
    ),
    in_project(
        "DELETE",
        _COHORT,
        cohorts.noun.delete,
        mapping.one_cohort,
        nothing,
        "Delete a cohort without devices",
        guarded=True,
        status=204,
    ),
    in_project(
        "GET",
        f"{_COHORT}/devices",
        views.within,
        list_cohort,
        page,
        "List the devices of a cohort",
        reply=Many,
        query=LISTING,
    ),
    in_project(
        "PATCH",
        f"{_COHORT}/devices",
        fleet.place,
        mapping.move_devices,
        nothing,
        "Move up to 1000 devices into a cohort, all or none",
        status=202,
        body=shapes.Placing | list[str],
    ),
)
