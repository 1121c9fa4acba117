"""The metafields of a device, with their values."""

from typing import Any

from fleetroll.core import documents, model
from fleetroll.core.metafields import show, value_of
from fleetroll.dialects.blynk.shapes import metafields as shapes
from fleetroll.service import metafields, numbered_devices
from fleetroll.wire.request import Request


def metafield_change(request: Request) -> metafields.Writing:
    body = request.body
    return metafields.Writing(body.device_id, body.meta_field_id, body.new_value)


def values(template: model.Template | None, record: model.Device) -> list[tuple[model.Metafield, dict[str, Any]]]:
    metadata = documents.load(record.metadata)
    fields = template.metafields if template else ()
    return [(field, show(field, value_of(field, record, metadata))) for field in fields]


def device_metafields(result: numbered_devices.Details, request: Request) -> list[shapes.DeviceMetaField]:
    return [
        shapes.DeviceMetaField(field.id, field.name, field.mandatory, field.in_provisioning, value)
        for field, value in values(result.template, result.shown.device)
    ]
