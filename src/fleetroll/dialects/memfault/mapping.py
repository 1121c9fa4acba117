"""Between Memfault's bodies and the inputs and results of operations. Pure; raises nothing but Fault.

`owner_ref` is the first of a device's owners, `nickname` its name; a `description`, which no other API has, lies in the
extras. A null in a change clears a text and leaves everything else as it is.
"""

import functools
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from msgspec import UNSET, Raw, structs

from fleetroll.core import chunks, descriptions, documents, limits, model, names
from fleetroll.core.documents import EMPTY
from fleetroll.core.faults import invalid
from fleetroll.core.guards import etag
from fleetroll.core.query import Comparison, Filter, Operator, Or, Pattern, Place, Sort, every, fits
from fleetroll.core.times import iso, parse_iso, read_iso
from fleetroll.dialects.memfault import shapes
from fleetroll.service import (
    attributes,
    checkin,
    cohorts,
    devices,
    fleet,
    hardware_versions,
    named,
    organizations,
    projects,
    views,
)
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request

T = TypeVar("T")
Hardware: TypeAlias = Callable[[str], str | shapes.HardwareName]
_SERIAL = re.compile(r"[-a-zA-Z0-9_]{1,128}")
_VERSION = re.compile(r"[-a-zA-Z0-9_.+:\\()\[\]/ ]{1,128}")
_MAX_NUMBER = 1 << 31
_DEFAULT_PAGE = 100


def project(path: Mapping[str, str]) -> tuple[str, str]:
    return path["organization"], path["project"]


def whole_organization(path: Mapping[str, str]) -> tuple[str, str]:
    return path["organization"], projects.DEFAULT


# --- devices out -----------------------------------------------------------------------------------------------------


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
        descriptions.read(record.extras),
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


@functools.lru_cache(maxsize=4096)
def software_of(version: model.SoftwareVersion) -> shapes.Software:
    return shapes.Software(version.id, version.version, False, software_type(version.type))


def software_type(name: str) -> shapes.SoftwareType:
    return shapes.SoftwareType(id=zlib.crc32(name.encode()) >> 1, name=name)


def shown(view: views.View, request: Request, hardware: Hardware = str) -> Reply:
    return Reply(shapes.One(device(view, request.path["project"], hardware)), etag=etag(view.device))


def page(result: views.Views, request: Request, hardware: Hardware = str) -> shapes.Many:
    slug = request.path["project"]
    return _many([device(view, slug, hardware) for view in result.views], result.total, request)


def newer_shown(view: views.View, request: Request) -> Reply:
    """As `shown`, for clients that read the hardware version as an object."""
    return shown(view, request, shapes.HardwareName)


def newer_page(result: views.Views, request: Request) -> shapes.Many:
    return page(result, request, shapes.HardwareName)


# --- devices in ------------------------------------------------------------------------------------------------------


def new_device(request: Request) -> model.NewDevice:
    body = request.body
    return model.NewDevice(
        ident=serial(body.device_serial),
        name=_nickname(body.nickname),
        hardware_version=hardware(body.hardware_version),
        owners=(names.owner_ref(body.owner_ref, "owner_ref"),) if body.owner_ref else (),
        cohort=_cohort(body.cohort),
        extras=descriptions.write(EMPTY, _text(body.description, "description")),
    )


def serial(text: str) -> str:
    if not _SERIAL.fullmatch(text):
        message = "device_serial must be 1 to 128 letters, digits, hyphens or underscores."
        raise invalid("invalid_body", message, "device_serial")
    return text


def hardware(given: str | shapes.HardwareName, field: str = "hardware_version") -> str:
    text = given if isinstance(given, str) else given.name
    if not _VERSION.fullmatch(text) or text != text.strip():
        message = f"{field} must be 1 to 128 letters, digits, spaces or any of -_.+:\\()[]/."
        raise invalid("invalid_body", message, field)
    return text


def _cohort(slug: str | None) -> str | None:
    return None if slug in {None, model.DEFAULT_COHORT} else names.slug(slug, "cohort")


def _nickname(text: str | None) -> str | None:
    return names.line(text, "nickname") if text else None


def _text(text: str | None, field: str) -> str:
    return names.paragraph(text or "", field)


def change_device(request: Request) -> views.Edit:
    body = request.body
    given: dict[str, Any] = {}
    if body.nickname is not UNSET:
        given["name"] = _nickname(body.nickname)
    if body.hardware_version is not UNSET and body.hardware_version is not None:
        given["hardware_version"] = hardware(body.hardware_version)
    if body.cohort is not UNSET and body.cohort is not None:
        given["cohort"] = _cohort(body.cohort)
    owner = None if body.owner_ref is UNSET else names.owner_ref(body.owner_ref, "owner_ref") if body.owner_ref else ""
    description = None if body.description is UNSET else _text(body.description, "description")

    def edit(record: model.Device) -> model.DeviceChange:
        change = dict(given)
        if owner is not None:
            change["owners"] = _owners(record.owners, owner)
        if description is not None:
            change["extras"] = descriptions.write(record.extras, description)
        return model.DeviceChange(**change)

    return views.Edit(request.path["device_serial"], edit, request.guard)


def _owners(owners: tuple[str, ...], first: str) -> tuple[str, ...]:
    """The owners with another one in the first place, or none there."""
    others = tuple(owner for owner in owners[1:] if owner != first)
    return (first, *others) if first else others


def one_device(request: Request) -> devices.Named:
    return devices.Named(request.path["device_serial"], request.guard)


# --- lists -----------------------------------------------------------------------------------------------------------


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
    query, (number, size) = request.query, _numbers(request)
    words = [_any_of([make(text) for text in query.all(name)]) for name, make in _WORDS]
    times = [
        Comparison("last_seen", operator, parse_iso(text, name))
        for name, operator in _TIMES
        if (text := query.get(name)) is not None
    ]
    return views.Listing(every(*words, *times), _sort(query.all("sort")), (number - 1) * size, size)


def list_cohort(request: Request) -> tuple[str, views.Listing]:
    return request.path["cohort"], list_devices(request)


def _like(field: str, text: str) -> Filter:
    """A text with wildcards, if it has any."""
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


def _numbers(request: Request) -> tuple[int, int]:
    """The number of the page, from 1, and how many records it may have: more than the most is the most."""
    number, size = request.query.get("page"), request.query.get("per_page")
    return (
        1 if number is None else names.positive(number, "page", _MAX_NUMBER),
        _DEFAULT_PAGE if size is None else min(names.positive(size, "per_page", _MAX_NUMBER), limits.MAX_NUMBERED_PAGE),
    )


def _many(found: list[Any], total: int, request: Request) -> shapes.Many:
    number, size = _numbers(request)
    return shapes.Many(found, shapes.Paging(len(found), total, number, -(-total // size), size))


def _cut(found: Iterable[Any], request: Request) -> shapes.Many:
    """One page of a list that is short enough to be made whole."""
    whole = list(found)
    number, size = _numbers(request)
    return _many(whole[(number - 1) * size : number * size], len(whole), request)


def numbered(request: Request) -> None:
    """The input of a list that takes nothing but its page, which is checked before anything is read."""
    _numbers(request)


def numbered_by_creation(request: Request) -> None:
    """As `numbered`, for a list that can be sorted by when its records were made."""
    _numbers(request)
    for key in request.query.all("sort"):
        if key.removeprefix("-") != "created_date":
            raise invalid("invalid_sort", "sort must be created_date, with - for descending.", "sort")


def _chosen(found: Iterable[T], request: Request, **read: Callable[[T], str | None]) -> list[T]:
    """The records with one of the values that are asked for of each member, if any are."""
    wanted = [(of, values) for name, of in read.items() if (values := request.query.all(name))]
    return [one for one in found if all(of(one) in values for of, values in wanted)]


def _by_creation(found: list[T], request: Request, made: Callable[[T], int]) -> list[T]:
    keys = request.query.all("sort")
    return sorted(found, key=made, reverse=keys[0].startswith("-")) if keys else found


# --- cohorts ---------------------------------------------------------------------------------------------------------


def cohort(result: cohorts.Counted, request: Request) -> shapes.One:
    return shapes.One(_cohort_shape(result))


def _cohort_shape(result: cohorts.Counted) -> shapes.Cohort:
    record = result.cohort
    made, changed = iso(record.created_at), iso(record.updated_at)
    return shapes.Cohort(record.id, record.name, record.slug, result.devices, None, made, changed)


def new_cohort(request: Request) -> model.Cohort:
    body = request.body
    return model.Cohort(0, 0, names.slug(body.slug) if body.slug else "", names.line(body.name, "name"), 0, 0, 0)


def one_cohort(request: Request) -> named.Named:
    return named.Named(request.path["cohort"], request.guard)


def change_cohort(request: Request) -> named.Edit:
    body = request.body
    if body.slug not in {UNSET, request.path["cohort"]}:
        raise invalid("read_only", "A cohort's slug stays as it was made.", "slug")
    change = {} if body.name is UNSET else {"name": names.line(body.name, "name")}
    return named.Edit(request.path["cohort"], change, request.guard)


def cohort_page(result: list[cohorts.Counted], request: Request) -> shapes.Many:
    found = _chosen(result, request, name=lambda one: one.cohort.name, slug=lambda one: one.cohort.slug)
    return _cut(map(_cohort_shape, _by_creation(found, request, lambda one: one.cohort.created_at)), request)


def place_devices(request: Request) -> fleet.Placing:
    body = request.body
    given = body if isinstance(body, list) else [*body.devices, *body.device_serials]
    if not given:
        raise invalid("invalid_body", "Give the devices to move.", "devices")
    if len(given) > limits.MAX_BULK_DEVICES:
        raise invalid("too_many_devices", f"Give at most {limits.MAX_BULK_DEVICES} devices.", "devices")
    return fleet.Placing(request.path["cohort"], tuple(dict.fromkeys(given)))


# --- projects, and who asks ------------------------------------------------------------------------------------------


def one_project(request: Request) -> str:
    return request.path["project"]


def project_shape(found: projects.Project) -> shapes.Project:
    record = found.organization
    made, changed = iso(record.created_at), iso(record.updated_at)
    said = record.profile
    return shapes.Project(
        record.id, record.name, found.slug, said.platform, said.os, found.key, found.devices, made, changed
    )


def shown_project(found: projects.Project, request: Request) -> shapes.One:
    return shapes.One(project_shape(found))


def project_page(found: list[projects.Project], request: Request) -> shapes.Many:
    chosen = _chosen(
        found,
        request,
        name=lambda one: one.organization.name,
        platform=lambda one: one.organization.profile.platform,
        os=lambda one: one.organization.profile.os,
    )
    ordered = _by_creation(chosen, request, lambda one: one.organization.created_at)
    return _cut(map(project_shape, ordered), request)


def new_project(request: Request) -> organizations.Described:
    body = request.body
    profile = model.OrganizationProfile(**_devices_of(body))
    slug, name = names.slug(body.slug) if body.slug else "", names.line(body.name, "name")
    return organizations.Described(slug, name, profile=profile)


def change_project(request: Request) -> projects.Edit:
    body = request.body
    name = None if body.name is None else names.line(body.name, "name")
    return projects.Edit(request.path["project"], name, _devices_of(body))


def _devices_of(body: shapes.NewProject | shapes.ProjectChange) -> dict[str, Any]:
    """What a body says of a project's devices."""
    given = {name: text for name in ("platform", "os") if (text := getattr(body, name)) is not UNSET}
    return {name: names.line(text, name) if text else None for name, text in given.items()}


def api_key(key: str, request: Request) -> shapes.One:
    return shapes.One(shapes.ApiKey(key))


def me(principal: model.Principal, request: Request) -> shapes.Me:
    key, home = principal.key, principal.home
    made = iso(key.created_at)
    return shapes.Me(key.id, "", key.name, made, made, [shapes.Organization(home.id, home.name, home.slug)])


# --- versions --------------------------------------------------------------------------------------------------------


def new_hardware_version(request: Request) -> model.HardwareVersion:
    body = request.body
    kind = body.primary_software_type
    kind = kind.name if isinstance(kind, shapes.SoftwareType) else kind
    found = None if not kind else names.line(kind, "primary_software_type", limits.MAX_VERSION)
    return model.HardwareVersion(0, 0, hardware(body.name, "name"), found, 0, 0, 0)


def made_hardware_version(record: model.HardwareVersion, request: Request) -> shapes.One:
    return shapes.One(_hardware_shape(hardware_versions.Counted(record, 0)))


def _hardware_shape(found: hardware_versions.Counted) -> shapes.HardwareVersion:
    record = found.version
    kind = None if record.software_type is None else software_type(record.software_type)
    return shapes.HardwareVersion(record.id, record.name, found.devices, kind, [kind] if kind else [])


def hardware_version_page(found: list[hardware_versions.Counted], request: Request) -> shapes.Many:
    return _cut(map(_hardware_shape, _chosen(found, request, name=lambda one: one.version.name)), request)


def one_hardware_version(request: Request) -> named.Named:
    return named.Named(request.path["name"], request.guard)


def hardware_version(found: hardware_versions.Counted, request: Request) -> shapes.One:
    return shapes.One(_hardware_shape(found))


def software_types(found: list[model.SoftwareVersion], request: Request) -> shapes.Many:
    by_type: dict[str, list[model.SoftwareVersion]] = {model.DEFAULT_SOFTWARE_TYPE: []}
    for version in found:
        by_type.setdefault(version.type, []).append(version)
    return _cut((_type_shape(name, versions) for name, versions in sorted(by_type.items())), request)


def _type_shape(name: str, versions: list[model.SoftwareVersion]) -> shapes.SoftwareTypeDetails:
    latest = max(versions, key=lambda version: version.id, default=None)
    return shapes.SoftwareTypeDetails(
        id=software_type(name).id,
        name=name,
        archived=False,
        created_date=iso(min((version.created_at for version in versions), default=0)),
        latest_software_version=None if latest is None else shapes.LatestSoftware(latest.id, latest.version, False),
        software_versions_count=len(versions),
        software_version_string_format=None,
    )


def one_software_version(request: Request) -> tuple[str, str]:
    return request.path["type"], request.path["version"]


def software_version(record: model.SoftwareVersion, request: Request) -> shapes.One:
    return shapes.One(_version_shape(record))


def _version_shape(record: model.SoftwareVersion) -> shapes.SoftwareVersion:
    made = iso(record.created_at)
    return shapes.SoftwareVersion(record.id, record.version, False, made, software_type(record.type))


def software_version_page(found: list[model.SoftwareVersion], request: Request) -> shapes.Many:
    kind = request.path["type"]
    return _cut((_version_shape(one) for one in found if one.type == kind), request)


# --- attributes ------------------------------------------------------------------------------------------------------


_DATA_TYPES = {
    model.FieldKind.STRING: "STRING",
    model.FieldKind.INTEGER: "INT",
    model.FieldKind.NUMBER: "FLOAT",
    model.FieldKind.BOOLEAN: "BOOL",
    model.FieldKind.JSON: "STRING",
}
_KINDS = {name: kind for kind, name in _DATA_TYPES.items() if kind is not model.FieldKind.JSON}


def set_attributes(request: Request) -> attributes.Setting:
    return attributes.Setting(request.path["device_serial"], _values(request))


def report_attributes(request: Request) -> attributes.Setting:
    ident = request.query.get("device_serial")
    if not ident:
        raise invalid("invalid_parameter", "device_serial is required.", "device_serial")
    return attributes.Setting(ident, _values(request))


def _values(request: Request) -> dict[str, shapes.Scalar]:
    given = {_key(one.string_key): one.value for one in request.body}
    if len(given) > limits.MAX_ATTRIBUTES:
        raise invalid("too_many_attributes", f"Give at most {limits.MAX_ATTRIBUTES} attributes.")
    return given


def _key(text: str) -> str:
    return names.label(text, "string_key", limits.MAX_NAME)


def list_attributes(request: Request) -> devices.Named:
    _numbers(request)
    return one_device(request)


def attribute_page(found: attributes.Attributes, request: Request) -> shapes.Many:
    wanted = [text.lower() for text in request.query.all("q")]
    return _cut((item for item in _items(found) if not wanted or any(_fits(item, text) for text in wanted)), request)


def _fits(item: shapes.AttributeItem, text: str) -> bool:
    key = item.string_key.lower()
    return fits(Pattern(tuple(text.split("*"))), key) if "*" in text else key == text


def _items(found: attributes.Attributes) -> list[shapes.AttributeItem]:
    """What is defined, then what the device has besides; of both only what can be an attribute."""
    record = found.device
    values, times = documents.load(record.metadata), documents.load(record.metadata_times)
    defined = {one.name: one for one in found.definitions}
    plain = [name for name in (*defined, *(name for name in values if name not in defined)) if _is_scalar(values, name)]
    return [_item(record, name, defined.get(name), values.get(name), times.get(name)) for name in plain]


def _is_scalar(values: Mapping[str, Any], name: str) -> bool:
    return not isinstance(values.get(name), dict | list)


def _item(
    record: model.Device, name: str, definition: model.MetadataField | None, value: Any, changed_at: int | None
) -> shapes.AttributeItem:
    kind = attributes.kind_of(value) if definition is None else definition.kind
    changed = iso(changed_at or record.created_at)
    state = None if value is None else shapes.AttributeState(value, changed, iso(record.created_at), changed)
    return shapes.AttributeItem(name, _metric(record.org, name, kind, definition), state)


def _metric(org: int, name: str, kind: model.FieldKind, definition: model.MetadataField | None) -> shapes.CustomMetric:
    description = definition.description if definition else None
    return shapes.CustomMetric(_uuid(org, name), name, "", description or "", _DATA_TYPES[kind])


def _uuid(org: int, text: str) -> str:
    """A UUID that is a function of the text: an attribute has one whether it is defined or not."""
    digits = hashlib.sha256(f"{org}:{text}".encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"


def new_metric(request: Request) -> model.MetadataField:
    body = request.body
    if body.data_type not in _KINDS:
        raise invalid("invalid_body", f"data_type must be one of {', '.join(_KINDS)}.", "data_type")
    description = _text(body.description, "description") or None
    return model.MetadataField(0, 0, _key(body.string_key), _KINDS[body.data_type], description, False, 0, 0, 0)


def metric(record: model.MetadataField, request: Request) -> shapes.One:
    return shapes.One(_metric(record.org, record.name, record.kind, record))


def list_metrics(request: Request) -> named.Listing:
    _numbers(request)
    return named.Listing(limits.DEFAULT_QUOTAS["metadata_fields"] * 100)


def metric_page(found: named.Page[model.MetadataField], request: Request) -> shapes.Many:
    return _cut((_metric(one.org, one.name, one.kind, one) for one in found.records), request)


# --- check-in --------------------------------------------------------------------------------------------------------


_REBOOTS = {"reboot", "trace"}
_CONFIG = {
    "revision": 1,
    "completed": None,
    "config": {
        "memfault": {
            "sampling": {
                "debugging.resolution": "normal",
                "logging.resolution": "normal",
                "monitoring.resolution": "normal",
            }
        }
    },
}


def take_chunks(request: Request) -> checkin.Chunks:
    if not request.body:
        raise invalid("length_required", "Send the chunk as the body of the request.")
    multipart = request.media_type == "multipart/mixed"
    found = chunks.contents(request.body, encoded=request.encoding == "base64", multipart=multipart)
    return checkin.Chunks(serial(request.path["device_serial"]), found)


def accepted(_: object, request: Request) -> Reply:
    return Reply(b"Accepted", media_type="text/plain")


def take_events(request: Request) -> list[tuple[str, checkin.Report]]:
    if len(request.body) > limits.MAX_CHUNKS:
        raise invalid("too_many_events", f"Send at most {limits.MAX_CHUNKS} events at a time.")
    return [_reported(event, f"{number}.") for number, event in enumerate(request.body)]


def _reported(event: shapes.Event, within: str = "") -> tuple[str, checkin.Report]:
    """Who reports, and what; `within` leads to the event in the body."""

    def word(name: str, text: str | None) -> str | None:
        if text and not _VERSION.fullmatch(text):
            raise invalid("invalid_body", "Not a valid version.", within + name)
        return text or None

    if not _SERIAL.fullmatch(event.device_serial):
        raise invalid("invalid_body", "Not a valid serial.", f"{within}device_serial")
    report = checkin.Report(
        hardware=word("hardware_version", event.hardware_version),
        software_type=word("software_type", event.software_type),
        version=word("software_version", event.software_version or event.release_version or event.fw_version),
        reboot=_reboot(event, within),
    )
    return event.device_serial, report


def _reboot(event: shapes.Event, within: str) -> checkin.Reboot | None:
    reason = (event.event_info or {}).get("reason")
    at = None if event.captured_date is None else read_iso(event.captured_date)
    if event.captured_date is not None and at is None:
        raise invalid("invalid_body", "Not a valid datetime.", f"{within}captured_date")
    if event.type.lower() not in _REBOOTS or not isinstance(reason, int) or isinstance(reason, bool):
        return None
    if not 0 <= reason < limits.LATEST_SECOND:
        raise invalid("invalid_body", "Not a valid integer.", f"{within}event_info.reason")
    return checkin.Reboot(reason, None, at)


def queued(_: object, request: Request) -> Reply:
    task = _uuid(0, " ".join(one.device_serial for one in request.body))
    location = f"/api/v0/queue/{task}"
    return Reply(shapes.One({"queue_url": location}), location=location)


def queue_status(_: object, request: Request) -> shapes.QueueStatus:
    return shapes.QueueStatus("SUCCESS")


def ask_config(request: Request) -> tuple[str, checkin.Report]:
    return _reported(shapes.Event(**structs.asdict(request.body.device)), "device.")


def device_config(_: object, request: Request) -> shapes.One:
    return shapes.One(_CONFIG)


def ask_release(request: Request) -> tuple[str, checkin.Report]:
    query = request.query
    given: dict[str, Any] = {name: query.get(name) for name in ("device_serial", "hardware_version", "software_type")}
    for name, text in given.items():
        if not text:
            raise invalid("invalid_parameter", f"{name} is required.", name)
    return _reported(shapes.Event(**given, software_version=query.get("current_version")))


def no_release(_: object, request: Request) -> Reply:
    return Reply(headers=(("memfault-reason", "latest"),))


def list_reboots(request: Request) -> checkin.Reboots:
    since = request.query.get("since")
    number, size = _numbers(request)
    first = 0 if since is None else parse_iso(since, "since")
    return checkin.Reboots(request.path["device_serial"], first, Place(size, (number - 1) * size))


def reboot_page(found: list[checkin.Restarted], request: Request) -> shapes.One:
    return shapes.One([_reboot_shape(one) for one in found])


def _reboot_shape(one: checkin.Restarted) -> shapes.Reboot:
    software = None if one.software is None else software_of(one.software)
    return shapes.Reboot("memfault", iso(one.at), one.data["reason"], one.data.get("register"), software)
