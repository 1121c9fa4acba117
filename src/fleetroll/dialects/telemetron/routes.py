"""The table of the Telemetron API, `/api/ext-v1`: devices, whom they belong to, and customers, who are our owners."""

from fleetroll.dialects.telemetron import mapping, shapes
from fleetroll.dialects.telemetron.envelope import ENVELOPE
from fleetroll.service import assignments, devices, fleet, owners
from fleetroll.wire.dialect import API_KEY_HEADER, BASIC, BEARER, Dialect, Route

_NEW_DEVICE = {
    "kind_required": "deviceType is required when creating a new device",
    "device_not_found": (
        "Device not found with the provided identifier. Set autoCreateDevice to true to create it automatically."
    ),
}
_FOREIGN = {"owner_not_found": "Customer not found for this organization"}
_UNKNOWN = {"owner_not_found": "Customer not found"}

_DEVICES = (
    Route(
        "POST",
        "/api/ext-v1/device",
        devices.put,
        mapping.put_device,
        mapping.stored_device,
        "Create a device, or update the given members of the one with this identifier",
        body=shapes.PutDevice,
        needs=("identifier",),
        reply=shapes.StoredDevice,
        reply_headers=("ETag",),
        guarded=True,
    ),
    Route(
        "POST",
        "/api/ext-v1/device/bulk-metadata",
        fleet.replace_metadata,
        mapping.bulk_metadata,
        mapping.replaced,
        "Replace the metadata of up to 1000 devices as a whole; unknown identifiers are reported",
        body=shapes.BulkMetadata,
        needs=("devices",),
        reply=shapes.BulkMetadataResult,
    ),
)

_ASSIGNMENTS = (
    Route(
        "POST",
        "/api/ext-v1/deviceAssignment/assignDeviceToOwners",
        assignments.assign_owners,
        mapping.assign_owners,
        mapping.assigned_owners,
        "Assign a device to customers, creating those that do not exist",
        body=shapes.AssignDeviceToOwners,
        needs=("deviceIdentifier", "customerEmails"),
        reply=shapes.AssignedToOwners,
        messages=_NEW_DEVICE,
    ),
    Route(
        "POST",
        "/api/ext-v1/deviceAssignment/assignDevicesToOwner",
        assignments.assign_devices,
        mapping.assign_devices,
        mapping.assigned_devices,
        "Assign up to 1000 devices to a customer, who is created if missing",
        body=shapes.AssignDevicesToOwner,
        needs=("customerEmail", "deviceIdentifiers"),
        reply=shapes.AssignedToOwner,
        messages=_NEW_DEVICE,
    ),
    Route(
        "POST",
        "/api/ext-v1/deviceAssignment/unassignDeviceFromOwner",
        assignments.unassign_owner,
        mapping.unassign_owner,
        mapping.unassigned_owner,
        "Unassign a device from a customer; both are kept",
        body=shapes.UnassignDeviceFromOwner,
        needs=("deviceIdentifier", "customerEmail"),
        reply=shapes.UnassignedDevice,
        messages=_FOREIGN,
    ),
    Route(
        "POST",
        "/api/ext-v1/deviceAssignment/unassignDevicesFromOwner",
        assignments.unassign_devices,
        mapping.unassign_devices,
        mapping.unassigned_devices,
        "Unassign up to 1000 devices from a customer; all are kept",
        body=shapes.UnassignDevicesFromOwner,
        needs=("customerEmail", "deviceIdentifiers"),
        reply=shapes.UnassignedDevices,
        messages=_FOREIGN,
    ),
)

_CUSTOMERS = (
    Route(
        "POST",
        "/api/ext-v1/customer/createOrUpdateCustomer",
        owners.put,
        mapping.put_customer,
        mapping.stored_customer,
        "Create a customer, or update the one with the given id",
        body=shapes.PutCustomer,
        needs=("email",),
        reply=shapes.StoredCustomer,
        messages={"owner_not_found": "Customer not found or does not belong to this organization"},
    ),
    Route(
        "POST",
        "/api/ext-v1/customer/queryCustomer",
        owners.by_ref,
        mapping.query_customer,
        mapping.customer,
        "Find a customer by e-mail address, case ignored",
        body=shapes.QueryCustomer,
        needs=("email",),
        reply=shapes.Customer,
        messages=_UNKNOWN,
    ),
    Route(
        "GET",
        "/api/ext-v1/customer/getCustomer/{id}",
        owners.by_id,
        mapping.one_customer,
        mapping.customer,
        "Read a customer by id",
        reply=shapes.Customer,
        messages=_UNKNOWN,
    ),
    # The id left out: the vendor says so, rather than that there is nothing here.
    Route(
        "GET",
        "/api/ext-v1/customer/getCustomer/",
        owners.by_id,
        mapping.one_customer,
        mapping.customer,
        "Always refused, as the id is missing",
        refused=True,
    ),
)

DIALECT = Dialect(
    name="telemetron",
    title="Telemetron",
    prefixes=("/api/ext-v1/",),
    routes=(*_DEVICES, *_ASSIGNMENTS, *_CUSTOMERS),
    envelope=ENVELOPE,
    credentials=(API_KEY_HEADER, BEARER, BASIC),
    places={"id": "the customer's id, as in `cus_1`"},
    acts_in_header="fleetroll-organization",
)
