"""Translates between Telemetron's bodies and the inputs and results of operations. Pure; raises nothing but Fault.

Three rules hold throughout. Identifiers are taken as sent, but for the keys of bulk metadata, which the vendor trims.
E-mail addresses are trimmed and lower-cased. `type` and a customer's `name`, which every record of the vendor's has,
are left as they are by null or empty text; `phone` and `address` are cleared by it.
"""

from typing import Any

from msgspec import UNSET

from fleetroll.core import documents, ids, limits, model, names
from fleetroll.core.documents import Document
from fleetroll.core.faults import invalid
from fleetroll.core.guards import etag
from fleetroll.core.times import to_datetime
from fleetroll.dialects.telemetron import shapes
from fleetroll.service import assignments, devices, fleet, owners
from fleetroll.service.assignments import Outcome
from fleetroll.service.reach import Numbered
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request

DEVICE = "dev_"
CUSTOMER = "cus_"
ORGANIZATION = "org_"

_NOBODY = 0  # no record has this number


# --- devices ---------------------------------------------------------------------------------------------------------


def put_device(request: Request) -> devices.Put:
    body = request.body
    ident = names.ident(_required(body.identifier, "identifier", "must be a non-empty string"), "identifier")
    metadata = UNSET if body.properties is UNSET else _properties(body.properties)
    change = model.DeviceChange(kind=_kind(body.type, "type"), metadata=metadata)
    return devices.Put(ident, change, required=("kind",), guard=request.guard)


def stored_device(result: devices.Stored, request: Request) -> Reply:
    device = result.device
    message = f"Device {'created' if result.created else 'updated'} successfully"
    shape = shapes.StoredDevice(True, message, device_id(device), device.ident, device.kind)
    return Reply(shape, etag=etag(device))


def device_id(device: model.Device) -> str:
    return ids.prefixed(DEVICE, device.id)


def _properties(value: object) -> Document:
    if not isinstance(value, dict):
        raise invalid("invalid_properties", "properties must be an object", "properties")
    return documents.of(value, "properties")


def bulk_metadata(request: Request) -> list[fleet.Replacement]:
    entries = request.body.devices
    if not isinstance(entries, dict):
        message = "devices is required and must be an object mapping identifiers to metadata"
        raise invalid("devices_required", message, "devices")
    if not entries:
        raise invalid("no_devices", "devices must contain at least one entry", "devices")
    _check_count(entries)
    return [_replacement(ident.strip(), metadata) for ident, metadata in entries.items()]


def _replacement(ident: str, metadata: object) -> fleet.Replacement:
    if not isinstance(metadata, dict):
        message = f'Invalid metadata for device "{ident}": must be a JSON object'
        raise invalid("invalid_metadata", message, "devices")
    return fleet.Replacement(_ident_to_find(ident, "devices"), documents.of(metadata, "devices"))


def replaced(results: list[fleet.Replaced], request: Request) -> shapes.BulkMetadataResult:
    items = [_replaced(result) for result in results]
    updated = sum(result.device is not None for result in results)
    return shapes.BulkMetadataResult(True, updated, len(items) - updated, items)


def _replaced(result: fleet.Replaced) -> shapes.BulkMetadataItem:
    if result.device is None:
        return shapes.BulkMetadataItem(result.ident, "", "not_found")
    return shapes.BulkMetadataItem(result.ident, device_id(result.device), "updated")


# --- assignments -----------------------------------------------------------------------------------------------------


def assign_owners(request: Request) -> assignments.AssignOwners:
    body = request.body
    create = _flag(body.auto_create_device, "autoCreateDevice")
    ident = _ident(_required(body.device_identifier, "deviceIdentifier"), "deviceIdentifier", create=create)
    kind = _kind(body.device_type, "deviceType")
    return assignments.AssignOwners(ident, _emails(body.customer_emails), create, kind or None)


def assigned_owners(result: assignments.OwnersAssigned, request: Request) -> shapes.AssignedToOwners:
    customers = [shapes.AssignedCustomer(owner.ref, customer_id(owner), created) for owner, created in result.owners]
    message = f"Successfully assigned device to {len(customers)} customer(s)"
    return shapes.AssignedToOwners(True, message, device_id(result.device), result.created, customers)


def assign_devices(request: Request) -> assignments.AssignDevices:
    body = request.body
    create = _flag(body.auto_create_devices, "autoCreateDevices")
    email = names.email(_required(body.customer_email, "customerEmail"), "customerEmail")
    kind = _kind(body.device_type, "deviceType")
    return assignments.AssignDevices(email, _idents(body.device_identifiers, create=create), create, kind or None)


def assigned_devices(result: assignments.DevicesAssigned, request: Request) -> shapes.AssignedToOwner:
    assigned = _with_outcome(result.results, Outcome.CREATED, Outcome.CHANGED)
    already = _with_outcome(result.results, Outcome.UNCHANGED)
    return shapes.AssignedToOwner(
        success=True,
        # The vendor's example counts the devices that were assigned before.
        message=f"Successfully assigned {len(assigned) + len(already)} device(s) to customer",
        customer_id=customer_id(result.owner),
        customer_was_created=result.created,
        assigned_devices=assigned,
        already_assigned=already,
        skipped=_missing(result.results),
    )


def _with_outcome(results: list[assignments.DeviceOutcome], *outcomes: Outcome) -> list[shapes.AssignedDevice]:
    return [
        shapes.AssignedDevice(result.device.ident, device_id(result.device), result.outcome is Outcome.CREATED)
        for result in results
        if result.device and result.outcome in outcomes
    ]


def _missing(results: list[assignments.DeviceOutcome]) -> list[str]:
    return [result.ident for result in results if result.outcome is Outcome.MISSING]


def unassign_owner(request: Request) -> assignments.Unassign:
    body = request.body
    ident = _ident(_required(body.device_identifier, "deviceIdentifier"), "deviceIdentifier")
    email = names.email(_required(body.customer_email, "customerEmail"), "customerEmail")
    return assignments.Unassign(email, (ident,))


def unassigned_owner(result: assignments.Unassigned, request: Request) -> shapes.UnassignedDevice:
    return shapes.UnassignedDevice(
        success=True,
        message="Device successfully unassigned from customer",
        customer_id=customer_id(result.owner),
        device_identifier=result.results[0].ident,
        devices_remaining=result.remaining,
    )


def unassign_devices(request: Request) -> assignments.Unassign:
    body = request.body
    email = names.email(_required(body.customer_email, "customerEmail"), "customerEmail")
    return assignments.Unassign(email, _idents(body.device_identifiers))


def unassigned_devices(result: assignments.Unassigned, request: Request) -> shapes.UnassignedDevices:
    unassigned = [each.ident for each in result.results if each.outcome is Outcome.CHANGED]
    return shapes.UnassignedDevices(
        success=True,
        message=f"Successfully unassigned {len(unassigned)} device(s) from customer",
        customer_id=customer_id(result.owner),
        unassigned_devices=unassigned,
        skipped=_missing(result.results),
        devices_remaining=result.remaining,
    )


# --- customers -------------------------------------------------------------------------------------------------------


def put_customer(request: Request) -> owners.Put:
    body = request.body
    texts = {
        "name": _text(body.name, "name", limits.MAX_NAME) or UNSET,
        "phone": _text(body.phone, "phone", limits.MAX_NAME),
        "address": _text(body.address, "address", limits.MAX_NAME),
    }
    members = {name: value for name, value in texts.items() if value is not UNSET}
    return owners.Put(_number(body.telemetron_customer_id), names.email(_email(body.email)), members)


def _number(value: object) -> int | None:
    """The customer to update; none, null and empty text mean a new one. An id that is no customer's finds nobody."""
    if value is UNSET or value is None or value == "":
        return None
    return customer_number(value) if isinstance(value, str) else _NOBODY


def customer_number(text: str) -> int:
    return ids.parse_prefixed(CUSTOMER, text) or _NOBODY


def customer_id(owner: model.Owner) -> str:
    return ids.prefixed(CUSTOMER, owner.id)


def stored_customer(result: owners.Stored, request: Request) -> shapes.StoredCustomer:
    message = f"Customer {'created' if result.created else 'updated'} successfully"
    return shapes.StoredCustomer(True, customer_id(result.owner), message)


def query_customer(request: Request) -> str:
    """A native owner may have a reference that is not an address; whoever knows it may ask for it."""
    return names.owner_ref(_email(request.body.email), "email")


def one_customer(request: Request) -> Numbered:
    text = request.path.get("id", "").strip()
    if not text:
        raise invalid("customer_id_required", "Customer ID is required", "id")
    return Numbered(customer_number(text))


def customer(result: owners.Owned, request: Request) -> shapes.Customer:
    owner = result.owner
    return shapes.Customer(
        id=customer_id(owner),
        organization_id=ids.prefixed(ORGANIZATION, owner.org),
        name=owner.name or owners.first_part(owner.ref),
        email=owner.ref,
        phone=owner.phone,
        address=owner.address,
        devices=result.idents,
        metadata={},
        orders=[],
        created_at=to_datetime(owner.created_at),
        updated_at=to_datetime(owner.updated_at),
    )


# --- members ---------------------------------------------------------------------------------------------------------


def _required(value: object, field: str, rule: str = "must be a string") -> str:
    if not isinstance(value, str) or not value.strip():
        raise invalid(f"{field}_required", f"{field} is required and {rule}", field)
    return value


def _email(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise invalid("email_required", "Email is required", "email")
    return value


def _text(value: object, field: str, longest: int) -> Any:
    """Free text, None where it is null or empty, UNSET where it is left out."""
    if value is UNSET:
        return UNSET
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise invalid("invalid_text", f"{field} must be a string", field)
    return names.paragraph(value, field, longest)


def _kind(value: object, field: str) -> Any:
    text = _text(value, field, limits.MAX_KIND)
    return names.line(text, field, limits.MAX_KIND) if text and text.strip() else UNSET


def _flag(value: object, field: str) -> bool:
    if value is UNSET or value is None:
        return False
    if not isinstance(value, bool):
        raise invalid("invalid_flag", f"{field} must be a boolean", field)
    return value


def _ident_to_find(value: str, field: str) -> str:
    """An identifier to look for. One that no device can have is merely not found, unless it is not printable text."""
    if not value.isprintable():
        raise invalid("invalid_ident", f"{field} must hold printable text", field)
    return value


def _ident(value: str, field: str, *, create: bool = False) -> str:
    return names.ident(value, field) if create else _ident_to_find(value, field)


def _idents(value: object, *, create: bool = False) -> tuple[str, ...]:
    field = "deviceIdentifiers"
    if not isinstance(value, list) or not value:
        raise invalid("identifiers_required", f"{field} is required and must be a non-empty array", field)
    _check_count(value)
    if not all(isinstance(item, str) and item.strip() for item in value):
        raise invalid("invalid_identifiers", f"{field} must contain only non-empty strings", field)
    return tuple(dict.fromkeys(_ident(item, field, create=create) for item in value))


def _check_count(entries: Any) -> None:
    if len(entries) > limits.MAX_BULK_DEVICES:
        message = f"Too many devices. Maximum {limits.MAX_BULK_DEVICES} per request"
        raise invalid("too_many_devices", message)


def _emails(value: object) -> tuple[str, ...]:
    """The valid addresses of a list, each once; the vendor skips the others."""
    field = "customerEmails"
    if not isinstance(value, list):
        raise invalid("emails_required", f"{field} is required and must be a non-empty array", field)
    valid = (address for item in value if isinstance(item, str) and (address := names.parse_email(item)))
    addresses = names.unique(valid, limits.MAX_OWNERS_PER_DEVICE, field)
    if not addresses:
        raise invalid("no_valid_emails", "No valid customer emails provided", field)
    return addresses
