"""Rows about the software that devices reported, and its types."""

from fleetroll.dialects.memfault.mapping import software_versions as mapping
from fleetroll.dialects.memfault.mapping.paging import offset_page
from fleetroll.dialects.memfault.routes.parameters import PAGE, PROJECT, in_project
from fleetroll.dialects.memfault.shapes.envelopes import Many, One
from fleetroll.service import software_versions

ROUTES = (
    in_project(
        "GET",
        f"{PROJECT}/software_types",
        software_versions.types,
        offset_page,
        mapping.software_types,
        "List types of software",
        reply=Many,
        query=PAGE,
    ),
    in_project(
        "GET",
        f"{PROJECT}/software_types/{{type}}/software_versions",
        software_versions.of_type,
        mapping.list_versions,
        mapping.software_version_page,
        "List the versions of a type of software",
        reply=Many,
        query=PAGE,
    ),
    in_project(
        "GET",
        f"{PROJECT}/software_types/{{type}}/software_versions/{{version}}",
        software_versions.get,
        mapping.one_software_version,
        mapping.software_version,
        "Read a version of software",
        reply=One,
    ),
)
