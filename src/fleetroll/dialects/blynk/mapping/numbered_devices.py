"""Devices: as they are shown, listed, created, renamed and handed over."""

from typing import Any

from msgspec import UNSET, UnsetType, structs

from fleetroll.core import documents, ids, limits, model, names
from fleetroll.core.faults import invalid
from fleetroll.core.query import Slice
from fleetroll.core.templates import metric
from fleetroll.dialects.blynk.mapping.datastreams import latest
from fleetroll.dialects.blynk.mapping.metafields import values
from fleetroll.dialects.blynk.mapping.parameters import (
    device_number,
    home,
    offset_page,
    organization_number,
    searched,
    sort,
)
from fleetroll.dialects.blynk.mapping.times import ms
from fleetroll.dialects.blynk.shapes import numbered_devices as shapes
from fleetroll.dialects.blynk.shapes.metafields import MetaFieldValue
from fleetroll.service import numbered_devices, reach
from fleetroll.wire.request import Request

MOST_MINUTES, _MINUTES = 60, 5

# The names of the vendor's console for what to sort by. Owners are in the order of their addresses.
SORTS = {
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


def one_device(request: Request) -> reach.Numbered:
    return reach.Numbered(device_number(request))


def listing(request: Request) -> numbered_devices.Listing:
    return numbered_devices.Listing(
        offset_page(request), organization_number(request), request.query.flag("includeSubOrgDevices")
    )


def searching(request: Request) -> numbered_devices.Searching:
    return numbered_devices.Searching(searched(request), sort(request, SORTS), offset_page(request))


def of_owner(request: Request) -> numbered_devices.Belonging:
    return numbered_devices.Belonging(_user(request, "ownerEmail"), offset_page(request), organization_number(request))


def of_user(request: Request) -> numbered_devices.Belonging:
    return numbered_devices.Belonging(_user(request, "userEmail"), offset_page(request))


def _user(request: Request, field: str) -> str:
    """The user's reference. It need not be an address: owners of other APIs are shown here by whatever they have."""
    text = request.query.get(field)
    if not text:
        raise invalid("parameter_required", f"{field} is required.", field)
    return names.owner_ref(text, field)


def recent(request: Request) -> numbered_devices.Recent:
    text = request.query.get("minutes")
    minutes = _MINUTES if text is None else names.positive(text, "minutes", MOST_MINUTES)
    return numbered_devices.Recent(organization_number(request), minutes)


def rename(request: Request) -> numbered_devices.Rename:
    return numbered_devices.Rename(device_number(request), _name(request.body.name))


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
    template = ids.parse_template_id(body.template_id) or 0
    name = None if body.name is None else _name(body.name)
    return numbered_devices.New(template, name, home(request), body.owner_id)


def _new_owner(body: shapes.Transfer) -> int | None:
    return body.new_user_id or body.new_owner_user_id or body.new_owner_id or body.user_id or body.owner_id


def to_owner(request: Request) -> numbered_devices.Handover:
    owner = _new_owner(request.body)
    if owner is None:
        raise invalid("parameter_required", "newUserId is required.", "newUserId")
    return numbered_devices.Handover(request.body.device_id, owner)


def to_organization(request: Request) -> numbered_devices.Handover:
    body = request.body
    organization = body.new_org_id or body.new_organization_id or body.org_id or body.organization_id
    if organization is None:
        raise invalid("parameter_required", "newOrgId is required.", "newOrgId")
    return numbered_devices.Handover(body.device_id, None, organization)


def transfer(request: Request) -> numbered_devices.Handover:
    """The older form: to whichever is given, or to the owner if both are."""
    return to_organization(request) if _new_owner(request.body) is None else to_owner(request)


def _hardware(device: model.Device) -> shapes.HardwareInfo | UnsetType:
    if device.software is None and device.hardware_version is None:
        return UNSET
    software = documents.load(device.software) if device.software else {}
    return shapes.HardwareInfo(
        software.get("version", UNSET),
        software.get("type", UNSET),
        device.hardware_version or UNSET,
        software.get("build", UNSET),
        UNSET if device.template is None else ids.template_id(device.template),
    )


def device(shown: numbered_devices.Shown, request: Request) -> shapes.Device:
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
        UNSET if record.activated_at is None else ms(record.activated_at),
        UNSET if owner is None else owner.id,
        _hardware(record),
    )


def page(result: Slice[numbered_devices.Shown], request: Request) -> shapes.DevicePage:
    return shapes.DevicePage([device(shown, request) for shown in result.records], result.total)


def _base(result: numbered_devices.Details, request: Request) -> dict[str, Any]:
    newest = [event.at for event in (result.came, result.went, result.logged) if event]
    return {
        **structs.asdict(device(result.shown, request)),
        "lifecycle_status": UNSET if result.lifecycle is None else _lifecycle(result.lifecycle),
        "first_connect_time": ms(result.shown.device.activated_at),
        "firmware_updated_at": 0,
        "connect_time": ms(result.connected_at),
        "disconnect_time": ms(result.went.at if result.went else None),
        "ip": "",
        "is_locked": False,
        "last_received_event_at": ms(max(newest, default=None)),
    }


def _lifecycle(event: model.Event) -> shapes.LifecycleStatus:
    data = documents.load(event.data)
    return shapes.LifecycleStatus(data.get("event", 0), data.get("name", ""), "", "")


def base_info(result: numbered_devices.Details, request: Request) -> shapes.DeviceBaseInfo:
    return shapes.DeviceBaseInfo(**_base(result, request))


def details(result: numbered_devices.Details, request: Request) -> shapes.DeviceDetails:
    template, record = result.template, result.shown.device
    read = {reading.metric: reading for reading in result.readings}
    streams = template.datastreams if template else ()
    return shapes.DeviceDetails(
        **_base(result, request),
        data_stream_values=[latest(part, read.get(metric(part))) for part in streams],
        meta_field_values=[MetaFieldValue(field.id, field.name, value) for field, value in values(template, record)],
    )


def created(result: numbered_devices.Details, request: Request) -> shapes.DeviceBaseInfo:
    short = request.query.flag("baseInfo") or request.body.base_info
    return base_info(result, request) if short else details(result, request)


def online(shown: numbered_devices.Shown, request: Request) -> shapes.Online:
    return shapes.Online(shown.device.connected)


def device_tags(shown: numbered_devices.Shown, request: Request) -> list[shapes.DeviceTag]:
    return [shapes.DeviceTag(ids.text_number(tag), shown.device.org, tag) for tag in shown.device.tags]


def activated(result: list[numbered_devices.Shown], request: Request) -> list[shapes.ActivatedDevice]:
    return [
        shapes.ActivatedDevice(
            shown.device.id,
            shown.device.template or 0,
            shown.device.org,
            shown.owner.id if shown.owner else None,
            ms(shown.device.activated_at),
        )
        for shown in result
    ]
