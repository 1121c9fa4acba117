"""Translates between RelayX's bodies and the inputs and results of operations. Pure; raises nothing but Fault."""

import re
from typing import Any

from msgspec import UNSET

from fleetroll.core import documents, extras, ids, limits, model, names, readings
from fleetroll.core.documents import Document
from fleetroll.core.faults import invalid, not_found
from fleetroll.core.messages import DEFAULT_ENVIRONMENT, is_environment
from fleetroll.core.schema import parse_schema
from fleetroll.core.times import MILLISECOND, require_iso
from fleetroll.dialects.relay import shapes
from fleetroll.service import credentials, devices, fleet, history
from fleetroll.service.ingest import REPORTED
from fleetroll.wire.request import Request

_IDENT = re.compile(r"[a-zA-Z0-9_-]+")

# --- devices ---------------------------------------------------------------------------------------------------------


def new_device(request: Request) -> model.NewDevice:
    body = request.body
    return model.NewDevice(
        _ident(body.ident),
        schema=_schema(body.schema),
        config=_config(body.config),
        extras=extras.with_environment(documents.EMPTY, _environment(body.env)),
    )


def enrolled(result: credentials.Enrolled, request: Request) -> shapes.Reply:
    secrets = shapes.Credentials(result.minted.api_key, result.minted.secret)
    return shapes.Reply("DEVICE_CREATE_SUCCESS", device(result.device, secrets))


def update(request: Request) -> devices.EditById:
    body = request.body
    schema = UNSET if body.schema is UNSET else _schema(body.schema)
    config = UNSET if body.config is UNSET else _config(body.config)

    def edit(record: model.Device) -> model.DeviceChange:
        # Clients send a whole device back, with an identifier that another API may have given it.
        stays = body.ident is UNSET or body.ident == record.ident
        return model.DeviceChange(ident=UNSET if stays else _ident(body.ident), schema=schema, config=config)

    return devices.EditById(_id(body.id), edit)


def updated(result: model.Device, request: Request) -> shapes.Reply:
    return shapes.Reply("DEVICE_UPDATE_SUCCESS", {"org_id": ids.broker_org(result.org), "device": device(result)})


def one_device(request: Request) -> devices.Named:
    return devices.Named(_name(request.body.ident))


def shown(result: model.Device, request: Request) -> shapes.Reply:
    return shapes.Reply("DEVICE_GET_SUCCESS", device(result))


def deleted(result: model.Device, request: Request) -> shapes.Reply:
    return shapes.Reply("DEVICE_DELETE_SUCCESS", {"org_id": ids.broker_org(result.org), "device_id": public_id(result)})


def everything(request: Request) -> fleet.Newest:
    return fleet.Newest(limits.MAX_BUS_PAYLOAD - limits.MAX_DEVICE)


def listed(result: fleet.Found, request: Request) -> shapes.Reply:
    data = {"org_id": ids.broker_org(result.org), "devices": [device(record) for record in result.devices]}
    return shapes.Reply("DEVICE_FETCH_SUCCESS", data | ({"truncated": True} if result.truncated else {}))


def device(record: model.Device, secrets: shapes.Credentials | Any = UNSET) -> shapes.Device:
    return shapes.Device(
        public_id(record), record.ident, record.schema, record.config, ids.broker_org(record.org),
        extras.environment(record.extras), secrets,
    )  # fmt: skip


def public_id(record: model.Device) -> str:
    return ids.device_hex(record.created_at, record.id)


# --- a device's own --------------------------------------------------------------------------------------------------


def itself(request: Request) -> devices.Own:
    return devices.Own(_id(request.body.id))


def own_config(request: Request) -> devices.OwnConfig:
    return devices.OwnConfig(_id(request.body.id), _config(request.body.config))


def its_schema(result: model.Device, request: Request) -> shapes.Reply:
    # A device without one may report anything; an empty one would make the vendor's clients let it report nothing.
    has_none = result.schema == documents.EMPTY
    return shapes.Reply("DEVICE_SCHEMA_FETCH_SUCCESS", {"schema": None if has_none else result.schema})


def its_config(result: model.Device, request: Request) -> shapes.Reply:
    return shapes.Reply("DEVICE_CONFIG_FETCH_SUCCESS", {"config": result.config})


def its_new_config(result: model.Device, request: Request) -> shapes.Reply:
    return shapes.Reply("DEVICE_CONFIG_UPDATE_SUCCESS", {"config": result.config})


# --- history ---------------------------------------------------------------------------------------------------------


def visit(result: str, request: Request) -> shapes.Reply:
    return shapes.Reply("HTTP_TOKEN_SUCCESS", {"token": result, "http_url": request.origin})


def telemetry_history(request: Request) -> history.Wanted:
    body = request.body
    fields = _texts(body.fields, "fields")
    if not fields:
        raise invalid("fields_required", "fields must be a non-empty array of metrics", "fields")
    return _history(body, _device(body), None, fields)


def event_history(request: Request) -> history.Wanted:
    body = request.body
    return _history(body, _device(body), REPORTED["events"], _texts(body.event_names, "event_names"))


def log_history(request: Request) -> history.Wanted:
    body = request.body
    return _history(body, _device(body), REPORTED["logs"], _texts(body.levels, "levels"))


def command_history(request: Request) -> history.Wanted:
    body = request.body
    devices = _texts(body.device_ids, "device_ids")
    if not devices:
        raise invalid("device_ids_required", "device_ids must be a non-empty array", "device_ids")
    name = _optional_text(body.command_name, "command_name")
    return _history(body, devices, REPORTED["commands"], () if name is None else (name,))


def _device(body: Any) -> tuple[str, ...]:
    return (_id(body.device_id, "device_id"),)


def _history(body: Any, devices: tuple[str, ...], type: str | None, series_names: tuple[str, ...]) -> history.Wanted:
    since, until = _instant(body.start, "start"), _instant(body.end, "end")
    if since > until:
        raise invalid("invalid_time", "start must not be after end", "start")
    aggregate, interval = _optional_text(body.aggregate_fn, "aggregate_fn"), _optional_text(body.interval, "interval")
    if aggregate is not None and aggregate not in readings.AGGREGATES:
        aggregates = ", ".join(readings.AGGREGATES)
        raise invalid("invalid_aggregate", f"aggregate_fn must be one of {aggregates}", "aggregate_fn")
    return history.Wanted(
        devices,
        type,
        series_names,
        model.Span(since, until + MILLISECOND),  # the end is part of it, to the millisecond
        _whole(body.limit, "limit", limits.MAX_RANGE, 1, limits.MAX_RANGE),
        _whole(body.offset, "offset", 0, 0, 1 << 53),
        env=None if body.env is UNSET else _environment(body.env),
        aggregate=aggregate,
        interval=None if interval is None else readings.parse_interval(interval),
        last=_flag(body.last_value, "last_value"),
    )


def telemetry_history_page(result: history.History, request: Request) -> shapes.HistoryReply:
    if request.body.last_value is True:
        frame = {point.name: _shown(point) for point in result.points}
        return _frames([frame] if frame else [], result.next)
    return reported_history(result, request)


def reported_history(result: history.History, request: Request) -> shapes.HistoryReply:
    return _frames([{point.name: _shown(point)} for point in result.points], result.next)


def commanded(result: history.History, request: Request) -> shapes.HistoryReply:
    return _frames([{public_id(point.device): _shown(point)} for point in result.points], result.next)


def _shown(point: history.Point) -> dict[str, Any]:
    return {"value": point.value, "timestamp": point.at // MILLISECOND}


def _frames(frames: list[dict[str, Any]], position: int | None) -> shapes.HistoryReply:
    return shapes.HistoryReply(True, shapes.Frames(frames, shapes.Page(position is not None, position)))


# --- members ---------------------------------------------------------------------------------------------------------


def _ident(value: object) -> str:
    """An identifier that the vendor's clients would give."""
    text = _name(value)
    if not _IDENT.fullmatch(text):
        message = "ident contains invalid characters; allowed are letters, digits, hyphens and underscores"
        raise invalid("invalid_ident", message, "ident")
    return names.ident(text)


def _name(value: object) -> str:
    """An identifier that a device may have; other APIs accept some that this one would not."""
    if value is UNSET or value is None or value == "":
        raise invalid("ident_required", "ident is required", "ident")
    if not isinstance(value, str):
        raise invalid("invalid_ident", "ident must be a string", "ident")
    return value


def _id(value: object, field: str = "id") -> str:
    """A device's id. What is not a text is no device's id."""
    if value is UNSET or value is None or value == "":
        raise invalid("id_required", f"{field} is required", field)
    if not isinstance(value, str):
        raise not_found("device", "with this id")
    return value


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
        return DEFAULT_ENVIRONMENT
    if not is_environment(value):
        raise invalid("invalid_env", "env must be letters, digits, hyphens and underscores", "env")
    return value


def _texts(value: object, field: str) -> tuple[str, ...]:
    if value is UNSET or value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise invalid(f"invalid_{field}", f"{field} must be an array of strings", field)
    return names.unique(value, limits.MAX_SERIES_PER_DEVICE, field)


def _optional_text(value: object, field: str) -> str | None:
    if value is UNSET or value is None:
        return None
    if not isinstance(value, str):
        raise invalid(f"invalid_{field}", f"{field} must be a string", field)
    return value


def _flag(value: object, field: str) -> bool:
    if value is UNSET or value is None:
        return False
    if not isinstance(value, bool):
        raise invalid(f"invalid_{field}", f"{field} must be true or false", field)
    return value


def _whole(value: object, field: str, default: int, lowest: int, highest: int) -> int:
    if value is UNSET or value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise invalid("out_of_range", f"{field} must be a whole number from {lowest} to {highest}", field)
    return value


def _instant(value: object, field: str) -> int:
    return require_iso(value if isinstance(value, str) else "", field)
