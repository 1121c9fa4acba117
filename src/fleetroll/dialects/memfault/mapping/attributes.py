"""A device's attributes, which are the scalar members of its metadata."""

from collections.abc import Mapping
from typing import Any

from fleetroll.core import documents, limits, model
from fleetroll.core.faults import invalid
from fleetroll.core.query import Pattern, fits
from fleetroll.core.times import iso
from fleetroll.dialects.memfault.mapping.devices import one_device
from fleetroll.dialects.memfault.mapping.metadata_fields import metric_shape, string_key
from fleetroll.dialects.memfault.mapping.paging import cut, page_number
from fleetroll.dialects.memfault.shapes import attributes as shapes
from fleetroll.service import attributes, devices
from fleetroll.wire.dialect import LongList
from fleetroll.wire.request import Request


def set_attributes(request: Request) -> attributes.Setting:
    return attributes.Setting(request.path["device_serial"], _values(request))


def report_attributes(request: Request) -> attributes.Setting:
    ident = request.query.get("device_serial")
    if not ident:
        raise invalid("invalid_parameter", "device_serial is required.", "device_serial")
    return attributes.Setting(ident, _values(request))


def _values(request: Request) -> dict[str, shapes.Scalar]:
    given = {string_key(one.string_key, f"{number}.string_key"): one.value for number, one in enumerate(request.body)}
    if len(given) > limits.MAX_ATTRIBUTES:
        raise invalid("too_many_attributes", f"Give at most {limits.MAX_ATTRIBUTES} attributes.")
    return given


def list_attributes(request: Request) -> devices.Named:
    page_number(request)
    return one_device(request)


def attribute_page(found: attributes.Attributes, request: Request) -> LongList:
    """What is defined, then what else the device has; of both, only what can be an attribute."""
    wanted = [text.lower() for text in request.query.all("q")]
    record = found.device
    values, times = documents.load(record.metadata), documents.load(record.metadata_times)
    defined = {one.name: one for one in found.definitions}
    known = dict.fromkeys((*defined, *values))
    plain = [name for name in known if _is_scalar(values, name)]
    if wanted:
        plain = [name for name in plain if any(_fits(name.lower(), text) for text in wanted)]
    return cut(
        plain,
        lambda name: _item(record, name, defined.get(name), values.get(name), times.get(name)),
        request,
    )


def _fits(key: str, text: str) -> bool:
    return fits(Pattern(tuple(text.split("*"))), key) if "*" in text else key == text


def _is_scalar(values: Mapping[str, Any], name: str) -> bool:
    return not isinstance(values.get(name), dict | list)


def _item(
    record: model.Device, name: str, definition: model.MetadataField | None, value: Any, changed_at: int | None
) -> shapes.AttributeItem:
    kind = model.FieldKind.JSON if definition is None else definition.kind
    if kind is model.FieldKind.JSON:  # takes any type: what the value is
        kind = attributes.kind_of(value)
    changed = iso(changed_at or record.created_at)
    state = None if value is None else shapes.AttributeState(value, changed, iso(record.created_at), changed)
    return shapes.AttributeItem(name, metric_shape(record.org, name, kind, definition), state)
