"""Rows about hardware versions."""

from fleetroll.dialects.native.mapping import hardware_versions as mapping
from fleetroll.dialects.native.routes.named import Bodies, Codec, named
from fleetroll.dialects.native.shapes import hardware_versions as shapes
from fleetroll.service import hardware_versions

ROUTES = named(
    "hardware-versions",
    hardware_versions.noun,
    ("a hardware version", "hardware versions"),
    Bodies(shapes.NewHardwareVersion, shapes.HardwareVersionChange, shapes.HardwareVersion, shapes.HardwareVersionList),
    Codec(
        mapping.new_hardware_version,
        mapping.change_hardware_version,
        mapping.hardware_version,
    ),
)
