"""Software versions, which devices report, and their types."""

import functools

from fleetroll.core import model
from fleetroll.core.ids import text_number
from fleetroll.core.query import Slice
from fleetroll.core.times import iso
from fleetroll.dialects.memfault.mapping.paging import many, offset_page
from fleetroll.dialects.memfault.shapes import software_versions as shapes
from fleetroll.dialects.memfault.shapes.envelopes import One
from fleetroll.service import software_versions
from fleetroll.wire.dialect import LongList
from fleetroll.wire.request import Request


@functools.lru_cache(maxsize=4096)
def software_of(version: model.SoftwareVersion) -> shapes.Software:
    return shapes.Software(version.id, version.version, False, software_type(version.type))


def software_type(name: str) -> shapes.SoftwareType:
    return shapes.SoftwareType(id=text_number(name), name=name)


def software_types(found: Slice[software_versions.Type], request: Request) -> LongList:
    return many(found.records, found.total, _type_shape, request)


def _type_shape(found: software_versions.Type) -> shapes.SoftwareTypeDetails:
    latest = found.latest
    return shapes.SoftwareTypeDetails(
        id=software_type(found.name).id,
        name=found.name,
        archived=False,
        created_date=iso(found.created_at),
        latest_software_version=None if latest is None else shapes.LatestSoftware(latest.id, latest.version, False),
        software_versions_count=found.versions,
        software_version_string_format=None,
    )


def list_versions(request: Request) -> software_versions.OfType:
    return software_versions.OfType(request.path["type"], offset_page(request))


def one_software_version(request: Request) -> software_versions.Named:
    return software_versions.Named(request.path["type"], request.path["version"])


def software_version(record: model.SoftwareVersion, request: Request) -> One:
    return One(_version_shape(record))


def _version_shape(record: model.SoftwareVersion) -> shapes.SoftwareVersion:
    made = iso(record.created_at)
    return shapes.SoftwareVersion(record.id, record.version, False, made, software_type(record.type))


def software_version_page(found: Slice[model.SoftwareVersion], request: Request) -> LongList:
    return many(found.records, found.total, _version_shape, request)
