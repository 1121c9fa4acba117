"""Devices: as they are shown, written, patched, listed and counted."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET, structs

from fleetroll.core import documents, extras, ids, limits, model, names, patch, schema
from fleetroll.core.documents import EMPTY, Document
from fleetroll.core.faults import brief, invalid
from fleetroll.core.fields import DEVICE_FIELDS, device_filter
from fleetroll.core.guards import etag
from fleetroll.core.query import Filter, Page, Search, every, parse_sort
from fleetroll.dialects.native.mapping.paging import limit, mark, resume
from fleetroll.dialects.native.mapping.paths import path_of
from fleetroll.dialects.native.mapping.times import at
from fleetroll.dialects.native.shapes import devices as shapes
from fleetroll.service import devices
from fleetroll.wire.bodies import convert
from fleetroll.wire.dialect import JSON_PATCH, MERGE_PATCH, Reply
from fleetroll.wire.encoded_cache import EncodedCache
from fleetroll.wire.request import Request

READ_ONLY = (frozenset(shapes.COLUMNS) - frozenset(model.NewDevice.__struct_fields__)) | {"dms"}
"""What nobody may change of an existing device; its DMS is from then on what enrolment says."""
_CHANGEABLE = frozenset(model.CHANGEABLE)
_DEPENDS_ON = ("filter", "sort", "q")  # a list, and so its cursors


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
        record.dms,
        record.extras,
    )


def shown(record: model.Device, request: Request) -> Reply:
    return Reply(device(record), etag=_tag(record))


def created(record: model.Device, request: Request) -> Reply:
    return Reply(device(record), etag=_tag(record), location=path_of("devices", record.ident))


def _tag(record: model.Device) -> str:
    return etag(record, record.connected, record.last_seen, record.activated_at, record.identity_due)


def stored(result: devices.Stored, request: Request) -> Reply:
    if result.created:
        return structs.replace(created(result.device, request), status=201)
    return shown(result.device, request)


def page(result: devices.Devices, request: Request) -> shapes.DeviceList:
    cursor = mark(result.next, request, *_DEPENDS_ON)
    total = UNSET if result.total is None else result.total
    return shapes.DeviceList(_shown.all(result.devices), cursor, total)


_shown = EncodedCache(device)


def stats(counts: model.Counts, request: Request) -> shapes.Stats:
    return shapes.Stats(
        counts.total, counts.by_status, counts.by_kind, counts.by_tag, counts.by_connected, counts.by_cohort
    )


def new_device(request: Request) -> model.NewDevice:
    shape = request.body
    return model.NewDevice(ident=names.ident(shape.ident), **members_of(shape))


def put_device(request: Request) -> devices.Put:
    """Members that are left out fall back to their defaults: a PUT is the whole device.

    The extras are an exception: those who write them do so by other APIs.
    """
    ident = names.ident(request.path["ident"])
    named = request.body.ident
    if named is not UNSET and names.identity_key(named) != names.identity_key(ident):
        raise invalid("ident_mismatch", "The body names a different device than the path.", "ident")
    return devices.Put(ident, model.DeviceChange(**{**_DEFAULTS, **members_of(request.body)}), guard=request.guard)


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
_PATCH_KINDS: dict[str, Any] = {JSON_PATCH: list, MERGE_PATCH: dict}


def edit_device(request: Request) -> devices.Edit:
    """A list is a JSON Patch, an object a merge patch, as their types say; both see the device as `GET` shows it."""
    body = request.body
    if not isinstance(body, _PATCH_KINDS.get(request.media_type, list | dict)):
        raise invalid("invalid_patch", "The body is not the kind of patch that its Content-Type says.")
    if isinstance(body, list):
        steps = patch.parse_json_patch(body)
        return _edit(request, lambda document: patch.apply_json_patch(document, steps, longest=limits.MAX_DEVICE))
    if unknown := body.keys() - set(shapes.COLUMNS):
        first = brief(min(unknown))
        known = ", ".join(shapes.COLUMNS)
        raise invalid("invalid_body", f"{first}: Unknown member; the members here are {known}.", first)
    return _edit(request, lambda document: patch.apply_merge_patch(document, body))


def _edit(request: Request, apply: Callable[[dict[str, Any]], Any]) -> devices.Edit:
    def edit(record: model.Device) -> model.DeviceChange:
        before = msgspec.json.decode(msgspec.json.encode(device(record)))
        after = apply(before)
        for name in READ_ONLY:
            if not documents.same_value(after.get(name), before[name]):
                raise invalid("read_only", f"{name} cannot be changed.", name)
        if "ident" not in after:
            raise invalid("read_only", "ident cannot be removed.", "ident")
        # What a patch does not touch stays as it is, even if it is from before a bound. What a patch removed falls back
        # to its default, as what a PUT leaves out does.
        kept = {name for name, value in after.items() if value is before.get(name, UNSET)}
        given = {name: value for name, value in after.items() if name not in kept}
        whole = replacement(convert(given, shapes.DeviceInput))
        return structs.replace(whole, **dict.fromkeys(kept & _CHANGEABLE, UNSET))

    return devices.Edit(request.path["ident"], edit, request.guard)


def change(shape: shapes.DeviceInput) -> model.DeviceChange:
    """The given members; the others stay."""
    members = members_of(shape)
    if shape.ident is not UNSET:
        members["ident"] = names.ident(shape.ident)
    return model.DeviceChange(**members)


def replacement(shape: shapes.DeviceInput) -> model.DeviceChange:
    """The given members; the others fall back to their defaults."""
    members = structs.asdict(change(shape))
    return model.DeviceChange(
        **{**_DEFAULTS, "extras": EMPTY, **{name: value for name, value in members.items() if value is not UNSET}}
    )


def members_of(shape: shapes.DeviceInput) -> dict[str, Any]:
    """The given members, checked, in the core's types."""
    given = zip(_READERS.items(), _readable(shape), strict=True)
    return {name: read(value) for (name, read), value in given if value is not UNSET}


def _line(field: str, longest: int) -> Callable[[str | None], str | None]:
    return lambda value: None if value is None else names.line(value, field, longest)


def _software(value: shapes.Software | None) -> Document | None:
    if value is None:
        return None
    texts = {name: names.line(text, f"software.{name}") for name, text in structs.asdict(value).items() if text}
    return documents.of(texts, "software")


def tags(values: list[str]) -> tuple[str, ...]:
    return names.unique(values, limits.MAX_TAGS, "tags", names.tag)


def owner_refs(values: list[str]) -> tuple[str, ...]:
    return names.unique(values, limits.MAX_OWNERS_PER_DEVICE, "owners", names.owner_ref)


def _template_number(value: int | None) -> int | None:
    if value is not None and not 0 < value <= ids.MAX_ID:
        raise invalid("out_of_range", "template must be the number of a template.", "template")
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "name": _line("name", limits.MAX_NAME),
    "kind": _line("kind", limits.MAX_KIND),
    "hardware_version": _line("hardware_version", limits.MAX_VERSION),
    "software": _software,
    "metadata": lambda value: documents.of(value, "metadata"),
    "tags": tags,
    "owners": owner_refs,
    "schema": schema.parse_schema,
    "config": lambda value: documents.of(value, "config"),
    "template": _template_number,
    "cohort": names.cohort,
    "dms": _line("dms", limits.MAX_NAME),
    "extras": extras.of,
}
_readable = attrgetter(*_READERS)


def transfer(request: Request) -> devices.Transfer:
    body = request.body
    owners = None if body.owners is UNSET else owner_refs(body.owners)
    organization = None if body.organization is UNSET else body.organization
    if owners is None and organization is None:
        raise invalid("nothing_to_do", "Give owners, an organization, or both.", "organization")
    return devices.Transfer(request.path["ident"], organization, owners, request.guard)


def one_device(request: Request) -> devices.Named:
    return devices.Named(request.path["ident"], request.guard)


def listing(request: Request) -> devices.Listing:
    query = request.query
    sort = parse_sort(query.get("sort") or "", DEVICE_FIELDS)
    size, after = limit(request), resume(request, *_DEPENDS_ON)
    page = Page(size, None if after is None else tuple(after))
    return devices.Listing(filter_of(request), sort, page, query.flag("count"))


def filter_of(request: Request) -> Filter | None:
    text = request.query.get("q")
    search = Search(names.line(text, "q")) if text else None
    return every(search, device_filter(request.query.get("filter") or ""))
