"""Rows about the software that devices reported."""

from fleetroll.dialects.native.mapping import software_versions as mapping
from fleetroll.dialects.native.routes.parameters import PAGE
from fleetroll.dialects.native.shapes import software_versions as shapes
from fleetroll.service import software_versions
from fleetroll.wire.dialect import Route, nothing

ROUTES = (
    Route(
        "GET",
        "/v1/software-versions",
        software_versions.page,
        mapping.list_software_versions,
        mapping.software_version_page,
        "List the versions of software that devices reported",
        reply=shapes.SoftwareVersionList,
        query=PAGE,
    ),
    Route(
        "GET",
        "/v1/software-versions/{type}/{version}",
        software_versions.get,
        mapping.one_software_version,
        mapping.software_version,
        "Read a version of software",
        reply=shapes.SoftwareVersion,
    ),
    Route(
        "DELETE",
        "/v1/software-versions/{type}/{version}",
        software_versions.delete,
        mapping.one_software_version,
        nothing,
        "Delete a version of software that no device runs",
        status=204,
    ),
)
