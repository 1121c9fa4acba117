"""Hardware versions."""

from fleetroll.core import limits, model, names
from fleetroll.core.guards import etag
from fleetroll.core.query import Part
from fleetroll.dialects.native.mapping.paging import mark
from fleetroll.dialects.native.mapping.times import at
from fleetroll.dialects.native.shapes import hardware_versions as shapes
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request


def hardware_version(record: model.HardwareVersion, request: Request) -> Reply:
    made, changed = at(record.created_at), at(record.updated_at)
    shape = shapes.HardwareVersion(record.id, record.name, record.software_type, made, changed, record.revision)
    return Reply(shape, etag=etag(record))


def new_hardware_version(request: Request) -> model.HardwareVersion:
    body = request.body
    name = names.label(body.name, "name", limits.MAX_VERSION)
    kind = None if body.software_type is None else names.label(body.software_type, "software_type", limits.MAX_VERSION)
    return model.HardwareVersion(0, 0, name, kind, 0, 0, 0)


def hardware_version_page(result: Part[model.HardwareVersion, str], request: Request) -> shapes.HardwareVersionList:
    found = [hardware_version(record, request).body for record in result.records]
    return shapes.HardwareVersionList(found, mark(result.next, request))
