"""Between Blynk's parameters and bodies and the inputs and results of operations. Pure; raises nothing but Fault."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, UnsetType, structs

from fleetroll.core import documents, limits, model, names
from fleetroll.core.datastreams import shown
from fleetroll.core.faults import invalid
from fleetroll.core.metafields import show, value_of
from fleetroll.core.query import Place, Sort
from fleetroll.core.templates import metric, numbered
from fleetroll.dialects.blynk import shapes
from fleetroll.service import datastreams as service_datastreams
from fleetroll.service import event_codes, keys, metafields, numbered_devices, organizations, owners, reach, templates
from fleetroll.service import tags as service_tags
from fleetroll.service.reports import Address, Property, Sample, Value, at_pin
from fleetroll.service.timeline import Actions
from fleetroll.wire.request import Request

_LONGEST_SEARCH = 255
_LONGEST_EVENT = 1024
_HIGHEST_PLACE = 1 << 31
_MILLISECOND = 1_000
_LATEST = 10**15 - 1
_MOST_MINUTES, _MINUTES = 60, 5

# The names by which the vendor's console shows what to sort by. Owners are in the order of their addresses.
_SORTS = {
    "Device Id": "id",
    "Name": "name",
    "Auth Token": "id",  # it begins with the number
    "Owner Id": "owners",
    "Device Owner Name": "owners",
    "Device Owner": "owners",
    "Last Reported At": "last_seen",
    "Activated At": "activated_at",
    "Activated By": "owners",
    "Model": "hardware_version",
    "Template Name": "template",
    "Template Id": "template",
    "Firmware Version": "software_version",
    "Organization Id": "id",  # a search is within one
    "Status": "connected",
}
_DATASTREAMS = {
    "INT": model.DatastreamKind.INTEGER,
    "DOUBLE": model.DatastreamKind.DOUBLE,
    "STRING": model.DatastreamKind.STRING,
    "ENUM": model.DatastreamKind.ENUM,
    "LOCATION": model.DatastreamKind.LOCATION,
}
_ORGANIZATIONS = dict.fromkeys(
    ("ROOT", "BUSINESS", "PERSONAL", "BRANCH", "DISTRIBUTOR", "CONTRACTOR", "INSTALLER", "RESELLER")
)
_ROLES = {"1": model.OwnerRole.ADMIN, "2": model.OwnerRole.STAFF, "3": model.OwnerRole.USER}
_ROLE_NUMBERS = {role: int(number) for number, role in _ROLES.items()}
_STREAM_NAMES = {kind: name for name, kind in _DATASTREAMS.items()}
_EVENTS = {kind.value: kind for kind in model.EventKind}
_METAFIELDS = {kind.value: kind for kind in model.MetafieldKind}
_UNITS = {system.value.upper(): system for system in model.UnitSystem}
_PIN_TYPES = {"VIRTUAL": "v", "DIGITAL": "d", "ANALOG": "a"}
_PIN_NAMES = {letter: name for name, letter in _PIN_TYPES.items()}
assert set(_DATASTREAMS.values()) == set(model.DatastreamKind)


# --- parameters ------------------------------------------------------------------------------------------------------


def _required(request: Request, field: str) -> str:
    text = request.query.get(field)
    if text is None:
        raise invalid("parameter_required", f"{field} is required.", field)
    return text


def _number(request: Request, field: str) -> int:
    return names.positive(_required(request, field), field, names.MAX_ID)


def _optional(request: Request, *fields: str) -> int | None:
    for field in fields:
        if (text := request.query.get(field)) is not None:
            return names.positive(text, field, names.MAX_ID)
    return None


def organization_number(request: Request) -> int | None:
    return _optional(request, "orgId", "organizationId")


def _place(request: Request) -> Place:
    page = request.query.get("page")
    text = request.query.get("size")
    size = limits.DEFAULT_PAGE if text is None else names.positive(text, "size", limits.MAX_PAGE)
    if page is None:
        return Place(size)
    if not re.fullmatch(r"0|[1-9][0-9]{0,9}", page) or int(page) > _HIGHEST_PLACE:
        raise invalid("out_of_range", f"page must be a whole number from 0 to {_HIGHEST_PLACE}.", "page")
    return Place(size, int(page) * size)


def _choice(choices: Mapping[str, Any], text: str, field: str) -> Any:
    if text not in choices:
        raise invalid("invalid_parameter", f"{field} must be one of {', '.join(choices)}.", field)
    return choices[text]


def one(request: Request) -> reach.Numbered:
    return reach.Numbered(_number(request, "deviceId"))


def listing(request: Request) -> numbered_devices.Listing:
    return numbered_devices.Listing(
        _place(request), organization_number(request), request.query.flag("includeSubOrgDevices")
    )


def searching(request: Request) -> numbered_devices.Searching:
    return numbered_devices.Searching(_text(request), _sort(request, _SORTS), _place(request))


def _sort(request: Request, fields: Mapping[str, str]) -> Sort:
    """The order asked for; that of the numbers if nothing is said."""
    query = request.query
    descending = _choice({"ASC": False, "DESC": True}, query.get("sortOrder") or "ASC", "sortOrder")
    given = query.get("sortBy")
    return Sort("id" if given is None else _choice(fields, given, "sortBy"), descending=descending)


def _text(request: Request) -> str:
    text = request.query.get("query")
    if not text:
        raise invalid("parameter_required", "query is required.", "query")
    return names.line(text, "query", _LONGEST_SEARCH)


def of_owner(request: Request) -> numbered_devices.Belonging:
    return numbered_devices.Belonging(_email(request, "ownerEmail"), _place(request), organization_number(request))


def of_user(request: Request) -> numbered_devices.Belonging:
    return numbered_devices.Belonging(_email(request, "userEmail"), _place(request))


def _email(request: Request, field: str) -> str:
    text = request.query.get(field)
    if not text:
        raise invalid("parameter_required", f"{field} is required.", field)
    return names.email(text, field)


def recent(request: Request) -> numbered_devices.Recent:
    text = request.query.get("minutes")
    minutes = _MINUTES if text is None else names.positive(text, "minutes", _MOST_MINUTES)
    return numbered_devices.Recent(organization_number(request), minutes)


def past(request: Request) -> event_codes.Past:
    kind = request.query.get("eventType")
    return event_codes.Past(
        one(request).id, _place(request), None if kind is None else _choice(_EVENTS, kind, "eventType")
    )


def actions(request: Request) -> Actions:
    return Actions(one(request).id, _place(request))


def rename(request: Request) -> numbered_devices.Rename:
    return numbered_devices.Rename(one(request).id, _name(request.body.name))


def _name(text: str) -> str:
    if not names.is_plain_name(text):
        message = (
            f"name must have 1 to {limits.MAX_PLAIN_NAME} letters, digits, spaces, apostrophes, underscores, hyphens, "
            "dots and commas."
        )
        raise invalid("invalid_name", message, "name")
    return text


def new_device(request: Request) -> numbered_devices.New:
    body = request.body
    # No template has the number 0.
    template = names.parse_template_id(body.template_id) or 0
    name = None if body.name is None else _name(body.name)
    return numbered_devices.New(
        template, name, body.org_id or body.organization_id or organization_number(request), body.owner_id
    )


def to_owner(request: Request) -> numbered_devices.Handover:
    body = request.body
    owner = body.new_user_id or body.new_owner_id or body.user_id or body.owner_id
    if owner is None:
        raise invalid("parameter_required", "newUserId is required.", "newUserId")
    return numbered_devices.Handover(body.device_id, owner)


def to_organization(request: Request) -> numbered_devices.Handover:
    body = request.body
    organization = body.new_org_id or body.new_organization_id or body.org_id or body.organization_id
    if organization is None:
        raise invalid("parameter_required", "newOrgId is required.", "newOrgId")
    return numbered_devices.Handover(body.device_id, None, organization)


def transfer(request: Request) -> numbered_devices.Handover:
    """The form of before: whichever is given, and the owner where both are."""
    return to_owner(request) if request.body.new_user_id is not None else to_organization(request)


def occurrence(request: Request) -> event_codes.Occurrence:
    body = request.body
    description = body.event_description
    if description is not None:
        names.paragraph(description, "eventDescription")
    if len(body.event_code) + len(description or "") > _LONGEST_EVENT:
        message = f"eventCode and eventDescription have at most {_LONGEST_EVENT} characters."
        raise invalid("invalid_text", message, "eventDescription")
    return event_codes.Occurrence(body.device_id, body.event_code, description)


def metafield_change(request: Request) -> metafields.Writing:
    body = request.body
    return metafields.Writing(body.device_id, body.meta_field_id, body.new_value)


# --- devices out -----------------------------------------------------------------------------------------------------


def _ms(instant: int | None) -> int:
    return 0 if instant is None else instant // 1000


def _hardware(device: model.Device) -> shapes.HardwareInfo | UnsetType:
    if device.software is None and device.hardware_version is None:
        return UNSET
    software = documents.load(device.software) if device.software else {}
    return shapes.HardwareInfo(
        software.get("version", UNSET),
        software.get("type", UNSET),
        device.hardware_version or UNSET,
        software.get("build", UNSET),
        UNSET if device.template is None else names.template_id(device.template),
    )


def device(shown: numbered_devices.Shown, request: Request) -> shapes.Device:
    return _device(shown)


def _device(shown: numbered_devices.Shown) -> shapes.Device:
    record, owner = shown.device, shown.owner
    template = record.template or 0
    # By position: this runs for every device of every page.
    return shapes.Device(
        record.id,
        record.name or record.ident,
        template,
        template,
        record.org,
        shown.token,
        UNSET if record.activated_at is None else _ms(record.activated_at),
        UNSET if owner is None else owner.id,
        _hardware(record),
    )


def page(result: numbered_devices.Listed, request: Request) -> shapes.DevicePage:
    return shapes.DevicePage([_device(shown) for shown in result.devices], result.total)


def _base(result: numbered_devices.Details) -> dict[str, Any]:
    newest = [event.at for event in (result.came, result.went, result.logged) if event]
    return {
        **structs.asdict(_device(result.shown)),
        "lifecycle_status": UNSET if result.lifecycle is None else _lifecycle(result.lifecycle),
        "first_connect_time": _ms(result.shown.device.activated_at),
        "firmware_updated_at": 0,
        "connect_time": _ms(result.came.at if result.came else None),
        "disconnect_time": _ms(result.went.at if result.went else None),
        "ip": "",
        "is_locked": False,
        "last_received_event_at": _ms(max(newest, default=None)),
    }


def _lifecycle(event: model.Event) -> shapes.LifecycleStatus:
    said = documents.load(event.data)
    return shapes.LifecycleStatus(said.get("event", 0), said.get("name", ""), "", "")


def base_info(result: numbered_devices.Details, request: Request) -> shapes.DeviceBaseInfo:
    return shapes.DeviceBaseInfo(**_base(result))


def details(result: numbered_devices.Details, request: Request) -> shapes.DeviceDetails:
    template, record = result.template, result.shown.device
    read = {reading.metric: reading for reading in result.readings}
    streams = template.datastreams if template else ()
    return shapes.DeviceDetails(
        **_base(result),
        data_stream_values=[_stream(part, read.get(metric(part))) for part in streams],
        meta_field_values=[
            shapes.MetaFieldValue(field.id, field.name, value) for field, value in _values(template, record)
        ],
    )


def _stream(stream: model.Datastream, reading: model.Reading | None) -> shapes.DataStreamValue:
    label = stream.label or stream.alias or stream.pin
    shape = shapes.DataStreamValue(stream.id, stream.pin, label, stream.alias or stream.pin)
    if reading is not None:
        shape.value, shape.updated_at = reading.value, _ms(reading.at)
    return shape


def _values(template: model.Template | None, record: model.Device) -> list[tuple[model.Metafield, dict[str, Any]]]:
    metadata = documents.load(record.metadata)
    fields = template.metafields if template else ()
    return [(field, show(field, value_of(field, record, metadata))) for field in fields]


def created(result: numbered_devices.Details, request: Request) -> shapes.DeviceBaseInfo:
    short = request.query.flag("baseInfo") or request.body.base_info
    return base_info(result, request) if short else details(result, request)


def online(shown: numbered_devices.Shown, request: Request) -> shapes.Online:
    return shapes.Online(shown.device.connected)


def device_tags(shown: numbered_devices.Shown, request: Request) -> list[shapes.DeviceTag]:
    return [shapes.DeviceTag(names.tag_number(tag), shown.device.org, tag) for tag in shown.device.tags]


def timeline(result: tuple[list[model.Event], int], request: Request) -> shapes.TimelinePage:
    events, total = result
    return shapes.TimelinePage([_event(event) for event in events], total)


def _event(event: model.Event) -> shapes.TimelineEvent:
    said = documents.load(event.data)
    kind = event_codes.KINDS[event.type]
    description = said.get("description") or said.get("name") or ""
    return shapes.TimelineEvent(event.id, said.get("event", 0), event.org, kind.value, description, _ms(event.at))


def logs(result: tuple[list[model.Event], int], request: Request) -> shapes.ActionLogPage:
    events, total = result
    return shapes.ActionLogPage([_action(event) for event in events], total)


def _action(event: model.Event) -> shapes.ActionLog:
    said = documents.load(event.data)
    if event.type == service_datastreams.WRITTEN:
        pin, kind = _split(said["pin"])
        return shapes.ActionLog(event.actor, said["value"], pin, kind, said["connected"], _ms(event.at))
    changed = " ".join(said.get("changed", ()))
    return shapes.ActionLog(event.actor, f"{event.type} {changed}".rstrip(), None, None, False, _ms(event.at))


def _split(pin: str) -> tuple[int, str]:
    """A pin as the vendor shows it beside its type."""
    return int(pin[1:]), _PIN_NAMES[pin[0]]


def activated(result: list[numbered_devices.Shown], request: Request) -> list[shapes.ActivatedDevice]:
    return [
        shapes.ActivatedDevice(
            shown.device.id,
            shown.device.template or 0,
            shown.device.org,
            shown.owner.id if shown.owner else None,
            _ms(shown.device.activated_at),
        )
        for shown in result
    ]


def device_metafields(result: numbered_devices.Details, request: Request) -> list[shapes.DeviceMetaField]:
    return [
        shapes.DeviceMetaField(field.id, field.name, field.mandatory, field.in_provisioning, value)
        for field, value in _values(result.template, result.shown.device)
    ]


# --- datastreams -----------------------------------------------------------------------------------------------------


def stream_values(request: Request) -> service_datastreams.Wanted:
    pins = request.query.get("pins")
    addresses = () if pins is None else tuple(dict.fromkeys(at_pin(text) for text in pins.split(",")))
    return service_datastreams.Wanted(one(request).id, addresses)


def shown_values(result: list[Value], request: Request) -> dict[str, Any]:
    return {one.stream.pin: shown(one.stream.kind, one.value) for one in result}


def stream_past(request: Request) -> service_datastreams.Past:
    pin = _required(request, "pin")
    since, until = _moment(request, "from", 0), _moment(request, "to", _LATEST)
    span = model.Span(since * _MILLISECOND, (until + 1) * _MILLISECOND)  # all of its last millisecond
    return service_datastreams.Past(one(request).id, at_pin(pin), span, _place(request))


def _moment(request: Request, field: str, usual: int) -> int:
    text = request.query.get(field)
    if text is None:
        return usual
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise invalid("invalid_parameter", f"{field} must be a time in milliseconds since 1970.", field)
    return int(text)


def stream_history(result: service_datastreams.History, request: Request) -> shapes.HistoryPage:
    kind = result.stream.kind
    content = [shapes.PastValue(_ms(one.at), shown(kind, one.value)) for one in result.readings]
    return shapes.HistoryPage(content, result.total)


def stream_write(request: Request) -> service_datastreams.Batch:
    body = request.body
    return service_datastreams.Batch(body.device_id, [Sample(Address(number=body.data_stream_id), [body.value])])


def stream_writes(request: Request) -> service_datastreams.Batch:
    given = request.body.values.items()
    samples = [Sample(_stream_named(name), [value]) for name, value in given]
    return service_datastreams.Batch(request.body.device_id, samples)


def _stream_named(text: str) -> Address:
    return Address(number=names.positive(text, "values", names.MAX_ID)) if text.isdecimal() else at_pin(text)


def stream_import(request: Request) -> service_datastreams.Batch:
    body, address = request.body, Address(number=request.body.data_stream_id)
    samples = [Sample(address, [one.value], one.ts * _MILLISECOND) for one in body.values]
    return service_datastreams.Batch(body.device_id, samples)


def stream_property(request: Request) -> service_datastreams.Setting:
    body = request.body
    value = names.paragraph(body.value, "value", limits.MAX_READING_TEXT)
    wanted = Property(Address(number=body.data_stream_id), names.display_property(body.property), value)
    return service_datastreams.Setting(body.device_id, wanted)


# --- organizations, people, tags -------------------------------------------------------------------------------------


def organization(record: model.Organization, request: Request) -> shapes.Organization:
    said = record.profile
    return shapes.Organization(
        record.id,
        record.name,
        said.description,
        record.parent,
        said.time_zone,
        said.unit_system.value.upper(),
        said.phone,
        None if said.address is None else _address(said.address),
        _ms(record.updated_at),
        not record.disabled,
    )


def _address(address: model.Address) -> shapes.Address:
    return shapes.Address(address.full, address.country, address.city, address.state, address.zip)


def one_organization(request: Request) -> int:
    return _number(request, "orgId")


def new_organization(request: Request) -> organizations.Below:
    body = request.body
    if body.type is not None:
        _choice(_ORGANIZATIONS, body.type, "type")
    return organizations.Below(names.line(body.name, "name"), body.parent_id, _profile(body))


def _profile(body: shapes.NewOrganization) -> model.OrganizationProfile:
    return model.OrganizationProfile(
        description=None if body.description is None else names.paragraph(body.description, "description"),
        time_zone="UTC" if body.tz is None else names.time_zone(body.tz, "tz"),
        unit_system=_choice(_UNITS, body.unit_system or "METRIC", "unitSystem"),
        phone=_line(body.phone_number, "phoneNumber"),
        address=None if body.address is None else _located(body.address),
    )


def _located(address: shapes.Address) -> model.Address:
    parts = {name: _line(getattr(address, name), f"address.{name}") for name in address.__struct_fields__}
    return model.Address(full=parts.pop("full_address"), **parts)


def below(request: Request) -> organizations.Directory:
    return organizations.Directory(_place(request), organization_number(request))


def organizations_like(request: Request) -> organizations.Directory:
    return organizations.Directory(_place(request), None, _text(request), _sort(request, {"Id": "id", "Name": "name"}))


def organization_page(result: tuple[list[model.Organization], int], request: Request) -> shapes.OrganizationPage:
    found, total = result
    return shapes.OrganizationPage([organization(record, request) for record in found], total)


def new_client(request: Request) -> keys.NewClient:
    return keys.NewClient(names.line(request.body.name, "name"), request.body.org_id or organization_number(request))


def client(result: keys.Issued, request: Request) -> shapes.Client:
    client_id, secret = result.client
    return shapes.Client(result.key.org, result.key.name, client_id, secret, [])


def people(request: Request) -> owners.Directory:
    return owners.Directory(_place(request), request.query.flag("includeSubOrgUsers"))


def people_like(request: Request) -> owners.Searching:
    return owners.Searching(_text(request), _place(request))


def user_page(result: tuple[list[model.Owner], int], request: Request) -> shapes.UserPage:
    found, total = result
    return shapes.UserPage([user(record, request) for record in found], total)


def user(record: model.Owner, request: Request) -> shapes.User:
    return shapes.User(
        record.id,
        record.name or record.ref,
        record.ref,
        _ROLE_NUMBERS[record.role],
        record.org,
        False,
        record.title,
        record.nickname,
        record.phone,
        record.time_zone,
        record.locale,
        record.status.value.capitalize(),
        _ms(record.updated_at),
        0,  # owners do not sign in
        _ms(record.created_at),
    )


def one_user(request: Request) -> int:
    return _number(request, "userId")


def new_user(request: Request) -> owners.Within:
    return _user(request, model.OwnerStatus.ACTIVE)


def invited(request: Request) -> owners.Within:
    return _user(request, model.OwnerStatus.PENDING)


def _user(request: Request, status: model.OwnerStatus) -> owners.Within:
    body = request.body
    address = body.address.full_address if isinstance(body.address, shapes.Address) else body.address
    new = structs.replace(
        _blank(body),
        name=_line(body.name, "name"),
        phone=_line(body.phone_number, "phoneNumber"),
        address=None if address is None else names.paragraph(address, "address", limits.MAX_NAME),
        role=_choice(_ROLES, str(body.role_id), "roleId"),
        status=status,
        title=_line(body.title, "title"),
        nickname=_line(body.nick_name, "nickName"),
        time_zone=None if body.tz is None else names.time_zone(body.tz, "tz"),
        locale=_line(body.locale, "locale"),
    )
    return owners.Within(new, body.org_id or body.organization_id)


def _blank(body: shapes.NewUser | shapes.Founder | shapes.Registration) -> model.Owner:
    return owners.blank(names.email(body.email))


def registered(request: Request) -> owners.Within:
    body = request.body
    new = structs.replace(_blank(body), status=model.OwnerStatus.PENDING, locale=_line(body.locale, "locale"))
    return owners.Within(new)


def founder(request: Request) -> owners.Founder:
    """The first user of an organization administers it."""
    body = request.body
    zone = "UTC" if body.time_zone is None else names.time_zone(body.time_zone, "timeZone")
    name = names.line(body.organization_name or body.name, "organizationName")
    home = organizations.Below(name, None, model.OrganizationProfile(time_zone=zone))
    new = structs.replace(_blank(body), name=names.line(body.name, "name"), role=model.OwnerRole.ADMIN)
    return owners.Founder(new, home)


def moved_user(request: Request) -> owners.Transfer:
    body = request.body
    return owners.Transfer(body.user_id, body.target_org_id, _choice(_ROLES, str(body.role_id), "roleId"))


def _line(text: str | None, field: str) -> str | None:
    return None if text is None else names.line(text, field)


def role(request: Request) -> owners.Edit:
    return owners.Edit(one_user(request), {"role": _choice(_ROLES, request.query.get("roleId") or "", "roleId")})


def tags(result: list[str], request: Request) -> list[shapes.Tag]:
    return [tag(name, request) for name in result]


def tag(name: str, request: Request) -> shapes.Tag:
    return shapes.Tag(names.tag_number(name), name, None)


def new_tag(request: Request) -> service_tags.New:
    return service_tags.New(names.tag(request.body.name, "name"), request.body.org_id or organization_number(request))


def one_tag(request: Request) -> service_tags.Numbered:
    return service_tags.Numbered(_number(request, "tagId"), organization_number(request))


def assignment(request: Request) -> service_tags.Assignment:
    return service_tags.Assignment(request.body.device_id, request.body.tag_id)


def withdrawal(request: Request) -> service_tags.Assignment:
    return service_tags.Assignment(one(request).id, _number(request, "tagId"))


# --- templates -------------------------------------------------------------------------------------------------------


def list_templates(request: Request) -> templates.Directory:
    return templates.Directory(_place(request), organization_number(request))


def one_template(request: Request) -> int:
    return _number(request, "templateId")


def template_page(result: tuple[list[model.Template], int], request: Request) -> shapes.TemplatePage:
    found, total = result
    short = [shapes.Template(one.id, [names.template_id(one.id)], one.org, one.name) for one in found]
    return shapes.TemplatePage(short, total)


def template(record: model.Template, request: Request) -> shapes.TemplateDetails:
    return shapes.TemplateDetails(
        record.id,
        [names.template_id(record.id)],
        record.org,
        record.name,
        board_type=record.board,
        connection_type=record.connection,
        description=record.description,
        logo_url=None,
        created_at=_ms(record.created_at),
    )


def datastreams(record: model.Template, request: Request) -> list[shapes.Datastream]:
    return [
        shapes.Datastream(
            int(one.pin[1:]),
            _STREAM_NAMES[one.kind],
            _PIN_NAMES[one.pin[0]],
            one.label or one.alias or one.pin,
            one.alias or one.pin,
            one.unit,
            one.min,
            one.max,
            one.default,
            one.id,
            one.pin[0] == "a",
        )
        for one in record.datastreams
    ]


def events(record: model.Template, request: Request) -> list[shapes.EventCode]:
    return [shapes.EventCode(one.code, one.name, one.kind.value, one.description, one.id) for one in record.events]


def template_metafields(record: model.Template, request: Request) -> list[shapes.MetaField]:
    return [
        shapes.MetaField(
            one.name,
            one.kind.value,
            one.description,
            one.hint,
            one.icon,
            one.mandatory,
            one.in_provisioning,
            list(one.options),
            one.id,
        )
        for one in record.metafields
    ]


def new_template(request: Request) -> model.Template:
    body = request.body
    for field in ("description", "board_type", "connection_type"):
        names.paragraph(getattr(body, field) or "", field)
    blank = model.Template(
        id=0,
        org=0,
        name=names.label(body.name, "name"),
        description=body.description,
        board=body.board_type,
        connection=body.connection_type,
        datastreams=tuple(_datastream(one) for one in body.datastreams),
        events=tuple(_event_code(one) for one in body.events),
        metafields=tuple(_metafield(one) for one in body.metafields),
        last_part=0,
        created_at=0,
        updated_at=0,
        revision=0,
    )
    return numbered(blank)


def _datastream(shape: shapes.Datastream) -> model.Datastream:
    return model.Datastream(
        id=0,
        pin=f"{_choice(_PIN_TYPES, shape.pin_type, 'pinType')}{shape.pin}",
        kind=_choice(_DATASTREAMS, shape.type, "type"),
        alias=shape.alias,
        label=shape.label,
        unit=shape.units,
        min=shape.min,
        max=shape.max,
        default=shape.default_value,
    )


def _event_code(shape: shapes.EventCode) -> model.EventCode:
    return model.EventCode(0, shape.event_code, shape.name, _choice(_EVENTS, shape.type, "type"), shape.description)


def _metafield(shape: shapes.MetaField) -> model.Metafield:
    return model.Metafield(
        id=0,
        name=shape.name,
        kind=_choice(_METAFIELDS, shape.type, "type"),
        description=shape.description,
        hint=shape.hint,
        icon=shape.icon,
        mandatory=shape.is_mandatory,
        in_provisioning=shape.include_in_provision,
        options=tuple(shape.options),
    )
