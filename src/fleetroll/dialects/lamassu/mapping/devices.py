"""Devices, with the slot and the events that are shown of them; their lists and counts.

`alias` is a device's name, `dms_owner` its DMS. Icons, which nothing else has, lie in the extras.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from fleetroll.core import bracketed, documents, extras, identity, jsonpath, limits, model, names
from fleetroll.core.bracketed import Kind
from fleetroll.core.faults import invalid
from fleetroll.core.lifecycle import SLOT_STATUSES, Status
from fleetroll.core.patch import apply_json_patch, parse_json_patch
from fleetroll.core.query import Comparison, Filter, Operator, Page, Part, Sort, every
from fleetroll.core.spelling import OURS, Spelling
from fleetroll.core.times import FIRST, LAST, from_datetime, to_datetime, unused_datetime
from fleetroll.dialects.lamassu import shapes
from fleetroll.dialects.lamassu.mapping.fields import FIELDS
from fleetroll.dialects.lamassu.mapping.lists import Bookmark, bookmark, requested
from fleetroll.service import devices
from fleetroll.service.device_lives import Life
from fleetroll.service.identity import Written
from fleetroll.wire.request import Request

_CERTIFICATE = "x509"
_LONGEST_VERSION = 15
_COUNTED = {name: field for name, field in FIELDS.items() if name != "status"}
_SORTS = {name: Sort(FIELDS[name].name) for name in ("id", "dms_owner", "creation_timestamp", "status")}
_SORTS["tags"] = Sort("tags", path=(0,))


# --- out -------------------------------------------------------------------------------------------------------------


def device(life: Life, spelling: Spelling) -> shapes.Device:
    record = life.device
    icon = extras.icon(record.extras)
    return shapes.Device(
        id=record.ident,
        alias=record.name or UNSET,
        tags=record.tags,
        status=spelling.of(record.status.value),
        icon=icon.name,
        icon_color=icon.color,
        creation_timestamp=to_datetime(record.created_at),
        metadata=record.metadata,
        dms_owner=record.dms or "",
        identity=UNSET if record.identity is None else _slot(identity.read(record.identity), spelling),
        slots={},
        events=_events(life, spelling),
    )


def device_encoder(spelling: Spelling) -> Callable[[Life, Request], shapes.Device]:
    return lambda life, _: device(life, spelling)


def _events(life: Life, spelling: Spelling) -> dict[datetime, shapes.Event]:
    """The creation and each change of status, each at a time of its own."""
    events = {to_datetime(life.device.created_at): shapes.Event("CREATED")}
    for event in life.events:
        when = unused_datetime(event.at, events)
        data = msgspec.json.decode(event.data)
        if event.type == devices.DECOMMISSIONED:
            events[when] = shapes.Event("DECOMMISSIONED")
        elif "to" in data:
            text = f"Status updated from '{data['from']}' to '{data['to']}'"
            events[when] = shapes.Event("STATUS-UPDATED", spelling.within(text))
    return events


def _slot(slot: identity.Slot, spelling: Spelling) -> shapes.Slot:
    return shapes.Slot(
        status=spelling.of(slot.status.value),
        active_version=slot.active_version,
        type=slot.type,
        versions=slot.versions,
        expiration_date=slot.expiration_date or UNSET,
        events={at: shapes.Event(note.type, spelling.within(note.description)) for at, note in slot.events.items()},
    )


# --- in --------------------------------------------------------------------------------------------------------------


def new_device(request: Request) -> model.NewDevice:
    body = request.body
    icons = extras.of_icon(_line(body.icon, "icon") or "", _line(body.icon_color, "icon_color") or "")
    return model.NewDevice(
        ident=names.ident(body.id, "id"),
        name=_line(body.alias, "alias"),
        metadata=documents.of(body.metadata or {}, "metadata"),
        tags=names.unique(body.tags or (), limits.MAX_TAGS, "tags", names.tag),
        dms=_line(body.dms_id, "dms_id"),
        extras=icons,
    )


def _line(value: str | None, field: str) -> str | None:
    return names.line(value, field) if value else None


def named(request: Request) -> devices.Named:
    return devices.Named(request.path["id"])


def slot(request: Request) -> Written:
    body = request.body
    status = _status(body.status)
    version, versions, events = body.active_version or 0, body.versions or {}, body.events or {}
    _bounded("versions", versions, limits.MAX_SLOT_VERSIONS)
    _bounded("events", events, limits.MAX_SLOT_EVENTS)
    _check_versions(version, versions)
    numbered = {str(int(number)): serial for number, serial in versions.items()}
    notes = {_in_utc(at, "events"): _note(event) for at, event in sorted(events.items())}
    ends = body.expiration_date and _in_utc(body.expiration_date, "expiration_date")
    type = names.paragraph(_CERTIFICATE if body.type is None else body.type, "type", limits.MAX_KIND)
    return Written(request.path["id"], identity.Slot(status, version, type, numbered, ends, notes))


def _in_utc(time: datetime, field: str) -> datetime:
    """The same time in UTC, so that texts of times sort in their order. Raises Fault invalid `invalid_time`."""
    at = from_datetime(time)
    if not FIRST <= at <= LAST:
        raise invalid("invalid_time", f"{field} must be in the years 1 to 9999, UTC", field)
    return to_datetime(at)


def _status(text: str) -> Status:
    word = OURS.get(text, text)
    for status in SLOT_STATUSES:
        if status.value == word:
            return status
    known = ", ".join(status.value for status in SLOT_STATUSES)
    raise invalid("invalid_status", f"status must be one of {known}", "status")


def _check_versions(active: int, versions: Mapping[str, str]) -> None:
    if not all(map(_is_version, versions)) or not _is_version(str(active)):
        raise invalid("invalid_version", "active_version and the keys of versions must be whole numbers", "versions")
    for serial in versions.values():
        names.paragraph(serial, "versions", limits.MAX_NAME)


def _note(event: shapes.Event) -> identity.Note:
    return identity.Note(
        names.paragraph(event.type, "events", limits.MAX_KIND),
        names.paragraph(event.description, "events", limits.MAX_NAME),
    )


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_VERSION


def _bounded(field: str, members: dict[Any, Any], most: int) -> None:
    if len(members) > most:
        raise invalid("too_many", f"{field} must have at most {most} entries", field)


def replace_metadata(request: Request) -> devices.Edit:
    """Patch it, or replace all of it."""
    whole = request.body.metadata
    if request.body.patches is not None or whole is None:
        return patch_metadata(request)
    metadata = documents.of(whole, "metadata")
    return devices.Edit(request.path["id"], lambda _: model.DeviceChange(metadata=metadata))


def patch_metadata(request: Request) -> devices.Edit:
    if request.body.patches is None:
        raise invalid("invalid_patch", "patches is required and must be an array of operations", "patches")
    patch = parse_json_patch(request.body.patches, lenient=True)

    def edit(was: model.Device) -> model.DeviceChange:
        content = apply_json_patch(documents.load(was.metadata), patch, lenient=True)
        return model.DeviceChange(metadata=documents.of(content, "metadata"))

    return devices.Edit(request.path["id"], edit)


# --- lists and counts ------------------------------------------------------------------------------------------------


def listing(request: Request) -> devices.Listing:
    return _listing(requested(request), None)


def listing_of_dms(request: Request) -> devices.Listing:
    return _listing(requested(request), Comparison("dms", Operator.EQ, request.path["dms"]))


def _listing(page: Bookmark, within: Filter | None) -> devices.Listing:
    filter = every(within, bracketed.parse(page.filters, FIELDS))
    return devices.Listing(filter, _sort(page.sort_by, page.sort_mode), Page(page.size, _tuples(page.after)))


def _tuples(after: Any) -> Any:
    return None if after is None else tuple(tuple(part) if isinstance(part, list) else part for part in after)


def _sort(by: str, mode: str) -> Sort:
    """The order asked for. What cannot be sorted by is ignored, as the vendor does."""
    sort = _SORTS.get(by) or _sort_by_path(by)
    return Sort() if sort is None else Sort(sort.field, mode == "desc", sort.path)


def _sort_by_path(text: str) -> Sort | None:
    name, _, rest = text.partition("[")
    field = FIELDS.get(name)
    if field is None or field.kind is not Kind.DOCUMENT or not rest.lower().startswith("jsonpath]"):
        return None
    path = jsonpath.parse_path(rest[len("jsonpath]") :])
    return Sort(field.name, path=path) if path and path[0] not in field.hidden else None


def device_list(spelling: Spelling) -> Callable[[Part[Life, Any], Request], shapes.DeviceList]:
    def encode(page: Part[Life, Any], request: Request) -> shapes.DeviceList:
        return shapes.DeviceList(bookmark(page.next, request), [device(life, spelling) for life in page.records])

    return encode


def counted(request: Request) -> Filter | None:
    """The filter of the count, which is by status: so a filter by status is refused."""
    texts = request.query.all("filter")
    if any(text.startswith("status[") for text in texts):
        raise invalid("invalid_filter", "struct validation error", "filter")
    return bracketed.parse(texts, _COUNTED)


def stats(spelling: Spelling) -> Callable[[dict[str, int], Request], shapes.Stats]:
    def encode(counts: dict[str, int], _: Request) -> shapes.Stats:
        by_status = {spelling.of(status.value): counts[status.value] for status in Status}
        return shapes.Stats(sum(counts.values()), dict(sorted(by_status.items())))

    return encode
