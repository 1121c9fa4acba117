"""Rows about one device, and the list of them."""

from fleetroll.dialects.memfault.mapping import devices as mapping
from fleetroll.dialects.memfault.routes.parameters import DEVICE, LISTING, PROJECT, in_project
from fleetroll.dialects.memfault.shapes import devices as shapes
from fleetroll.dialects.memfault.shapes.envelopes import Many, One
from fleetroll.service import devices, views
from fleetroll.wire.dialect import nothing

ROUTES = (
    in_project(
        "POST",
        f"{PROJECT}/devices",
        views.create,
        mapping.new_device,
        mapping.shown,
        "Create a device; its hardware version is created if it is new",
        body=shapes.NewDevice,
        reply=One,
        reply_headers=("ETag",),
    ),
    in_project(
        "GET",
        f"{PROJECT}/devices",
        views.page,
        mapping.list_devices,
        mapping.page,
        "List devices",
        reply=Many,
        query=LISTING,
    ),
    in_project(
        "GET",
        DEVICE,
        views.get,
        mapping.one_device,
        mapping.shown,
        "Read a device",
        reply=One,
        reply_headers=("ETag",),
        guarded=True,
    ),
    in_project(
        "PATCH",
        DEVICE,
        views.edit,
        mapping.change_device,
        mapping.shown,
        "Change a device; a new hardware version must be known",
        guarded=True,
        body=shapes.DeviceChange,
        reply=One,
        reply_headers=("ETag",),
    ),
    in_project(
        "DELETE", DEVICE, devices.delete, mapping.one_device, nothing, "Delete a device", status=204, guarded=True
    ),
)
