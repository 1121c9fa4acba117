"""The tables of the Memfault API, `/api/v0`: devices of a project and what lies around them, and what devices send."""

from typing import Any

from msgspec import structs

from fleetroll.core.secrets import Issuer
from fleetroll.dialects.memfault import mapping, shapes
from fleetroll.dialects.memfault.envelope import DEVICE_ENVELOPE, ENVELOPE
from fleetroll.service import (
    attributes,
    checkin,
    cohorts,
    devices,
    fleet,
    hardware_versions,
    keys,
    metadata_fields,
    projects,
    software_versions,
    views,
)
from fleetroll.wire.dialect import (
    API_KEY_HEADER,
    BASIC,
    BEARER,
    Dialect,
    Form,
    Parameter,
    Place,
    Route,
    no_input,
    nothing,
)

_ORGANIZATION = "/api/v0/organizations/{organization}/projects"
_PROJECT = f"{_ORGANIZATION}/{{project}}"
_DEVICE = f"{_PROJECT}/devices/{{device_serial}}"
_COHORT = f"{_PROJECT}/cohorts/{{cohort}}"

_ASKING = tuple(
    Parameter(name, about)
    for name, about in (
        ("device_serial", "who asks"),
        ("hardware_version", "on what"),
        ("software_type", "for what"),
        ("current_version", "what runs now"),
    )
)

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
    Parameter(
        "sort",
        "last_seen, device_serial, nickname, created_date, updated_date or id, with - for descending; may be repeated",
    ),
)
_BY_CREATION = Parameter("sort", "created_date, or -created_date")
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
    _in_project("DELETE", _DEVICE, devices.delete, mapping.one_device, nothing, "Delete a device", status=204),
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
        mapping.numbered_by_creation,
        mapping.cohort_page,
        "List cohorts",
        reply=shapes.Many,
        query=(
            *_NAMES,
            Parameter("slug", "slug; may be repeated"),
            _BY_CREATION,
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
        nothing,
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
        nothing,
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
        mapping.numbered_by_creation,
        mapping.project_page,
        "List projects",
        reply=shapes.Many,
        query=(
            *_NAMES,
            Parameter("platform", "exact platform; may be repeated"),
            Parameter("os", "exact operating system; may be repeated"),
            _BY_CREATION,
        ),
        organization=mapping.whole_organization,
    ),
    _in_project(
        "GET", _PROJECT, projects.get, mapping.one_project, mapping.shown_project, "Read a project", reply=shapes.One
    ),
    _in_project(
        "PATCH",
        _PROJECT,
        projects.edit,
        mapping.change_project,
        mapping.shown_project,
        "Change a project",
        body=shapes.ProjectChange,
        reply=shapes.One,
    ),
    _in_project("DELETE", _PROJECT, projects.delete, no_input, nothing, "Delete an empty project", status=204),
    _in_project(
        "GET",
        f"{_PROJECT}/api_key",
        projects.key,
        no_input,
        mapping.api_key,
        "The key with which the project's devices report",
        reply=shapes.One,
        secret=True,
    ),
    _in_project(
        "POST",
        f"{_PROJECT}/api_key",
        projects.rotate,
        no_input,
        mapping.api_key,
        "A new project key; the one before stops working",
        reply=shapes.One,
        secret=True,
    ),
    Route("GET", "/auth/me", keys.caller, no_input, mapping.me, "Who the presented key is", reply=shapes.Me),
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
        f"{_PROJECT}/hardware_versions/{{name}}",
        hardware_versions.counted,
        mapping.one_hardware_version,
        mapping.hardware_version,
        "Read a hardware version",
        reply=shapes.One,
    ),
    _in_project(
        "GET",
        f"{_PROJECT}/software_types",
        software_versions.everything,
        mapping.numbered,
        mapping.software_types,
        "List types of software",
        reply=shapes.Many,
        query=_PAGE,
    ),
    _in_project(
        "GET",
        f"{_PROJECT}/software_types/{{type}}/software_versions",
        software_versions.everything,
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

_ATTRIBUTES = (
    _in_project(
        "GET",
        f"{_DEVICE}/reboots",
        checkin.reboots,
        mapping.list_reboots,
        mapping.reboot_page,
        "The times at which a device started anew, newest first",
        reply=shapes.One,
        query=(*_PAGE, Parameter("since", "then or later (ISO 8601)")),
    ),
    _in_project(
        "GET",
        f"{_DEVICE}/attributes",
        attributes.get,
        mapping.list_attributes,
        mapping.attribute_page,
        "A device's attributes, each with its definition",
        reply=shapes.Many,
        query=(*_PAGE, Parameter("q", "key, with * for anything; may be repeated")),
    ),
    _in_project(
        "PATCH",
        f"{_DEVICE}/attributes",
        attributes.put,
        mapping.set_attributes,
        nothing,
        "Set attributes, or take them away by null; what is new is defined by its first value",
        status=204,
        body=list[shapes.Attribute],
    ),
    _in_project(
        "POST",
        f"{_PROJECT}/custom-metrics",
        attributes.define,
        mapping.new_metric,
        mapping.metric,
        "Define an attribute",
        body=shapes.NewCustomMetric,
        reply=shapes.One,
    ),
    _in_project(
        "GET",
        f"{_PROJECT}/custom-metrics",
        metadata_fields.noun.page,
        mapping.list_metrics,
        mapping.metric_page,
        "List the definitions of attributes",
        reply=shapes.Many,
        query=_PAGE,
    ),
)

_CHECK_IN = (
    Route(
        "PATCH",
        "/api/v0/attributes",
        attributes.report,
        mapping.report_attributes,
        nothing,
        "As a device: set one's own attributes",
        status=204,
        body=list[shapes.Attribute],
        query=(Parameter("device_serial", "whose attributes"),),
    ),
    Route(
        "POST",
        "/api/v0/chunks/{device_serial}",
        checkin.take_chunks,
        mapping.take_chunks,
        mapping.accepted,
        "As a device: send chunks, one as it is or several as multipart; the device is made if it is new",
        status=202,
        body=bytes,
        body_required=False,
        reply=bytes,
        produces=("text/plain",),
        media_types=("application/octet-stream", "multipart/mixed"),
        encodings=("base64",),
    ),
    Route(
        "POST",
        "/api/v0/events",
        checkin.take_reports,
        mapping.take_events,
        mapping.queued,
        "As a device: report events as JSON",
        status=202,
        body=list[shapes.Event],
        reply=shapes.One,
    ),
    Route(
        "GET",
        "/api/v0/queue/{task}",
        checkin.done,
        no_input,
        mapping.queue_status,
        "What became of reported events: they were taken in before they were acknowledged",
        reply=shapes.QueueStatus,
    ),
    Route(
        "POST",
        "/api/v0/device-config",
        checkin.greet,
        mapping.ask_config,
        mapping.device_config,
        "As a device: ask how much to report",
        body=shapes.DeviceConfigRequest,
        reply=shapes.One,
    ),
    *(
        Route(
            "GET",
            f"/api/v0/releases/latest{suffix}",
            checkin.greet,
            mapping.ask_release,
            mapping.no_release,
            "As a device: ask for newer software; there is none",
            status=204,
            query=_ASKING,
        )
        for suffix in ("", "/url")
    ),
)

DIALECT = Dialect(
    name="memfault",
    title="Memfault management API",
    prefixes=("/api/v0/", "/auth/"),
    routes=(*_DEVICES, *_ATTRIBUTES, *_COHORTS, *_PROJECTS, *_VERSIONS),
    envelope=ENVELOPE,
    credentials=(BEARER, BASIC, API_KEY_HEADER),
)

_NEWER = {mapping.shown: mapping.newer_shown, mapping.page: mapping.newer_page}
OBJECT_HARDWARE = structs.replace(
    DIALECT,
    routes=tuple(structs.replace(route, encode=_NEWER.get(route.encode, route.encode)) for route in DIALECT.routes),
)
"""As newer clients know the API: a device's hardware version is an object with a name."""

DEVICE = Dialect(
    name="memfault_device",
    title="Memfault check-in API",
    prefixes=tuple(
        f"/api/v0/{path}" for path in ("attributes", "chunks/", "device-config", "events", "queue/", "releases/")
    ),
    routes=_CHECK_IN,
    envelope=DEVICE_ENVELOPE,
    credentials=(Form(Place.HEADER, "memfault-project-key", Issuer.PROJECT),),
    part_of="memfault",
)
