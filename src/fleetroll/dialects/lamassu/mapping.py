"""Between the device manager's bodies and the inputs and results of operations. Pure; raises nothing but Fault.

`alias` is a device's name, `dms_owner` its DMS. Icons, which nothing else has, lie in the extras. A profile decides how
statuses are spelled on the way out; on the way in each spelling is taken.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, Struct, structs

from fleetroll import __version__
from fleetroll.core import bracketed, documents, identity, jsonpath, limits, model, names
from fleetroll.core import groups as core_groups
from fleetroll.core.bracketed import Asked, Kind
from fleetroll.core.faults import brief, invalid
from fleetroll.core.groups import Lineage
from fleetroll.core.lifecycle import Status
from fleetroll.core.patch import apply_json_patch, parse_operations
from fleetroll.core.query import Comparison, Filter, Operator, Page, Sort, every
from fleetroll.core.times import moment, unused
from fleetroll.dialects.lamassu import shapes
from fleetroll.service import devices, groups
from fleetroll.service.identity import Written
from fleetroll.service.lives import Life, Lives
from fleetroll.wire.request import Request

_VENDOR = "lamassu"
_DEFAULT_PAGE, _SHORT_PAGE = 25, 15
_LONGEST_NUMBER = 15
_CERTIFICATE = "x509"
_OURS = {"RENEWAL_PENDING": "RENEWAL_WINDOW", "EXPIRING_SOON": "ABOUT_TO_EXPIRE"}
_FIELDS = {
    "id": Asked("ident", Kind.TEXT),
    "dms_owner": Asked("dms", Kind.TEXT, optional=True),
    "creation_timestamp": Asked("created_at", Kind.TIME),
    "status": Asked("status", Kind.CHOICE, _OURS),
    "tags": Asked("tags", Kind.SET),
    "metadata": Asked("metadata", Kind.DOCUMENT),
    "identity_slot": Asked("identity", Kind.DOCUMENT, _OURS),
}
_CALLED = {asked.field: (name, asked) for name, asked in _FIELDS.items()}
_GROUP_FIELDS = {"id": Asked("uid", Kind.TEXT), "name": Asked("name", Kind.TEXT)}
_COUNTED = {name: asked for name, asked in _FIELDS.items() if name != "status"}
_SORTS = {name: Sort(_FIELDS[name].field) for name in ("id", "dms_owner", "creation_timestamp", "status")}
_SORTS["tags"] = Sort("tags", path=(0,))


class Spelling(Struct, frozen=True):
    """How a profile spells statuses, by our own word for each."""

    statuses: Mapping[str, str]

    def of(self, status: str) -> str:
        return self.statuses.get(status, status)

    def within(self, text: str) -> str:
        """A description that names statuses in single quotes, as the vendor's do."""
        for ours, other in self.statuses.items():
            text = text.replace(f"'{ours}'", f"'{other}'")
        return text


DOCUMENTED = Spelling({})
UPSTREAM = Spelling({ours: other for other, ours in _OURS.items()})


# --- devices out -----------------------------------------------------------------------------------------------------


def device(life: Life, spelling: Spelling) -> shapes.Device:
    record = life.device
    icons = documents.load(record.extras).get(_VENDOR, {})
    return shapes.Device(
        id=record.ident,
        alias=record.name or UNSET,
        tags=record.tags,
        status=spelling.of(record.status.value),
        icon=icons.get("icon", ""),
        icon_color=icons.get("icon_color", ""),
        creation_timestamp=moment(record.created_at),
        metadata=record.metadata,
        dms_owner=record.dms or "",
        identity=UNSET if record.identity is None else _slot(identity.read(record.identity), spelling),
        slots={},
        events=_events(life, spelling),
    )


def one(spelling: Spelling) -> Callable[[Life, Request], shapes.Device]:
    return lambda life, _: device(life, spelling)


def _events(life: Life, spelling: Spelling) -> dict[datetime, shapes.Event]:
    """The creation and each change of status, at times that are its own."""
    told = {moment(life.device.created_at): shapes.Event("CREATED")}
    for event in life.events:
        when = unused(event.at, told)
        data = msgspec.json.decode(event.data)
        if event.type == devices.DECOMMISSIONED:
            told[when] = shapes.Event("DECOMMISSIONED")
        elif "to" in data:
            text = f"Status updated from '{data['from']}' to '{data['to']}'"
            told[when] = shapes.Event("STATUS-UPDATED", spelling.within(text))
    return told


def _slot(slot: identity.Slot, spelling: Spelling) -> shapes.Slot:
    return shapes.Slot(
        status=spelling.of(slot.status.value),
        active_version=slot.active_version,
        type=slot.type,
        versions=slot.versions,
        expiration_date=slot.expiration_date or UNSET,
        events={at: shapes.Event(note.type, spelling.within(note.description)) for at, note in slot.events.items()},
    )


# --- devices in ------------------------------------------------------------------------------------------------------


def new_device(request: Request) -> model.NewDevice:
    body = request.body
    icons = {"icon": _line(body.icon, "icon"), "icon_color": _line(body.icon_color, "icon_color")}
    tags = [names.tag(tag) for tag in body.tags or ()]
    return model.NewDevice(
        ident=names.ident(body.id, "id"),
        name=_line(body.alias, "alias"),
        metadata=documents.of(body.metadata or {}, "metadata"),
        tags=names.unique(tags, limits.MAX_TAGS, "tags"),
        dms=_line(body.dms_id, "dms_id"),
        extras=documents.of({_VENDOR: {name: text for name, text in icons.items() if text}}, "icon")
        if any(icons.values())
        else documents.EMPTY,
    )


def _line(value: str | None, field: str) -> str | None:
    return names.line(value, field) if value else None


def named(request: Request) -> devices.Named:
    return devices.Named(request.path["id"])


def slot(request: Request) -> Written:
    body = request.body
    word = _OURS.get(body.status, body.status)
    status = next((status for status in identity.STATUSES if status.value == word), None)
    if status is None:
        known = ", ".join(status.value for status in identity.STATUSES)
        raise invalid("invalid_status", f"status must be one of {known}", "status")
    version, versions, events = body.active_version or 0, body.versions or {}, body.events or {}
    _bounded("versions", versions, limits.MAX_SLOT_VERSIONS)
    _bounded("events", events, limits.MAX_SLOT_EVENTS)
    if not all(map(_is_number, versions)) or not 0 <= version < 10**_LONGEST_NUMBER:
        raise invalid("invalid_version", "versions are numbered with whole numbers", "versions")
    for serial in versions.values():
        names.paragraph(serial, "versions", limits.MAX_NAME)
    notes = {
        at: identity.Note(
            names.paragraph(event.type, "events", limits.MAX_KIND),
            names.paragraph(event.description, "events", limits.MAX_NAME),
        )
        for at, event in sorted(events.items())
    }
    written = identity.Slot(
        status,
        version,
        names.paragraph(_CERTIFICATE if body.type is None else body.type, "type", limits.MAX_KIND),
        versions,
        body.expiration_date,
        notes,
    )
    return Written(request.path["id"], written)


def _bounded(field: str, given: dict[Any, Any], most: int) -> None:
    if len(given) > most:
        raise invalid("too_many", f"{field} must have at most {most} entries", field)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER


def replace_metadata(request: Request) -> devices.Edit:
    """Patches, or all of it."""
    whole = request.body.metadata
    if request.body.patches is not None or whole is None:
        return patch_metadata(request)
    metadata = documents.of(whole, "metadata")
    return devices.Edit(request.path["id"], lambda _: model.DeviceChange(metadata=metadata))


def patch_metadata(request: Request) -> devices.Edit:
    if request.body.patches is None:
        raise invalid("invalid_patch", "patches is required and must be an array of operations", "patches")
    operations = parse_operations(request.body.patches, lenient=True)

    def edit(was: model.Device) -> model.DeviceChange:
        content = apply_json_patch(documents.load(was.metadata), operations, lenient=True)
        return model.DeviceChange(metadata=documents.of(content, "metadata"))

    return devices.Edit(request.path["id"], edit)


# --- lists -----------------------------------------------------------------------------------------------------------


class _Bookmark(Struct, frozen=True, array_like=True):
    """All that a list depends on. It is signed, so what it holds was checked when it was made."""

    size: int
    sort_by: str
    sort_mode: str
    filters: list[str]
    after: Any = None


def listing(request: Request) -> devices.Listing:
    return _listing(_asked(request), None)


def listing_of_dms(request: Request) -> devices.Listing:
    return _listing(_asked(request), Comparison("dms", Operator.EQ, request.path["dms"]))


def _listing(asked: _Bookmark, within: Filter | None) -> devices.Listing:
    filter = every(within, bracketed.parse(asked.filters, _FIELDS))
    return devices.Listing(filter, _sort(asked.sort_by, asked.sort_mode), Page(asked.size, _place(asked.after)))


def _asked(request: Request) -> _Bookmark:
    """What is asked for. With a bookmark, all else in the query is what it was for the page before."""
    query = request.query
    token = query.get("bookmark")
    if token:
        return msgspec.convert(request.resume(token, ""), _Bookmark)
    sort_by, sort_mode = (_last(query.all(name)) for name in ("sort_by", "sort_mode"))
    return _Bookmark(_page_size(query.all("page_size")), sort_by.strip(), sort_mode, query.all("filter"))


def _last(values: list[str]) -> str:
    return values[-1] if values else ""


def _page_size(given: list[str]) -> int:
    """The last one counts; what is no number is not there, and what is none to count by is the vendor's short page."""
    text = _last(given)
    sign = text.startswith("-")
    if not _is_number(text.removeprefix("-")):
        return _DEFAULT_PAGE
    size = int(text.removeprefix("-"))
    return _SHORT_PAGE if sign or not size else min(size, limits.MAX_PAGE)


def _place(after: Any) -> Any:
    return None if after is None else tuple(tuple(part) if isinstance(part, list) else part for part in after)


def _sort(by: str, mode: str) -> Sort:
    """What cannot be sorted by is not asked for, as the vendor has it."""
    found = _SORTS.get(by) or _sort_by_path(by)
    return Sort() if found is None else Sort(found.field, mode == "desc", found.path)


def _sort_by_path(text: str) -> Sort | None:
    name, _, rest = text.partition("[")
    asked = _FIELDS.get(name)
    if asked is None or asked.kind is not Kind.DOCUMENT or not rest.lower().startswith("jsonpath]"):
        return None
    path = jsonpath.parse_path(rest[len("jsonpath]") :])
    return Sort(asked.field, path=path) if path else None


def device_list(spelling: Spelling) -> Callable[[Lives, Request], shapes.DeviceList]:
    def encode(page: Lives, request: Request) -> shapes.DeviceList:
        return shapes.DeviceList(_bookmark(page.next, request), [device(life, spelling) for life in page.lives])

    return encode


def _bookmark(place: Any, request: Request) -> str:
    """What continues this list after `place`; empty where nothing follows."""
    return "" if place is None else request.mark(structs.replace(_asked(request), after=place), "")


# --- groups ----------------------------------------------------------------------------------------------------------


def new_group(request: Request) -> groups.Planned:
    body = request.body
    uid = core_groups.parse_uid(body.id or "")
    if uid is None or not body.name:
        raise invalid("invalid_group", "struct validation error", "name" if uid else "id")
    given = _group_change(body)
    description, criteria = given.get("description"), given.get("criteria", ())
    return groups.Planned(
        model.Group(0, 0, given["name"], description, "", criteria, None, uid, 0, 0, 0), _parent(body)
    )


def group_change(request: Request) -> groups.Edit:
    return groups.Edit(request.path["id"], _group_change(request.body), _parent(request.body))


def _group_change(body: shapes.GroupInput) -> dict[str, Any]:
    """The members that are given; an empty one is not."""
    change: dict[str, Any] = {}
    if body.name:
        change["name"] = names.label(body.name, "name")
    if body.description:
        change["description"] = names.paragraph(body.description, "description")
    if body.criteria:
        change["criteria"] = tuple(_criterion(place, one) for place, one in enumerate(body.criteria))
    return change


def _parent(body: shapes.GroupInput) -> str | None:
    return body.parent_id.lower() if body.parent_id else None


def _criterion(place: int, given: shapes.Criterion) -> model.Criterion:
    asked = _FIELDS.get(given.field)
    at = f"at criteria index {place}"
    if asked is None:
        raise invalid("invalid_criterion", f"invalid filter field '{brief(given.field)}' {at}", "criteria")
    if bracketed.operator(asked.kind, given.operand) is None:
        message = f"invalid operand '{brief(given.operand)}' for field '{given.field}' {at}"
        raise invalid("invalid_criterion", message, "criteria")
    return core_groups.criterion(asked.field, given.operand, _reworded(asked.kind, given.value, asked.words))


def _reworded(kind: Kind, value: str, words: Mapping[str, str]) -> str:
    """A value with other words for statuses; a text that has none of them stays as it was written."""
    if kind is Kind.CHOICE:
        return ",".join(words.get(word, word) for word in value.split(","))
    if kind is Kind.DOCUMENT and words:
        predicate = jsonpath.parse(value)
        reworded = jsonpath.translated(predicate, words)
        return value if reworded == predicate else jsonpath.write(reworded)
    return value


def group(spelling: Spelling) -> Callable[[Lineage, Request], shapes.Group]:
    return lambda found, _: _group(found, spelling)


def _group(found: Lineage, spelling: Spelling) -> shapes.Group:
    record, parent = found.group, found.parent
    return shapes.Group(
        id=core_groups.uid(record),
        name=record.name,
        description=record.description or "",
        parent_id=core_groups.uid(parent) if parent else UNSET,
        filter=record.filter or UNSET,
        criteria=[_shown(one, spelling) for one in record.criteria],
        inherited_criteria=[_shown(one, spelling) for one in found.inherited],
        created_at=moment(record.created_at),
        updated_at=moment(record.updated_at),
    )


def _shown(criterion: model.Criterion, spelling: Spelling) -> shapes.Criterion:
    name, asked = _CALLED[criterion.field]
    words = spelling.statuses if asked.words else {}
    return shapes.Criterion(name, criterion.operator, _reworded(asked.kind, criterion.value, words))


def listed_groups(request: Request) -> groups.Listing:
    asked = _asked(request)
    by = "uid" if asked.sort_by == "id" else "name"
    filter = bracketed.parse(asked.filters, _GROUP_FIELDS)
    return groups.Listing(filter, by, asked.sort_mode == "desc", asked.size, asked.after)


def group_list(spelling: Spelling) -> Callable[[groups.Page, Request], shapes.GroupList]:
    def encode(page: groups.Page, request: Request) -> shapes.GroupList:
        return shapes.GroupList(_bookmark(page.next, request), [_group(one, spelling) for one in page.lineages])

    return encode


def one_group(request: Request) -> str:
    return request.path["id"]


def group_members(request: Request) -> tuple[str, devices.Listing]:
    return request.path["id"], listing(request)


# --- counts ----------------------------------------------------------------------------------------------------------


def counted(request: Request) -> Filter | None:
    """The filter of the count. It is by status, so that by status is refused."""
    given = request.query.all("filter")
    if any(text.startswith("status[") for text in given):
        raise invalid("invalid_filter", "struct validation error", "filter")
    return bracketed.parse(given, _COUNTED)


def stats(spelling: Spelling) -> Callable[[dict[str, int], Request], shapes.Stats]:
    def encode(found: dict[str, int], _: Request) -> shapes.Stats:
        by_status = {spelling.of(status.value): found[status.value] for status in Status}
        return shapes.Stats(sum(found.values()), dict(sorted(by_status.items())))

    return encode


def health(_: object, request: Request) -> shapes.Health:
    return shapes.Health(True, __version__)
