"""Rows about hardware versions."""

from fleetroll.dialects.memfault.mapping import hardware_versions as mapping
from fleetroll.dialects.memfault.mapping.paging import numbered
from fleetroll.dialects.memfault.routes.parameters import NAMES, PROJECT, in_project
from fleetroll.dialects.memfault.shapes import hardware_versions as shapes
from fleetroll.dialects.memfault.shapes.envelopes import Many, One
from fleetroll.service import hardware_versions

ROUTES = (
    in_project(
        "POST",
        f"{PROJECT}/hardware_versions",
        hardware_versions.noun.create,
        mapping.new_hardware_version,
        mapping.made_hardware_version,
        "Create a hardware version",
        body=shapes.NewHardwareVersion,
        reply=One,
    ),
    in_project(
        "GET",
        f"{PROJECT}/hardware_versions",
        hardware_versions.all_counted,
        numbered,
        mapping.hardware_version_page,
        "List hardware versions",
        reply=Many,
        query=NAMES,
    ),
    in_project(
        "GET",
        f"{PROJECT}/hardware_versions/{{name}}",
        hardware_versions.counted,
        mapping.one_hardware_version,
        mapping.hardware_version,
        "Read a hardware version",
        reply=One,
    ),
)
