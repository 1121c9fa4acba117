"""The table of the Memfault API, `/api/v0`: devices of a project, and what lies around them."""

from typing import Any

from fleetroll.dialects.memfault import mapping, shapes
from fleetroll.dialects.memfault.envelope import ENVELOPE
from fleetroll.service import (
    cohorts,
    devices,
    fleet,
    hardware_versions,
    keys,
    projects,
    software_versions,
    views,
)
from fleetroll.wire.dialect import API_KEY_HEADER, BASIC, BEARER, Dialect, Parameter, Route

_ORGANIZATION = "/api/v0/organizations/{organization}/projects"
_PROJECT = f"{_ORGANIZATION}/{{project}}"
_DEVICE = f"{_PROJECT}/devices/{{device_serial}}"
_COHORT = f"{_PROJECT}/cohorts/{{cohort}}"

_PAGE = (
    Parameter("page", "number of the page, from 1", "integer"),
    Parameter("per_page", "most records of a page; 100 if left out, at most 5000", "integer"),
)
_LISTING = (
    *_PAGE,
    Parameter("release", "version last reported; may be repeated"),
    Parameter("owner_ref", "owner; may be repeated"),
    Parameter("hardware_version", "hardware version; may be repeated"),
    Parameter("cohort", "slug of a cohort; may be repeated"),
    Parameter("device_serial", "serial, with * for anything; may be repeated"),
    Parameter("last_seen_since", "last seen then or later (ISO 8601)"),
    Parameter("last_seen_until", "last seen then or earlier (ISO 8601)"),
    Parameter("sort", "last_seen, device_serial, nickname, created_date, updated_date or id, with - for descending"),
)
_NAMES = (*_PAGE, Parameter("name", "exact name; may be repeated"))


def _in_project(method: str, path: str, operation: Any, decode: Any, encode: Any, about: str, **more: Any) -> Route:
    return Route(method, path, operation, decode, encode, about, organization=mapping.project, **more)


_DEVICES = (
    _in_project(
        "POST",
        f"{_PROJECT}/devices",
        views.create,
        mapping.new_device,
        mapping.shown,
        "Create a device; its hardware version is made if it is new",
        body=shapes.NewDevice,
        reply=shapes.One,
    ),
    _in_project(
        "GET",
        f"{_PROJECT}/devices",
        views.page,
        mapping.list_devices,
        mapping.page,
        "List devices",
        reply=shapes.Many,
        query=_LISTING,
    ),
    _in_project("GET", _DEVICE, views.get, mapping.one_device, mapping.shown, "Read a device", reply=shapes.One),
    _in_project(
        "PATCH",
        _DEVICE,
        views.edit,
        mapping.change_device,
        mapping.shown,
        "Change a device; a new hardware version must be known",
        body=shapes.DeviceChange,
        reply=shapes.One,
    ),
    _in_project("DELETE", _DEVICE, devices.delete, mapping.one_device, mapping.nothing, "Delete a device", status=204),
)

_COHORTS = (
    _in_project(
        "POST",
        f"{_PROJECT}/cohorts",
        cohorts.create,
        mapping.new_cohort,
        mapping.cohort,
        "Create a cohort; a slug is made if none is given",
        body=shapes.NewCohort,
        reply=shapes.One,
    ),
    _in_project(
        "GET",
        f"{_PROJECT}/cohorts",
        cohorts.all_counted,
        mapping.numbered,
        mapping.cohort_page,
        "List cohorts",
        reply=shapes.Many,
        query=(
            *_NAMES,
            Parameter("slug", "slug; may be repeated"),
            Parameter("sort", "created_date, or -created_date"),
        ),
    ),
    _in_project("GET", _COHORT, cohorts.counted, mapping.one_cohort, mapping.cohort, "Read a cohort", reply=shapes.One),
    _in_project(
        "PATCH",
        _COHORT,
        cohorts.edit,
        mapping.change_cohort,
        mapping.cohort,
        "Rename a cohort",
        body=shapes.CohortChange,
        reply=shapes.One,
    ),
    _in_project(
        "DELETE",
        _COHORT,
        cohorts.noun.delete,
        mapping.one_cohort,
        mapping.nothing,
        "Delete a cohort without devices",
        status=204,
    ),
    _in_project(
        "GET",
        f"{_COHORT}/devices",
        views.within,
        mapping.list_cohort,
        mapping.page,
        "List the devices of a cohort",
        reply=shapes.Many,
        query=_LISTING,
    ),
    _in_project(
        "PATCH",
        f"{_COHORT}/devices",
        fleet.place,
        mapping.place_devices,
        mapping.nothing,
        "Move up to 1000 devices into a cohort, all or none",
        status=202,
        body=shapes.Placing | list[str],
    ),
)

_PROJECTS = (
    Route(
        "POST",
        _ORGANIZATION,
        projects.create,
        mapping.new_project,
        mapping.shown_project,
        "Create a project",
        body=shapes.NewProject,
        reply=shapes.One,
        organization=mapping.whole_organization,
    ),
    Route(
        "GET",
        _ORGANIZATION,
        projects.page,
        mapping.numbered,
        mapping.project_page,
        "List projects",
        reply=shapes.Many,
        query=_NAMES,
        organization=mapping.whole_organization,
    ),
    _in_project(
        "GET", _PROJECT, projects.get, mapping.one_project, mapping.shown_project, "Read a project", reply=shapes.One
    ),
    _in_project(
        "PATCH",
        _PROJECT,
        projects.rename,
        mapping.change_project,
        mapping.shown_project,
        "Rename a project",
        body=shapes.ProjectChange,
        reply=shapes.One,
    ),
    _in_project(
        "DELETE", _PROJECT, projects.delete, mapping.no_input, mapping.nothing, "Delete an empty project", status=204
    ),
    _in_project(
        "GET",
        f"{_PROJECT}/api_key",
        projects.key,
        mapping.no_input,
        mapping.api_key,
        "The key with which the project's devices report",
        reply=shapes.One,
        secret=True,
    ),
    _in_project(
        "POST",
        f"{_PROJECT}/api_key",
        projects.rotate,
        mapping.no_input,
        mapping.api_key,
        "A new project key; the one before stops working",
        reply=shapes.One,
        secret=True,
    ),
    Route("GET", "/auth/me", keys.caller, mapping.no_input, mapping.me, "Who the presented key is", reply=shapes.Me),
)

_VERSIONS = (
    _in_project(
        "POST",
        f"{_PROJECT}/hardware_versions",
        hardware_versions.noun.create,
        mapping.new_hardware_version,
        mapping.made_hardware_version,
        "Create a hardware version",
        body=shapes.NewHardwareVersion,
        reply=shapes.One,
    ),
    _in_project(
        "GET",
        f"{_PROJECT}/hardware_versions",
        hardware_versions.all_counted,
        mapping.numbered,
        mapping.hardware_version_page,
        "List hardware versions",
        reply=shapes.Many,
        query=_NAMES,
    ),
    _in_project(
        "GET",
        f"{_PROJECT}/software_types",
        software_versions.page,
        mapping.numbered,
        mapping.software_types,
        "List types of software",
        reply=shapes.Many,
        query=_PAGE,
    ),
    _in_project(
        "GET",
        f"{_PROJECT}/software_types/{{type}}/software_versions",
        software_versions.page,
        mapping.numbered,
        mapping.software_version_page,
        "List the versions of a type of software",
        reply=shapes.Many,
        query=_PAGE,
    ),
    _in_project(
        "GET",
        f"{_PROJECT}/software_types/{{type}}/software_versions/{{version}}",
        software_versions.get,
        mapping.one_software_version,
        mapping.software_version,
        "Read a version of software",
        reply=shapes.One,
    ),
)

DIALECT = Dialect(
    name="memfault",
    title="Memfault",
    prefixes=("/api/v0/", "/auth/"),
    routes=(*_DEVICES, *_COHORTS, *_PROJECTS, *_VERSIONS),
    envelope=ENVELOPE,
    credentials=(BEARER, BASIC, API_KEY_HEADER),
)
