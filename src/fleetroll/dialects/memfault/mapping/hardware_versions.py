"""Hardware versions."""

import re

from fleetroll.core import limits, model, names
from fleetroll.core.faults import invalid
from fleetroll.dialects.memfault.mapping.paging import cut, picked
from fleetroll.dialects.memfault.mapping.software_versions import software_type
from fleetroll.dialects.memfault.shapes import hardware_versions as shapes
from fleetroll.dialects.memfault.shapes.envelopes import One
from fleetroll.dialects.memfault.shapes.software_versions import SoftwareType
from fleetroll.service import hardware_versions, named
from fleetroll.wire.dialect import LongList
from fleetroll.wire.request import Request

_VERSION = re.compile(shapes.VERSION)


def is_version(text: str) -> bool:
    """Whether a version of hardware or software may have this name."""
    return _VERSION.fullmatch(text) is not None


def name_of(version: str | shapes.HardwareName) -> str:
    return version if isinstance(version, str) else version.name


def hardware(version: str | shapes.HardwareName, field: str = "hardware_version") -> str:
    text = name_of(version)
    if not is_version(text):
        message = (
            f"{field} must be 1 to 128 letters, digits, spaces or any of -_.+:\\()[]/, with no space at either end."
        )
        raise invalid("invalid_body", message, field)
    return text


def new_hardware_version(request: Request) -> model.HardwareVersion:
    body = request.body
    kind = body.primary_software_type
    kind = kind.name if isinstance(kind, SoftwareType) else kind
    software_type = None if not kind else names.label(kind, "primary_software_type", limits.MAX_VERSION)
    return model.unstored(model.HardwareVersion, name=hardware(body.name, "name"), software_type=software_type)


def made_hardware_version(record: model.HardwareVersion, request: Request) -> One:
    return One(_hardware_shape(hardware_versions.Counted(record, 0)))


def _hardware_shape(counted: hardware_versions.Counted) -> shapes.HardwareVersion:
    record = counted.version
    kind = None if record.software_type is None else software_type(record.software_type)
    return shapes.HardwareVersion(record.id, record.name, counted.devices, kind, [kind] if kind else [])


def hardware_version_page(versions: list[hardware_versions.Counted], request: Request) -> LongList:
    return cut(picked(versions, request, name=lambda counted: counted.version.name), _hardware_shape, request)


def one_hardware_version(request: Request) -> named.Named:
    return named.Named(request.path["name"], request.guard)


def hardware_version(counted: hardware_versions.Counted, request: Request) -> One:
    return One(_hardware_shape(counted))
