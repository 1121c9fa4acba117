"""Devices: as they are shown, written, changed and listed.

`owner_ref` is the first of a device's owners, `nickname` its name; a `description`, which no other API has, lies in the
extras. A null in a change clears a text and leaves everything else as it is.
"""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from msgspec import UNSET, Raw, structs

from fleetroll.core import documents, extras, limits, model, names
from fleetroll.core.documents import EMPTY
from fleetroll.core.faults import invalid
from fleetroll.core.guards import etag
from fleetroll.core.query import Comparison, Filter, Operator, Or, Pattern, Slice, Sort, every
from fleetroll.core.times import iso, require_iso
from fleetroll.dialects.memfault.mapping.hardware_versions import hardware, name_of
from fleetroll.dialects.memfault.mapping.paging import many, offset_page
from fleetroll.dialects.memfault.mapping.software_versions import software_of
from fleetroll.dialects.memfault.shapes import devices as shapes
from fleetroll.dialects.memfault.shapes.envelopes import One
from fleetroll.dialects.memfault.shapes.hardware_versions import HardwareName
from fleetroll.service import cohorts, devices, views
from fleetroll.wire.dialect import LongList, Reply
from fleetroll.wire.request import Request

Hardware: TypeAlias = Callable[[str], str | HardwareName]
SERIAL = re.compile(r"[-a-zA-Z0-9_]{1,128}")


def device(view: views.View, slug: str, hardware: Hardware = str) -> shapes.Device:
    """A device; `hardware` spells the name of its hardware version."""
    record, organization, software = view.device, view.organization, view.software
    # By position: this runs for every device of every page.
    return shapes.Device(
        record.id,
        iso(record.created_at),
        iso(record.updated_at),
        record.ident,
        record.owners[0] if record.owners else "",
        hardware(record.hardware_version or ""),
        None if record.last_seen is None else iso(record.last_seen),
        None if software is None else _release(software, bytes(record.software or EMPTY)),
        _in_cohort(view.cohort),
        record.name or "",
        extras.description(record.extras),
        _in_project(organization.id, organization.name, slug),
        None if software is None else software_of(software),
    )


# What many devices of a list share is made once.


@functools.lru_cache(maxsize=4096)
def _release(version: model.SoftwareVersion, software: bytes) -> shapes.Release:
    build = documents.load(Raw(software)).get("build")
    return shapes.Release(version.id, version.version, build or "")


@functools.lru_cache(maxsize=1024)
def _in_cohort(cohort: model.Cohort) -> shapes.InCohort:
    return shapes.InCohort(cohort.id, cohort.name, cohort.slug)


@functools.lru_cache(maxsize=1024)
def _in_project(organization: int, name: str, slug: str) -> shapes.InProject:
    return shapes.InProject(organization, name, slug)


def shown(view: views.View, request: Request, hardware: Hardware = str) -> Reply:
    tag = etag(view.device, view.device.last_seen, view.cohort.name, view.organization.name)
    return Reply(One(device(view, request.path["project"], hardware)), etag=tag)


def page(result: Slice[views.View], request: Request, hardware: Hardware = str) -> LongList:
    slug = request.path["project"]
    return many(result.records, result.total, lambda view: device(view, slug, hardware), request)


def newer_shown(view: views.View, request: Request) -> Reply:
    """As `shown`, for clients that read the hardware version as an object."""
    return shown(view, request, HardwareName)


def newer_page(result: Slice[views.View], request: Request) -> LongList:
    return page(result, request, HardwareName)


def new_device(request: Request) -> model.NewDevice:
    body = request.body
    return model.NewDevice(
        ident=serial(body.device_serial),
        name=_nickname(body.nickname),
        hardware_version=hardware(body.hardware_version),
        owners=(names.owner_ref(body.owner_ref, "owner_ref"),) if body.owner_ref else (),
        cohort=names.cohort(body.cohort),
        extras=extras.with_description(EMPTY, names.paragraph(body.description or "", "description")),
    )


def serial(text: str) -> str:
    if not SERIAL.fullmatch(text):
        message = "device_serial must be 1 to 128 letters, digits, hyphens or underscores."
        raise invalid("invalid_body", message, "device_serial")
    return text


def _nickname(text: str | None) -> str | None:
    return names.line(text, "nickname") if text else None


def change_device(request: Request) -> devices.Edit:
    body = request.body
    members: dict[str, Any] = {}
    if body.nickname is not UNSET:
        members["name"] = _nickname(body.nickname)
    if body.cohort is not UNSET and body.cohort is not None:
        members["cohort"] = names.cohort(body.cohort)
    version = None if body.hardware_version is UNSET else body.hardware_version
    owner = None if body.owner_ref is UNSET else names.owner_ref(body.owner_ref, "owner_ref") if body.owner_ref else ""
    description = None if body.description is UNSET else names.paragraph(body.description or "", "description")

    def edit(record: model.Device) -> model.DeviceChange:
        change = dict(members)
        # Clients send a whole device back, without a hardware version or with one that another API named.
        if version is not None and name_of(version) != (record.hardware_version or ""):
            change["hardware_version"] = hardware(version)
        if owner is not None:
            change["owners"] = _owners(record.owners, owner)
        if description is not None:
            change["extras"] = extras.with_description(record.extras, description)
        return model.DeviceChange(**change)

    return devices.Edit(request.path["device_serial"], edit, request.guard)


def _owners(owners: tuple[str, ...], first: str) -> tuple[str, ...]:
    """The owners with `first` in the first place; none if it is empty, or the client would be shown the next one."""
    return model.led_by(owners, first) if first else ()


def one_device(request: Request) -> devices.Named:
    return devices.Named(request.path["device_serial"], request.guard)


_SORTS = {
    "last_seen": "last_seen",
    "device_serial": "ident",
    "nickname": "name",
    "created_date": "created_at",
    "updated_date": "updated_at",
    "id": "id",
}
_WORDS: tuple[tuple[str, Callable[[str], Filter]], ...] = (
    ("release", lambda text: Comparison("software_version", Operator.EQ, text)),
    ("owner_ref", lambda text: Comparison("owners", Operator.HAS, names.owner_key(text))),
    ("hardware_version", lambda text: Comparison("hardware_version", Operator.EQ, text)),
    ("cohort", cohorts.within),
    ("device_serial", lambda text: _like("ident", text)),
)
_TIMES = (("last_seen_since", Operator.GE), ("last_seen_until", Operator.LE))


def list_devices(request: Request) -> views.Listing:
    query, page = request.query, offset_page(request)
    words = [_any_of([make(text) for text in query.all(name)]) for name, make in _WORDS]
    times = [
        Comparison("last_seen", operator, require_iso(text, name))
        for name, operator in _TIMES
        if (text := query.get(name)) is not None
    ]
    return views.Listing(every(*words, *times), _sort(query.all("sort")), page.offset, page.limit)


def list_cohort(request: Request) -> views.OfCohort:
    return views.OfCohort(request.path["cohort"], list_devices(request))


def _like(field: str, text: str) -> Filter:
    """Matches a text, by its wildcards if it has any."""
    if "*" not in text:
        return Comparison(field, Operator.EQ, text)
    return Comparison(field, Operator.LIKE, Pattern(tuple(text.split("*"))))


def _any_of(parts: Sequence[Filter]) -> Filter | None:
    if len(parts) > limits.MAX_PREDICATES:
        raise invalid("too_many_parameters", f"Give at most {limits.MAX_PREDICATES} values of one parameter.")
    return Or(tuple(parts)) if len(parts) > 1 else next(iter(parts), None)


def _sort(keys: Sequence[str]) -> Sort:
    """Each key orders what those before it leave equal."""
    for key in keys:
        if key.removeprefix("-") not in _SORTS:
            raise invalid("invalid_sort", f"sort must be one of {', '.join(_SORTS)}, with - for descending.", "sort")
    named: dict[str, bool] = {}
    for key in keys:
        named.setdefault(key.removeprefix("-"), key.startswith("-"))
    sorts = [Sort(_SORTS[name], descending) for name, descending in named.items()]
    return structs.replace(sorts[0], then=tuple(sorts[1:])) if sorts else Sort()
