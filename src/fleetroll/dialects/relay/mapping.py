"""Between RelayX's bodies and the inputs and results of operations. Pure; raises nothing but Fault."""

import re
from typing import Any

from msgspec import UNSET

from fleetroll.core import documents, limits, model, names, reports
from fleetroll.core.documents import Document
from fleetroll.core.faults import invalid, not_found
from fleetroll.core.schema import parse_schema
from fleetroll.dialects.relay import shapes
from fleetroll.service import credentials, devices, fleet
from fleetroll.wire.request import Request

_IDENT = re.compile(r"[a-zA-Z0-9_-]+")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9_-]{1,64}")

# --- devices ---------------------------------------------------------------------------------------------------------


def new_device(request: Request) -> model.NewDevice:
    body = request.body
    return model.NewDevice(
        _ident(body.ident),
        schema=_schema(body.schema),
        config=_config(body.config),
        extras=documents.of({"relay": {"env": _environment(body.env)}}, "env"),
    )


def enrolled(result: credentials.Enrolled, request: Request) -> shapes.Reply:
    secrets = shapes.Credentials(result.minted.api_key, result.minted.secret)
    return shapes.Reply("DEVICE_CREATE_SUCCESS", device(result.device, secrets))


def update(request: Request) -> devices.EditById:
    body = request.body
    change = model.DeviceChange(
        ident=UNSET if body.ident is UNSET else _ident(body.ident),
        schema=UNSET if body.schema is UNSET else _schema(body.schema),
        config=UNSET if body.config is UNSET else _config(body.config),
    )
    return devices.EditById(_number(body.id), lambda _: change)


def updated(result: model.Device, request: Request) -> shapes.Reply:
    return shapes.Reply("DEVICE_UPDATE_SUCCESS", {"org_id": names.broker_org(result.org), "device": device(result)})


def one(request: Request) -> devices.Named:
    return devices.Named(_ident(request.body.ident))


def shown(result: model.Device, request: Request) -> shapes.Reply:
    return shapes.Reply("DEVICE_GET_SUCCESS", device(result))


def deleted(result: model.Device, request: Request) -> shapes.Reply:
    return shapes.Reply(
        "DEVICE_DELETE_SUCCESS", {"org_id": names.broker_org(result.org), "device_id": public_id(result)}
    )


def everything(request: Request) -> fleet.Newest:
    return fleet.Newest(limits.MAX_BUS_PAYLOAD - limits.MAX_DEVICE)


def listed(result: fleet.Found, request: Request) -> shapes.Reply:
    data = {"org_id": names.broker_org(result.org), "devices": [device(one) for one in result.devices]}
    return shapes.Reply("DEVICE_FETCH_SUCCESS", data | ({"truncated": True} if result.truncated else {}))


def device(record: model.Device, secrets: shapes.Credentials | Any = UNSET) -> shapes.Device:
    return shapes.Device(
        public_id(record), record.ident, record.schema, record.config, names.broker_org(record.org),
        reports.environment(record.extras), secrets,
    )  # fmt: skip


def public_id(record: model.Device) -> str:
    return names.device_hex(record.created_at, record.id)


# --- a device's own --------------------------------------------------------------------------------------------------


def itself(request: Request) -> devices.Own:
    return devices.Own(_number(request.body.id))


def own_config(request: Request) -> devices.OwnConfig:
    return devices.OwnConfig(_number(request.body.id), _config(request.body.config))


def its_schema(result: model.Device, request: Request) -> shapes.Reply:
    return shapes.Reply("DEVICE_SCHEMA_FETCH_SUCCESS", {"schema": result.schema})


def its_config(result: model.Device, request: Request) -> shapes.Reply:
    return shapes.Reply("DEVICE_CONFIG_FETCH_SUCCESS", {"config": result.config})


def its_new_config(result: model.Device, request: Request) -> shapes.Reply:
    return shapes.Reply("DEVICE_CONFIG_UPDATE_SUCCESS", {"config": result.config})


# --- members ---------------------------------------------------------------------------------------------------------


def _ident(value: object) -> str:
    if value is UNSET or value is None or value == "":
        raise invalid("ident_required", "ident is required", "ident")
    if not isinstance(value, str):
        raise invalid("invalid_ident", "ident must be a string", "ident")
    if not _IDENT.fullmatch(value):
        message = "ident contains invalid characters; allowed are letters, digits, hyphens and underscores"
        raise invalid("invalid_ident", message, "ident")
    return names.ident(value)


def _number(value: object) -> int:
    """The device of an id. One that is no id of ours is of no device."""
    if value is UNSET or value is None or value == "":
        raise invalid("id_required", "id is required", "id")
    number = names.parse_device_hex(value) if isinstance(value, str) else None
    if number is None:
        raise not_found("device", "with this id")
    return number


def _schema(value: object) -> Document:
    return parse_schema(_object(value, "schema"))


def _config(value: object) -> Document:
    return documents.of(_object(value, "config"), "config")


def _object(value: object, field: str) -> dict[str, Any]:
    if value is UNSET or value is None:
        raise invalid(f"{field}_required", f"{field} is required", field)
    if not isinstance(value, dict):
        raise invalid(f"invalid_{field}", f"{field} must be an object", field)
    return value


def _environment(value: object) -> str:
    if value is UNSET or value is None:
        return reports.DEFAULT_ENVIRONMENT
    if not isinstance(value, str) or not _ENVIRONMENT.fullmatch(value):
        raise invalid("invalid_env", "env must be letters, digits, hyphens and underscores", "env")
    return value
