"""Software versions, which devices report."""

from fleetroll.core import model
from fleetroll.core.query import Part
from fleetroll.dialects.native.mapping.paging import limit, mark, resume
from fleetroll.dialects.native.mapping.times import at
from fleetroll.dialects.native.shapes import software_versions as shapes
from fleetroll.service import software_versions
from fleetroll.wire.request import Request


def list_software_versions(request: Request) -> software_versions.Listing:
    return software_versions.Listing(limit(request), tuple(resume(request) or ("", "")))


def one_software_version(request: Request) -> software_versions.Named:
    return software_versions.Named(request.path["type"], request.path["version"])


def software_version(record: model.SoftwareVersion, request: Request) -> shapes.SoftwareVersion:
    return shapes.SoftwareVersion(record.id, record.type, record.version, at(record.created_at))


def software_version_page(
    result: Part[model.SoftwareVersion, tuple[str, str]], request: Request
) -> shapes.SoftwareVersionList:
    versions = [software_version(record, request) for record in result.records]
    return shapes.SoftwareVersionList(versions, mark(result.next, request))
