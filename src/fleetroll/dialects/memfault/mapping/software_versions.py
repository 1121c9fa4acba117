"""Software versions, which devices report, and their types."""

import functools

from fleetroll.core import model
from fleetroll.core.ids import text_number
from fleetroll.core.times import iso
from fleetroll.dialects.memfault.mapping.paging import cut
from fleetroll.dialects.memfault.shapes import software_versions as shapes
from fleetroll.dialects.memfault.shapes.envelopes import Many, One
from fleetroll.wire.request import Request


@functools.lru_cache(maxsize=4096)
def software_of(version: model.SoftwareVersion) -> shapes.Software:
    return shapes.Software(version.id, version.version, False, software_type(version.type))


def software_type(name: str) -> shapes.SoftwareType:
    return shapes.SoftwareType(id=text_number(name), name=name)


def software_types(found: list[model.SoftwareVersion], request: Request) -> Many:
    by_type: dict[str, list[model.SoftwareVersion]] = {model.DEFAULT_SOFTWARE_TYPE: []}
    for version in found:
        by_type.setdefault(version.type, []).append(version)
    return cut((_type_shape(name, versions) for name, versions in sorted(by_type.items())), request)


def _type_shape(name: str, versions: list[model.SoftwareVersion]) -> shapes.SoftwareTypeDetails:
    latest = max(versions, key=lambda version: version.id, default=None)
    return shapes.SoftwareTypeDetails(
        id=software_type(name).id,
        name=name,
        archived=False,
        created_date=iso(min((version.created_at for version in versions), default=0)),
        latest_software_version=None if latest is None else shapes.LatestSoftware(latest.id, latest.version, False),
        software_versions_count=len(versions),
        software_version_string_format=None,
    )


def one_software_version(request: Request) -> tuple[str, str]:
    return request.path["type"], request.path["version"]


def software_version(record: model.SoftwareVersion, request: Request) -> One:
    return One(_version_shape(record))


def _version_shape(record: model.SoftwareVersion) -> shapes.SoftwareVersion:
    made = iso(record.created_at)
    return shapes.SoftwareVersion(record.id, record.version, False, made, software_type(record.type))


def software_version_page(found: list[model.SoftwareVersion], request: Request) -> Many:
    kind = request.path["type"]
    return cut((_version_shape(one) for one in found if one.type == kind), request)
