"""Rows about the metafields of a device."""

from fleetroll.dialects.blynk.mapping import metafields as mapping
from fleetroll.dialects.blynk.mapping.numbered_devices import one_device
from fleetroll.dialects.blynk.routes.parameters import DEVICE, row
from fleetroll.dialects.blynk.shapes import metafields as shapes
from fleetroll.service import metafields, numbered_devices
from fleetroll.wire.dialect import nothing

ROUTES = (
    row(
        "GET",
        "/device/metafield",
        numbered_devices.details,
        one_device,
        mapping.device_metafields,
        "The metafields of a device with their values",
        DEVICE,
        reply=list[shapes.DeviceMetaField],
    ),
    row(
        "POST",
        "/device/metafield",
        metafields.set_by_number,
        mapping.metafield_change,
        nothing,
        "Set the value of a device's metafield",
        body=shapes.MetaFieldChange,
        status=204,
    ),
)
