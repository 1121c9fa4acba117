"""Between the bodies of our own API and the inputs and results of operations. Pure; raises nothing but Fault."""

import base64
import functools
import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Raw, UnsetType, structs

from fleetroll.bus.port import Minted, State
from fleetroll.core import (
    documents,
    encodings,
    groups,
    limits,
    model,
    names,
    patch,
    policy,
    readings,
    schema,
    templates,
)
from fleetroll.core.certificates import KeyKind, Reason, SignedList, check_made
from fleetroll.core.dms import Admission, Distribution, Dms, Profile, Renewal, Settings
from fleetroll.core.documents import EMPTY, Document
from fleetroll.core.faults import Fault, brief, invalid
from fleetroll.core.fields import DEVICE_FIELDS, EVENT_FIELDS, device_filter
from fleetroll.core.filtering import instant as moment
from fleetroll.core.filtering import parse_filter
from fleetroll.core.guards import etag
from fleetroll.core.identity import Windows
from fleetroll.core.query import Filter, Page, Search, every, parse_sort
from fleetroll.core.times import http_date
from fleetroll.dialects.native import shapes
from fleetroll.service import (
    authorities,
    binding,
    certificates,
    checkin,
    commands,
    credentials,
    devices,
    event_codes,
    events,
    fleet,
    keys,
    named,
    organizations,
    owners,
    software_versions,
    telemetry,
    timeline,
)
from fleetroll.service import templates as service_templates
from fleetroll.wire.bodies import convert
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,128}")  # one word of a subject
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_READ_ONLY = frozenset(shapes.COLUMNS) - frozenset(model.NewDevice.__struct_fields__)
_SECOND = 1_000_000
_ORGANIZATIONS = "/v1/organizations/"


def when(instant: int | None) -> datetime | None:
    return None if instant is None else _EPOCH + timedelta(microseconds=instant)


@functools.lru_cache(maxsize=4096)
def at(instant: int) -> datetime:
    """The time of an instant. Remembered: devices that came together share theirs."""
    return _EPOCH + timedelta(microseconds=instant)


def instant(moment: datetime | None, field: str) -> int | None:
    """Microseconds of a time that a client sent. Raises Fault invalid for one without an offset."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise invalid("invalid_time", f"{field} needs an offset from UTC, such as Z.", field)
    found = (moment - _EPOCH) // timedelta(microseconds=1)
    if found > _LAST:  # at an offset the last year is longer than any calendar of ours
        raise invalid("invalid_time", f"{field} lies beyond the year 9999.", field)
    return found


def _path(*segments: str) -> str:
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)


# --- devices out -----------------------------------------------------------------------------------------------------


def device(record: model.Device) -> shapes.Device:
    seen, activated = record.last_seen, record.activated_at
    created = at(record.created_at)
    # One at a time, by position: this runs for every device of every page and export.
    return shapes.Device(
        record.id,
        record.ident,
        record.name,
        record.kind,
        record.hardware_version,
        record.software,
        record.metadata,
        record.tags,
        record.owners,
        record.schema,
        record.config,
        record.template,
        record.status,
        record.connected,
        None if seen is None else at(seen),
        None if activated is None else at(activated),
        created,
        created if record.updated_at == record.created_at else at(record.updated_at),
        record.revision,
        record.cohort or model.DEFAULT_COHORT,
    )


def shown(record: model.Device, request: Request) -> Reply:
    return Reply(device(record), etag=etag(record))


def created(record: model.Device, request: Request) -> Reply:
    return Reply(device(record), etag=etag(record), location=_path("devices", record.ident))


def stored(result: devices.Stored, request: Request) -> Reply:
    if result.created:
        return structs.replace(created(result.device, request), status=201)
    return shown(result.device, request)


def exported(record: model.Device, request: Request) -> shapes.Device:
    return device(record)


def page(result: devices.Devices, request: Request) -> shapes.DeviceList:
    cursor = None if result.next is None else request.mark(result.next, _binding(request))
    total = UNSET if result.total is None else result.total
    return shapes.DeviceList([device(record) for record in result.devices], cursor, total)


def stats(counts: model.Counts, request: Request) -> shapes.Stats:
    return shapes.Stats(
        counts.total, counts.by_status, counts.by_kind, counts.by_tag, counts.by_connected, counts.by_cohort
    )


def nothing(_: object, request: Request) -> None:
    return None


def row_result(result: fleet.Result, request: Request) -> shapes.RowResult:
    fault = result.fault
    error = None if fault is None else shapes.RowError(fault.code, fault.message, fault.field)
    return shapes.RowResult(result.outcome.value, result.ident, result.line, error)


def cells(shape: shapes.Device) -> list[str]:
    """A device as a CSV record, which `uncells` reads back unchanged."""
    return [_cell(name, value) for name, value in zip(shapes.COLUMNS, structs.astuple(shape), strict=True)]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Raw):
        return bytes(value).decode()
    if isinstance(value, tuple):
        return _list_cell(value)
    return msgspec.json.encode(value).decode().strip('"')


def _list_cell(values: tuple[str, ...]) -> str:
    if any("," in value for value in values) or (values and values[0].startswith("[")):
        return json.dumps(values, ensure_ascii=False)
    return ",".join(values)


# --- devices in ------------------------------------------------------------------------------------------------------


def new_device(request: Request) -> model.NewDevice:
    shape = request.body
    return model.NewDevice(ident=names.ident(shape.ident), **_members(shape))


def put_device(request: Request) -> devices.Put:
    """Members that are left out fall back to their defaults: a PUT says all that there is to say."""
    ident = names.ident(request.path["ident"])
    if request.body.ident not in {UNSET, ident}:
        raise invalid("ident_mismatch", "The body names another device than the path.", "ident")
    return devices.Put(ident, model.DeviceChange(**{**_DEFAULTS, **_members(request.body)}), guard=request.guard)


_DEFAULTS: dict[str, Any] = {
    "name": None,
    "kind": None,
    "hardware_version": None,
    "software": None,
    "metadata": EMPTY,
    "tags": (),
    "owners": (),
    "schema": EMPTY,
    "config": EMPTY,
    "template": None,
    "cohort": None,
}


# Plain JSON may be either.
_PATCH_KINDS: dict[str, type] = {"application/json-patch+json": list, "application/merge-patch+json": dict}


def edit_device(request: Request) -> devices.Edit:
    """A list is a JSON Patch, an object a merge patch, as their types say; both see the device as `GET` shows it."""
    body = request.body
    if not isinstance(body, _PATCH_KINDS.get(request.media_type, list | dict)):
        raise invalid("invalid_patch", "The body is not the kind of patch that its Content-Type says.")
    if isinstance(body, list):
        operations = patch.parse_operations(body)
        return _edit(request, lambda document: patch.apply_json_patch(document, operations, longest=limits.MAX_DEVICE))
    if not isinstance(body, dict):
        raise invalid("invalid_patch", "A patch is an object (merge patch) or a list of operations (JSON Patch).")
    if unknown := body.keys() - set(shapes.COLUMNS):
        first = brief(min(unknown))
        raise invalid("invalid_body", f"A device has no member {first}.", first)
    return _edit(request, lambda document: patch.apply_merge_patch(document, body))


def _edit(request: Request, apply: Callable[[dict[str, Any]], Any]) -> devices.Edit:
    def edit(record: model.Device) -> model.DeviceChange:
        before = msgspec.json.decode(msgspec.json.encode(device(record)))
        after = apply(before)
        for name in _READ_ONLY:
            if not documents.same_value(after.get(name), before[name]):
                raise invalid("read_only", f"{name} cannot be changed.", name)
        if "ident" not in after:
            raise invalid("read_only", "ident cannot be removed.", "ident")
        # What a patch removed falls back to its default, as what a PUT leaves out does.
        return replacement(convert(after, shapes.DeviceInput))

    return devices.Edit(request.path["ident"], edit, request.guard)


def change(shape: shapes.DeviceInput) -> model.DeviceChange:
    """The given members; the others stay."""
    members = _members(shape)
    if shape.ident is not UNSET:
        members["ident"] = names.ident(shape.ident)
    return model.DeviceChange(**members)


def replacement(shape: shapes.DeviceInput) -> model.DeviceChange:
    """The given members; the others fall back to their defaults."""
    given = structs.asdict(change(shape))
    return model.DeviceChange(**{**_DEFAULTS, **{name: value for name, value in given.items() if value is not UNSET}})


def _members(shape: shapes.DeviceInput) -> dict[str, Any]:
    """The given members, checked, in the core's types."""
    members: dict[str, Any] = {}
    for name, read in _READERS.items():
        value = getattr(shape, name)
        if value is not UNSET:
            members[name] = read(value)
    return members


def _line(field: str, longest: int) -> Callable[[str | None], str | None]:
    return lambda value: None if value is None else names.line(value, field, longest)


def _software(value: shapes.Software | None) -> Document | None:
    if value is None:
        return None
    given = {name: names.line(text, f"software.{name}") for name, text in structs.asdict(value).items() if text}
    return documents.of(given, "software")


def _tags(values: list[str]) -> tuple[str, ...]:
    return names.unique([names.tag(value) for value in values], limits.MAX_TAGS, "tags")


def _owners(values: list[str]) -> tuple[str, ...]:
    return names.unique([names.owner_ref(value) for value in values], limits.MAX_OWNERS_PER_DEVICE, "owners")


def _template_number(value: int | None) -> int | None:
    if value is not None and not 0 < value <= names.MAX_ID:
        raise invalid("out_of_range", "template must be the number of a template.", "template")
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "name": _line("name", limits.MAX_NAME),
    "kind": _line("kind", limits.MAX_KIND),
    "hardware_version": _line("hardware_version", limits.MAX_VERSION),
    "software": _software,
    "metadata": lambda value: documents.of(value, "metadata"),
    "tags": _tags,
    "owners": _owners,
    "schema": schema.parse_schema,
    "config": lambda value: documents.of(value, "config"),
    "template": _template_number,
    "cohort": lambda value: None if value in {None, model.DEFAULT_COHORT} else names.slug(value, "cohort"),
}


def transfer(request: Request) -> devices.Transfer:
    body = request.body
    owners = None if body.owners is UNSET else _owners(body.owners)
    organization = None if body.organization is UNSET else body.organization
    if owners is None and organization is None:
        raise invalid("nothing_to_do", "Give owners, an organization, or both.", "organization")
    return devices.Transfer(request.path["ident"], organization, owners, request.guard)


def one(request: Request) -> devices.Named:
    return devices.Named(request.path["ident"], request.guard)


def listing(request: Request) -> devices.Listing:
    query = request.query
    sort = parse_sort(query.get("sort") or "", DEVICE_FIELDS)
    return devices.Listing(_filter(request), sort, Page(_limit(request), _after(request)), query.flag("count"))


def group_members(request: Request) -> tuple[str, devices.Listing]:
    return request.path["name"], listing(request)


def _filter(request: Request) -> Filter | None:
    text = request.query.get("q")
    search = Search(names.line(text, "q")) if text else None
    return every(search, device_filter(request.query.get("filter") or ""))


def _limit(request: Request) -> int:
    text = request.query.get("limit")
    return limits.DEFAULT_PAGE if text is None else names.positive(text, "limit", limits.MAX_PAGE)


def _after(request: Request) -> Any:
    token = request.query.get("cursor")
    return None if token is None else tuple(request.resume(token, _binding(request)))


def _binding(request: Request) -> str:
    """What a list depends on: a cursor of one filter or order is no good for another."""
    return repr([pair for pair in request.query.pairs if pair[0] in {"filter", "sort", "q"}])


# --- telemetry and credentials ----------------------------------------------------------------------------------------


def new_readings(request: Request) -> telemetry.Batch:
    points = [telemetry.Point(one.metric, one.value, instant(one.at, "at")) for one in request.body.readings]
    return telemetry.Batch(request.path["ident"], points)


def written(count: int, request: Request) -> shapes.Written:
    return shapes.Written(count)


def read_telemetry(request: Request) -> devices.Named | telemetry.Wanted | telemetry.Summary:
    query, ident = request.query, request.path["ident"]
    metric = query.get("metric")
    if metric is None:
        if query.pairs:
            raise invalid("metric_required", "A stretch of time is of one metric.", "metric")
        return devices.Named(ident)
    if query.get("interval") is not None:
        return _summary(request, metric)
    since, until = _moment(request, "from"), _moment(request, "to")
    text, token = query.get("limit"), query.get("cursor")
    limit = limits.DEFAULT_RANGE if text is None else names.positive(text, "limit", limits.MAX_RANGE)
    after = None if token is None else request.resume(token, _stretch(request))
    span = model.Span(since or 0, names.MAX_ID if until is None else until)
    return telemetry.Wanted(ident, metric, span, limit, _descending(request), after)


def _summary(request: Request, metric: str) -> telemetry.Summary:
    interval = readings.parse_interval(request.query.get("interval") or "")
    since, until = _moment(request, "from"), _moment(request, "to")
    named = request.query.get("aggregate")
    wanted = tuple(dict.fromkeys(named.split(","))) if named else ("mean", "min", "max", "count", "last")
    for name in wanted:
        if name not in readings.AGGREGATES:
            known = ", ".join(readings.AGGREGATES)
            raise invalid("invalid_parameter", f"There is no aggregate {brief(name)}; there are {known}.", "aggregate")
    return telemetry.Summary(request.path["ident"], metric, since, until, interval, wanted)


def _moment(request: Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    found = moment(text)
    if found is None or found < 0:
        raise invalid("invalid_time", f"{name} must be a time since 1970 like 2026-01-31T12:00:00Z.", name)
    return found


def _descending(request: Request) -> bool:
    order = request.query.get("order")
    if order not in {None, "asc", "desc"}:
        raise invalid("invalid_parameter", "order must be asc or desc.", "order")
    return order == "desc"


def _stretch(request: Request) -> str:
    return repr([pair for pair in request.query.pairs if pair[0] in {"metric", "from", "to", "order"}])


def shown_telemetry(
    result: list[model.Reading] | telemetry.Series | telemetry.Buckets, request: Request
) -> shapes.Telemetry:
    if isinstance(result, telemetry.Buckets):
        return shapes.Telemetry(buckets=[_bucket(bucket, result.aggregates) for bucket in result.buckets])
    if isinstance(result, list):
        return shapes.Telemetry(list(map(_reading, result)))
    cursor = None if result.next is None else request.mark(result.next, _stretch(request))
    return shapes.Telemetry(list(map(_reading, result.readings)), next_cursor=cursor)


def _reading(record: model.Reading) -> shapes.Reading:
    return shapes.Reading(record.metric, _EPOCH + timedelta(microseconds=record.at), record.value)


def _bucket(record: model.Bucket, aggregates: tuple[str, ...]) -> dict[str, Any]:
    return {"at": at(record.at), **{name: readings.AGGREGATES[name](record) for name in aggregates}}


def credentials_of(result: credentials.Credentials, request: Request) -> shapes.Credentials:
    return shapes.Credentials(
        result.kinds,
        UNSET if result.device_token is None else result.device_token,
        [credential(record) for record in result.broker] or UNSET,
        UNSET if result.minted is None else _nats(result.minted),
    )


def received_chunks(result: checkin.Received, request: Request) -> shapes.Chunks:
    kept = [shapes.Chunk(at(came), base64.b64encode(data).decode()) for came, data in result.kept]
    return shapes.Chunks(result.box.received, result.box.undecoded, result.box.partial is not None, kept)


# --- many devices ----------------------------------------------------------------------------------------------------


def import_row(line: int, shape: shapes.ImportedDevice) -> fleet.Row:
    put = devices.Put(names.ident(shape.ident), model.DeviceChange(**_members(shape)))
    description = None if shape.description is UNSET else names.paragraph(shape.description, "description")
    return fleet.Row(line, put, None, description, None if shape.seen_at is UNSET else _instant(shape.seen_at))


def _instant(time: datetime) -> int:
    """Microseconds of a time, which is UTC without an offset."""
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def bad_row(line: int, fault: Fault) -> fleet.Row:
    return fleet.Row(line, None, fault)


def check_columns(columns: list[str]) -> None:
    """Raises Fault invalid for a CSV header that no row below it could satisfy, or that says one thing twice."""
    members = [column for column in columns if column.startswith("metadata.")]
    for column in columns:
        if column not in shapes.COLUMNS and column not in members:
            known = ", ".join(shapes.COLUMNS)
            raise invalid("unknown_column", f"There is no column {column}; there are {known} and metadata.….", column)
    if "ident" not in columns:
        raise invalid("column_required", "The CSV header has no column ident.", "ident")
    if members and "metadata" in columns:
        raise invalid("invalid_csv", "Give the column metadata or columns like metadata.x, not both.", "metadata")


def uncells(record: dict[str, str]) -> dict[str, Any]:
    """A CSV record as the object it stands for. An empty cell says nothing; `metadata.x` is a text in metadata."""
    found: dict[str, Any] = {}
    for column, cell in record.items():
        if column.startswith("metadata.") and cell:
            found.setdefault("metadata", {})[column.removeprefix("metadata.")] = cell
        elif cell:
            found[column] = _uncell(column, cell)
    return found


def _uncell(column: str, cell: str) -> Any:
    if column in shapes.JSON_COLUMNS:
        return _json_cell(column, cell)
    if column in shapes.LIST_COLUMNS:
        return _json_cell(column, cell) if cell.startswith("[") else [part.strip() for part in cell.split(",")]
    if column in shapes.NUMBER_COLUMNS:
        return names.positive(cell, column, names.MAX_ID)
    return cell


def _json_cell(column: str, cell: str) -> Any:
    if cell.startswith("["):
        return convert(documents.parse(f'{{"{column}":{cell}}}', column)[column], list[str])
    return documents.parse(cell, column)


def import_devices(request: Request) -> fleet.Import:
    mode = request.query.get("mode")
    if mode not in {None, "upsert", "create"}:
        raise invalid("invalid_parameter", "mode must be upsert or create.", "mode")
    assert request.rows is not None
    return fleet.Import(request.rows, mode == "create", request.query.flag("dry_run"))


def export_filter(request: Request) -> Filter | None:
    return _filter(request)


def _scope(shape: shapes.BulkUpdate | shapes.BulkTag | shapes.BulkDelete) -> Filter | None:
    found = device_filter(shape.filter)
    if (found is None) != shape.all:
        raise invalid("filter_required", 'Give a filter, or "all": true to mean every device; not both.', "filter")
    return found


def bulk_update(request: Request) -> fleet.Sweep:
    wanted = change(request.body.set)
    if wanted.ident is not UNSET:
        raise invalid("read_only", "Devices cannot all have one identifier.", "set.ident")
    return fleet.Sweep(_scope(request.body), lambda _: wanted, request.body.dry_run)


def bulk_tag(request: Request) -> fleet.Sweep:
    added, removed = _tags(request.body.add), set(_tags(request.body.remove))
    if not added and not removed:
        raise invalid("nothing_to_do", "Give tags to add or to remove.", "add")

    def edit(record: model.Device) -> model.DeviceChange:
        kept = [tag for tag in record.tags if tag not in removed]
        return model.DeviceChange(tags=names.unique([*kept, *added], limits.MAX_TAGS, "tags"))

    return fleet.Sweep(_scope(request.body), edit, request.body.dry_run)


def bulk_delete(request: Request) -> fleet.Removal:
    return fleet.Removal(_scope(request.body), request.body.dry_run)


# --- timeline --------------------------------------------------------------------------------------------------------


def event(record: model.Event, request: Request) -> shapes.Event:
    return shapes.Event(
        record.id,
        at(record.at),
        record.type,
        record.subject,
        record.subject_id,
        record.name,
        record.actor,
        record.request,
        record.data,
    )


def history(request: Request) -> timeline.History:
    token = request.query.get("cursor")
    before = names.MAX_ID if token is None else request.resume(token, "")
    return timeline.History(request.path["ident"], before, _limit(request))


def event_page(result: timeline.Events, request: Request) -> shapes.EventList:
    cursor = None if result.next is None else request.mark(result.next, "")
    return shapes.EventList([event(record, request) for record in result.events], cursor)


def follow(request: Request) -> events.Follow:
    last = request.last_event_id or request.query.get("after")
    after = None if last is None else 0 if last == "0" else names.positive(last, "Last-Event-ID", names.MAX_ID)
    filter = parse_filter(request.query.get("filter") or "", EVENT_FIELDS)
    return events.Follow(after, filter, request.query.flag("telemetry"))


# --- organizations ---------------------------------------------------------------------------------------------------


def organization(record: model.Organization, usage: dict[str, int] | UnsetType = UNSET) -> shapes.Organization:
    return shapes.Organization(
        record.id,
        record.slug,
        record.name,
        record.parent,
        record.disabled,
        {**limits.DEFAULT_QUOTAS, **record.quotas},
        at(record.created_at),
        at(record.updated_at),
        record.revision,
        record.profile.description,
        record.profile.time_zone,
        record.profile.unit_system.value,
        record.profile.phone,
        None if record.profile.address is None else shapes.Address(**structs.asdict(record.profile.address)),
        record.profile.platform,
        record.profile.os,
        usage,
    )


def account(result: organizations.Account, request: Request) -> Reply:
    return Reply(organization(result.organization, result.usage), etag=etag(result.organization))


def new_account(result: organizations.Account, request: Request) -> Reply:
    return structs.replace(account(result, request), location=_ORGANIZATIONS + result.organization.slug)


def children(result: organizations.Children, request: Request) -> shapes.OrganizationList:
    return shapes.OrganizationList([organization(found) for found in result.organizations], _mark(result.next, request))


def list_children(request: Request) -> organizations.Listing:
    return organizations.Listing(_limit(request), _resume(request))


def new_organization(request: Request) -> organizations.Described:
    body = request.body
    name = None if body.name is None else names.line(body.name, "name")
    profile = model.OrganizationProfile(**_profile(body))
    return organizations.Described(names.slug(body.slug), name, _quotas(body.quotas) or {}, profile)


def one_organization(request: Request) -> organizations.Named:
    return organizations.Named(request.path["slug"], request.guard)


def change_organization(request: Request) -> organizations.Change:
    body = request.body
    name = None if body.name is None else names.line(body.name, "name")
    quotas = _quotas(body.quotas)
    return organizations.Change(request.path["slug"], name, body.disabled, quotas, _profile(body), request.guard)


def _profile(body: Any) -> dict[str, Any]:
    """The members of an organization's profile that a body gives."""
    given = {name: getattr(body, name) for name in model.OrganizationProfile.__struct_fields__}
    members = _texts(given.items(), limits.MAX_TEXT)
    if "time_zone" in members:
        names.time_zone(members["time_zone"], "time_zone")
    if "unit_system" in members:
        members["unit_system"] = _choice(model.UnitSystem, members["unit_system"], "unit_system")
    if members.get("address") is not None:
        members["address"] = model.Address(**_texts(structs.asdict(members["address"]).items(), limits.MAX_NAME))
    return members


def _quotas(quotas: dict[str, int] | None) -> dict[str, int] | None:
    if quotas and (unknown := quotas.keys() - limits.DEFAULT_QUOTAS.keys()):
        known = ", ".join(limits.DEFAULT_QUOTAS)
        raise invalid("unknown_quota", f"There is no quota {brief(min(unknown))}; there are {known}.", "quotas")
    return quotas


# --- keys ------------------------------------------------------------------------------------------------------------


def key(record: model.Key) -> shapes.Key:
    return shapes.Key(
        record.id,
        record.name,
        record.kind.value,
        record.role.value,
        record.scopes,
        at(record.created_at),
        when(record.expires_at),
        when(record.revoked_at),
        when(record.last_used_at),
    )


def issued(result: keys.Issued, request: Request) -> Reply:
    location = _path("keys", str(result.key.id))
    if result.key.kind is model.KeyKind.API:
        return Reply(structs.replace(key(result.key), key=result.token), location=location)
    if result.minted is not None:
        return Reply(structs.replace(key(result.key), nats=_nats(result.minted)), location=location)
    client_id, secret = result.client
    return Reply(structs.replace(key(result.key), client_id=client_id, client_secret=secret), location=location)


def _nats(minted: Minted) -> shapes.NatsCredentials:
    return shapes.NatsCredentials(minted.api_key, minted.secret)


def credential(record: model.Credential) -> shapes.Credential:
    return shapes.Credential(record.id, record.kind.value, record.user, when(record.created_at))


def command(request: Request) -> commands.Command:
    body = request.body
    env = None if body.env is None else _word(body.env, "env")
    return commands.Command(request.path["ident"], _word(body.name, "name"), body.data, env)


def question(request: Request) -> commands.Question:
    seconds = request.body.timeout
    if not 0.1 <= seconds <= limits.LONGEST_CALL:
        raise invalid("out_of_range", f"timeout must be from 0.1 to {limits.LONGEST_CALL} seconds.", "timeout")
    return commands.Question(command(request), seconds)


def _word(value: str, field: str) -> str:
    if not _WORD.fullmatch(value):
        raise invalid("invalid_name", f"{field} must be 1 to 128 letters, digits, hyphens or underscores.", field)
    return value


def queued(result: commands.Command, request: Request) -> shapes.Queued:
    return shapes.Queued(result.name, queued=True)


def answered(result: Any, request: Request) -> Any:
    return result


def broker_setup(result: str, request: Request) -> shapes.BrokerSetup:
    return shapes.BrokerSetup(result)


def broker_names(request: Request) -> tuple[str, ...]:
    given = names.unique(request.body.names, limits.MAX_ALTERNATIVE_NAMES, "names")
    if not given or not all(_HOST.fullmatch(name) for name in given):
        raise invalid("invalid_name", "names must be host names, at least one.", "names")
    return given


def broker_authority(result: str, request: Request) -> shapes.BrokerAuthority:
    return shapes.BrokerAuthority(result)


def broker(result: State, request: Request) -> shapes.Broker:
    return shapes.Broker(result.state, result.urls)


def issued_credential(result: credentials.Enrolled, request: Request) -> shapes.Credential:
    record = result.credential
    if record.kind is model.Protocol.NATS:
        return structs.replace(credential(record), nats=_nats(result.minted))
    topic = f"{names.broker_org(record.org)}/production/telemetry/{record.public_id}/"
    return structs.replace(
        credential(record), mqtt=shapes.MqttCredentials(record.public_id, result.minted.api_key, topic)
    )


def new_credential(request: Request) -> credentials.New:
    return credentials.New(request.path["ident"], _choice(model.Protocol, request.body.kind, "kind"))


def one_credential(request: Request) -> credentials.Numbered:
    return credentials.Numbered(request.path["ident"], _number(request))


def shown_key(record: model.Key, request: Request) -> shapes.Key:
    return key(record)


def key_page(result: keys.Keys, request: Request) -> shapes.KeyList:
    return shapes.KeyList([key(record) for record in result.keys], _mark(result.next, request))


def caller(principal: model.Principal, request: Request) -> shapes.Caller:
    return shapes.Caller(key(principal.key), organization(principal.org))


def new_key(request: Request) -> keys.NewKey:
    body = request.body
    return keys.NewKey(
        names.line(body.name, "name"),
        _choice(policy.Role, body.role, "role"),
        _choice(model.KeyKind, body.kind, "kind"),
        policy.parse_scopes(names.unique(body.scopes, limits.MAX_SCOPES, "scopes")),
        instant(body.expires_at, "expires_at"),
    )


def _choice(kinds: Any, value: str, field: str) -> Any:
    for kind in kinds:
        if kind.value == value:
            return kind
    raise invalid("invalid_body", f"{field} must be one of {', '.join(kind.value for kind in kinds)}.", field)


def one_key(request: Request) -> keys.Numbered:
    return keys.Numbered(_number(request))


def _number(request: Request) -> int:
    """The number in a path. What is no number names nothing, as 0 does; it is not a mistake of grammar."""
    text = request.path["id"]
    is_id = text.isascii() and text.isdigit() and len(text) < 19 and text[0] != "0"
    return int(text) if is_id else 0


def list_keys(request: Request) -> keys.Listing:
    return keys.Listing(_limit(request), _resume(request) or 0)


# --- nouns with a name -----------------------------------------------------------------------------------------------


def _resume(request: Request) -> Any:
    token = request.query.get("cursor")
    return "" if token is None else request.resume(token, "")


def _mark(place: Any, request: Request) -> str | None:
    return None if place is None else request.mark(place, "")


def list_named(request: Request) -> named.Listing:
    return named.Listing(_limit(request), _resume(request))


def one_named(request: Request) -> named.Named:
    return named.Named(request.path["name"], request.guard)


def nothing_of(request: Request) -> None:
    return None


def _texts(values: Iterable[tuple[str, Any]], longest: int) -> dict[str, Any]:
    return {
        name: names.paragraph(value, name, longest) if isinstance(value, str) else value
        for name, value in values
        if value is not UNSET
    }


def owner(record: model.Owner, request: Request) -> Reply:
    fields = structs.asdict(record)
    fields.pop("org")
    fields |= {name: getattr(record, name).value for name in _OWNER_WORDS}
    shape = shapes.Owner(**{**fields, "created_at": at(record.created_at), "updated_at": at(record.updated_at)})
    return Reply(shape, etag=etag(record))


_OWNER_WORDS = {"role": model.OwnerRole, "status": model.OwnerStatus}


def _owner_members(body: Any) -> dict[str, Any]:
    """The members of an owner that a body gives, all but its reference."""
    members = _texts(structs.asdict(body).items(), limits.MAX_NAME)
    members.pop("ref", None)
    for name in _OWNER_WORDS.keys() & members.keys():
        members[name] = _choice(_OWNER_WORDS[name], members[name], name)
    if members.get("time_zone") is not None:
        names.time_zone(members["time_zone"], "time_zone")
    return members


def new_owner(request: Request) -> model.Owner:
    new: model.Owner = structs.replace(owners.blank(names.owner_ref(request.body.ref)), **_owner_members(request.body))
    return new


def change_owner(request: Request) -> named.Edit:
    return named.Edit(request.path["name"], _owner_members(request.body), request.guard)


def change_named(request: Request) -> named.Edit:
    change = _texts(structs.asdict(request.body).items(), limits.MAX_TEXT)
    return named.Edit(request.path["name"], change, request.guard)


def owner_page(result: named.Page[model.Owner], request: Request) -> shapes.OwnerList:
    return shapes.OwnerList([owner(record, request).body for record in result.records], _mark(result.next, request))


def group(record: model.Group, request: Request) -> Reply:
    shape = shapes.Group(
        record.id,
        record.name,
        record.description,
        record.filter,
        [shapes.Criterion(one.field, one.operator, one.value) for one in record.criteria],
        record.parent_id,
        at(record.created_at),
        at(record.updated_at),
        record.revision,
    )
    return Reply(shape, etag=etag(record))


def new_group(request: Request) -> model.Group:
    body = request.body
    description = None if body.description is None else names.paragraph(body.description, "description")
    name, criteria = names.label(body.name, "name"), _criteria(body.criteria)
    return model.Group(0, 0, name, description, body.filter, criteria, body.parent_id, None, 0, 0, 0)


def change_group(request: Request) -> named.Edit:
    change = _texts(structs.asdict(request.body).items(), limits.MAX_TEXT)
    if "criteria" in change:
        change["criteria"] = _criteria(change["criteria"])
    return named.Edit(request.path["name"], change, request.guard)


def _criteria(given: list[shapes.Criterion]) -> tuple[model.Criterion, ...]:
    return tuple(groups.criterion(one.field, one.operator, one.value) for one in given)


def group_page(result: named.Page[model.Group], request: Request) -> shapes.GroupList:
    return shapes.GroupList([group(record, request).body for record in result.records], _mark(result.next, request))


def cohort(record: model.Cohort, request: Request) -> Reply:
    made, changed = at(record.created_at), at(record.updated_at)
    return Reply(shapes.Cohort(record.id, record.slug, record.name, made, changed, record.revision), etag=etag(record))


def new_cohort(request: Request) -> model.Cohort:
    slug = names.slug(request.body.slug)
    return model.Cohort(0, 0, slug, names.line(request.body.name or slug, "name"), 0, 0, 0)


def cohort_page(result: named.Page[model.Cohort], request: Request) -> shapes.CohortList:
    return shapes.CohortList([cohort(record, request).body for record in result.records], _mark(result.next, request))


def hardware_version(record: model.HardwareVersion, request: Request) -> Reply:
    made, changed = at(record.created_at), at(record.updated_at)
    shape = shapes.HardwareVersion(record.id, record.name, record.software_type, made, changed, record.revision)
    return Reply(shape, etag=etag(record))


def new_hardware_version(request: Request) -> model.HardwareVersion:
    body = request.body
    name = names.label(body.name, "name", limits.MAX_VERSION)
    kind = None if body.software_type is None else names.line(body.software_type, "software_type", limits.MAX_VERSION)
    return model.HardwareVersion(0, 0, name, kind, 0, 0, 0)


def hardware_version_page(result: named.Page[model.HardwareVersion], request: Request) -> shapes.HardwareVersionList:
    found = [hardware_version(record, request).body for record in result.records]
    return shapes.HardwareVersionList(found, _mark(result.next, request))


def list_software_versions(request: Request) -> software_versions.Listing:
    return software_versions.Listing(_limit(request), tuple(_resume(request) or ("", "")))


def one_software_version(request: Request) -> tuple[str, str]:
    return request.path["type"], request.path["version"]


def software_version(record: model.SoftwareVersion, request: Request) -> shapes.SoftwareVersion:
    return shapes.SoftwareVersion(record.id, record.type, record.version, at(record.created_at))


def software_version_page(result: software_versions.Page, request: Request) -> shapes.SoftwareVersionList:
    found = [software_version(record, request) for record in result.versions]
    return shapes.SoftwareVersionList(found, _mark(result.next, request))


def metadata_field(record: model.MetadataField, request: Request) -> Reply:
    shape = shapes.MetadataField(
        record.id,
        record.name,
        record.kind.value,
        record.description,
        record.required,
        at(record.created_at),
        at(record.updated_at),
        record.revision,
    )
    return Reply(shape, etag=etag(record))


def new_metadata_field(request: Request) -> model.MetadataField:
    body = request.body
    kind = _choice(model.FieldKind, body.type, "type")
    description = None if body.description is None else names.paragraph(body.description, "description")
    return model.MetadataField(0, 0, names.label(body.name, "name"), kind, description, body.required, 0, 0, 0)


def metadata_field_page(result: named.Page[model.MetadataField], request: Request) -> shapes.MetadataFieldList:
    found = [metadata_field(record, request).body for record in result.records]
    return shapes.MetadataFieldList(found, _mark(result.next, request))


# --- enrolment -------------------------------------------------------------------------------------------------------


def dms(record: Dms, request: Request) -> Reply:
    shape = shapes.Dms(
        record.id,
        record.name,
        record.title,
        _settings_out(record.settings),
        record.metadata,
        at(record.created_at),
        at(record.updated_at),
        record.revision,
    )
    return Reply(shape, etag=etag(record))


def _settings_out(settings: Settings) -> shapes.DmsSettings:
    admission, renewal, distribution = settings.admission, settings.renewal, settings.distribution
    opens = None if renewal.opens is None else renewal.opens // _SECOND
    return shapes.DmsSettings(
        settings.authority,
        shapes.Admission(admission.proof, list(admission.authorities), admission.allow_expired, admission.levels),
        settings.registration,
        settings.replaceable,
        shapes.Profile(list(settings.profile.tags), documents.load(settings.profile.metadata)),
        shapes.Renewal(list(renewal.authorities), renewal.allow_expired, renewal.revoke_replaced, opens),
        settings.windows.preventive // _SECOND,
        settings.windows.critical // _SECOND,
        shapes.Distribution(distribution.own, list(distribution.others)),
        _public_key(settings.keygen) if settings.keygen else None,
        settings.lifetime // _SECOND,
        settings.with_names,
    )


def _settings_in(shape: shapes.DmsSettings) -> Settings:
    admission, renewal, distribution = shape.admission, shape.renewal, shape.distribution
    opens = None if renewal.opens is None else renewal.opens * _SECOND
    metadata = documents.of(shape.profile.metadata, "settings.profile.metadata")
    return Settings(
        authority=shape.authority,
        admission=Admission(admission.proof, tuple(admission.authorities), admission.allow_expired, admission.levels),
        registration=shape.registration,
        replaceable=shape.replaceable,
        profile=Profile(_tags(shape.profile.tags), metadata),
        renewal=Renewal(tuple(renewal.authorities), renewal.allow_expired, renewal.revoke_replaced, opens),
        windows=Windows(shape.preventive * _SECOND, shape.critical * _SECOND),
        distribution=Distribution(distribution.own, tuple(distribution.others)),
        keygen=_key_kind(shape.keygen) if shape.keygen else None,
        lifetime=shape.lifetime * _SECOND,
        with_names=shape.with_names,
    )


def _public_key(kind: KeyKind) -> shapes.PublicKey:
    return shapes.PublicKey(kind.type, kind.bits)


def _key_kind(shape: shapes.PublicKey) -> KeyKind:
    return KeyKind(shape.type, shape.bits)


def new_dms(request: Request) -> Dms:
    body = request.body
    title = body.name if body.title is None else names.line(body.title, "title")
    metadata = documents.of(body.metadata, "metadata")
    return Dms(0, 0, body.name, title, _settings_in(body.settings), metadata, EMPTY, 0, 0, 0)


_DMS_MEMBERS: dict[str, Callable[[Any], Any]] = {
    "title": lambda value: names.line(value, "title"),
    "settings": _settings_in,
    "metadata": lambda value: documents.of(value, "metadata"),
}


def change_dms(request: Request) -> named.Edit:
    given = {name: getattr(request.body, name) for name in _DMS_MEMBERS}
    change = {name: _DMS_MEMBERS[name](value) for name, value in given.items() if value is not UNSET}
    return named.Edit(request.path["name"], change, request.guard)


def dms_page(result: named.Page[Dms], request: Request) -> shapes.DmsList:
    return shapes.DmsList([dms(record, request).body for record in result.records], _mark(result.next, request))


def new_authority(request: Request) -> authorities.New:
    body = request.body
    foreign = None if body.certificate is None else encodings.certificate(body.certificate)
    kind = _key_kind(body.key) if body.key else KeyKind()
    check_made(kind)
    return authorities.New(body.name, kind, body.lifetime * _SECOND, foreign)


def authority(result: authorities.Shown, request: Request) -> Reply:
    record, said = result.authority, result.description
    shape = shapes.Authority(
        record.id,
        record.name,
        record.serial,
        said.subject.common_name,
        _public_key(said.key),
        record.sealed_key is not None,
        at(record.not_before),
        at(record.not_after),
        at(record.created_at),
        record.revision,
        encodings.pem(record.certificate),
    )
    return Reply(shape, etag=etag(record))


def list_authorities(request: Request) -> authorities.Listing:
    page = list_named(request)
    return authorities.Listing(page.limit, page.after)


def authority_page(result: authorities.Page, request: Request) -> shapes.AuthorityList:
    found = [authority(one, request).body for one in result.authorities]
    return shapes.AuthorityList(found, _mark(result.next, request))


def revocation_list(result: SignedList, request: Request) -> Reply:
    dated = (("last-modified", http_date(result.at)),)
    return Reply(result.der, etag=result.tag, headers=dated, media_type="application/pkix-crl")


def certificate(result: certificates.Shown, request: Request) -> shapes.Certificate:
    record, said = result.certificate, result.description
    return shapes.Certificate(
        record.serial,
        record.common_name,
        record.device,
        record.dms,
        result.authority,
        _public_key(said.key),
        record.state(result.at),
        at(record.not_before),
        at(record.not_after),
        when(record.revoked_at),
        record.reason.name.lower() if record.reason else None,
        at(record.created_at),
        encodings.pem(record.der),
    )


def one_certificate(request: Request) -> certificates.Named:
    return certificates.Named(request.path["serial"])


def list_certificates(request: Request) -> certificates.Listing:
    query = request.query
    return certificates.Listing(
        _limit(request), _resume(request) or 0, query.get("authority"), query.get("device"), query.get("serial")
    )


def certificate_page(result: certificates.Page, request: Request) -> shapes.CertificateList:
    found = [certificate(one, request) for one in result.certificates]
    return shapes.CertificateList(found, _mark(result.next, request))


def _reason(word: str) -> Reason:
    known = {reason.name.lower(): reason for reason in Reason}
    if word not in known:
        raise invalid("invalid_reason", f"reason must be one of {', '.join(known)}.", "reason")
    return known[word]


def revoke_certificate(request: Request) -> binding.Rule:
    return binding.Rule(request.path["serial"], _reason(request.body.reason))


def restore_certificate(request: Request) -> binding.Rule:
    return binding.Rule(request.path["serial"], None)


def held(result: binding.Held, request: Request) -> shapes.Identity:
    slot, active = result.slot, result.certificate
    return shapes.Identity(
        slot.status,
        slot.type,
        slot.active_version,
        slot.versions,
        slot.expiration_date,
        [shapes.IdentityEvent(moment, note.type, note.description) for moment, note in slot.events.items()],
        certificate(active, request) if active else None,
    )


def bind(request: Request) -> binding.Bind:
    return binding.Bind(request.path["ident"], request.body.serial)


def bound(result: binding.Bound, request: Request) -> Reply:
    return shown(result.device, request)


def revoke_identity(request: Request) -> binding.Revoke:
    return binding.Revoke(request.path["ident"], _reason(request.body.reason))


# --- templates -------------------------------------------------------------------------------------------------------


def template(record: model.Template, request: Request) -> Reply:
    shape = shapes.Template(
        record.id,
        names.template_id(record.id),
        record.name,
        record.description,
        record.board,
        record.connection,
        [shapes.Datastream(type=one.kind, **_shared(shapes.Datastream, one)) for one in record.datastreams],
        [shapes.EventCode(type=one.kind, **_shared(shapes.EventCode, one)) for one in record.events],
        [shapes.Metafield(type=one.kind, **_shared(shapes.Metafield, one)) for one in record.metafields],
        at(record.created_at),
        at(record.updated_at),
        record.revision,
    )
    return Reply(shape, etag=etag(record))


def _shared(shape: Any, part: Any) -> dict[str, Any]:
    """The members of a part that have the same name in its shape."""
    return {name: value for name, value in structs.asdict(part).items() if name in shape.__struct_fields__}


def new_template(request: Request) -> model.Template:
    body = request.body
    members = {"name": None, "description": None, "board": None, "connection": None, **_template_members(body)}
    blank = model.Template(0, 0, **members, last_part=0, created_at=0, updated_at=0, revision=0)
    return templates.numbered(blank)


def created_template(record: model.Template, request: Request) -> Reply:
    return structs.replace(template(record, request), location=_path("templates", record.name))


def change_template(request: Request) -> service_templates.Edit:
    return service_templates.Edit(request.path["name"], _template_members(request.body), request.guard)


def occurrence(request: Request) -> event_codes.Occurrence:
    body = request.body
    description = None if body.description is None else names.paragraph(body.description, "description")
    return event_codes.Occurrence(request.path["ident"], body.code, description)


def _template_members(body: shapes.NewTemplate | shapes.TemplateChange) -> dict[str, Any]:
    given = {name: value for name, value in structs.asdict(body).items() if value is not UNSET}
    members = {**_texts(((name, given[name]) for name in given if name not in _PARTS), limits.MAX_TEXT)}
    if "name" in members:
        members["name"] = names.label(members["name"], "name")
    for name, record in _PARTS.items():
        if name in given:
            members[name] = tuple(_part(record, part) for part in given[name])
    return members


_PARTS: dict[str, Any] = {
    "datastreams": model.Datastream,
    "events": model.EventCode,
    "metafields": model.Metafield,
}


def _part(record: Any, shape: Any) -> Any:
    given = structs.asdict(shape)
    given["kind"] = given.pop("type")
    if "pin" in given:
        given["pin"] = given["pin"].lower()
    return record(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


def template_page(result: named.Page[model.Template], request: Request) -> shapes.TemplateList:
    return shapes.TemplateList(
        [template(record, request).body for record in result.records], _mark(result.next, request)
    )
