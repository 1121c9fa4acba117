"""Hardware versions."""

from fleetroll.core import limits, model, names
from fleetroll.core.guards import etag
from fleetroll.dialects.native.mapping.named import change_named
from fleetroll.dialects.native.mapping.times import at
from fleetroll.dialects.native.shapes import hardware_versions as shapes
from fleetroll.service import named
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request


def hardware_version(record: model.HardwareVersion, request: Request) -> Reply:
    made, changed = at(record.created_at), at(record.updated_at)
    shape = shapes.HardwareVersion(record.id, record.name, record.software_type, made, changed, record.revision)
    return Reply(shape, etag=etag(record))


def new_hardware_version(request: Request) -> model.HardwareVersion:
    body = request.body
    name = names.label(body.name, "name", limits.MAX_VERSION)
    return model.unstored(model.HardwareVersion, name=name, software_type=_software_type(body.software_type))


def change_hardware_version(request: Request) -> named.Edit:
    return change_named(request, software_type=_software_type)


def _software_type(text: str | None) -> str | None:
    return None if text is None else names.label(text, "software_type", limits.MAX_VERSION)
