"""Rows about one device, and the list of them."""

from typing import Any

from fleetroll.dialects.native.mapping import devices as mapping
from fleetroll.dialects.native.routes.parameters import LISTING, MERGE_PATCHES
from fleetroll.dialects.native.shapes import devices as shapes
from fleetroll.service import devices
from fleetroll.wire.dialect import Route, no_input, nothing

ROUTES = (
    Route(
        "POST",
        "/v1/devices",
        devices.create,
        mapping.new_device,
        mapping.created,
        "Create a device",
        status=201,
        body=shapes.NewDevice,
        reply=shapes.Device,
        idempotent=True,
    ),
    Route(
        "GET",
        "/v1/devices",
        devices.page,
        mapping.listing,
        mapping.page,
        "List devices",
        reply=shapes.DeviceList,
        query=LISTING,
    ),
    Route(
        "PUT",
        "/v1/devices/{ident}",
        devices.put,
        mapping.put_device,
        mapping.stored,
        "Create a device or replace all of it",
        created=201,
        body=shapes.DeviceInput,
        reply=shapes.Device,
    ),
    Route("GET", "/v1/devices/{ident}", devices.get, mapping.one, mapping.shown, "Read a device", reply=shapes.Device),
    Route(
        "PATCH",
        "/v1/devices/{ident}",
        devices.edit,
        mapping.edit_device,
        mapping.shown,
        "Change a device by a merge patch or a JSON Patch",
        body=dict[str, Any] | list[Any],
        reply=shapes.Device,
        media_types=(*MERGE_PATCHES, "application/json-patch+json"),
    ),
    Route("DELETE", "/v1/devices/{ident}", devices.delete, mapping.one, nothing, "Delete a device", status=204),
    Route(
        "POST",
        "/v1/devices/{ident}:decommission",
        devices.decommission,
        mapping.one,
        mapping.shown,
        "Take a device out of service for good",
        reply=shapes.Device,
        idempotent=True,
    ),
    Route(
        "POST",
        "/v1/devices/{ident}:transfer",
        devices.transfer,
        mapping.transfer,
        mapping.shown,
        "Give a device to other owners or to another organization",
        body=shapes.Transfer,
        reply=shapes.Device,
        idempotent=True,
    ),
    Route(
        "GET",
        "/v1/stats",
        devices.counts,
        no_input,
        mapping.stats,
        "How many devices there are, by status, kind, tag, cohort and connection",
        reply=shapes.Stats,
    ),
)
