"""RelayX's table: requests over NATS, and its history over HTTP."""

from fleetroll.dialects.relay import mapping, shapes
from fleetroll.dialects.relay.envelope import ENVELOPE, failure
from fleetroll.service import credentials, devices, fleet, history, tokens
from fleetroll.wire.dialect import API_KEY_HEADER, BASIC, BEARER, Dialect, Route, Subject, no_input

_NOUN = "api.iot.devices.{org}"

_DEVICES = (
    Subject(
        f"{_NOUN}.create",
        credentials.enroll,
        mapping.new_device,
        mapping.enrolled,
        failure("DEVICE_CREATE_FAILURE", listed=True),
        shapes.Create,
        "Create a device and its credentials, which are shown only once",
    ),
    Subject(
        f"{_NOUN}.update",
        devices.edit_by_id,
        mapping.update,
        mapping.updated,
        failure("DEVICE_UPDATE_FAILURE"),
        shapes.Update,
        "Change a device's identifier, schema or configuration",
    ),
    Subject(
        f"{_NOUN}.delete",
        devices.discard,
        mapping.one_device,
        mapping.deleted,
        failure("DEVICE_DELETE_FAILURE"),
        shapes.Named,
        "Delete a device and close its connections",
    ),
    Subject(
        f"{_NOUN}.list",
        fleet.newest,
        mapping.everything,
        mapping.listed,
        failure("DEVICE_FETCH_FAILURE"),
        shapes.Anything,
        "All devices, or the newest that fit into one reply",
    ),
    Subject(
        f"{_NOUN}.get",
        devices.get,
        mapping.one_device,
        mapping.shown,
        failure("DEVICE_GET_FAILURE"),
        shapes.Named,
        "Read a device",
    ),
)

_OWN = (
    Subject(
        f"{_NOUN}.sdk.schema.get",
        devices.own,
        mapping.itself,
        mapping.its_schema,
        failure("DEVICE_SCHEMA_FETCH_FAILURE"),
        shapes.Numbered,
        "A device's own schema",
    ),
    Subject(
        f"{_NOUN}.sdk.config.get",
        devices.own,
        mapping.itself,
        mapping.its_config,
        failure("DEVICE_CONFIG_FETCH_FAILURE"),
        shapes.Numbered,
        "A device's own configuration",
    ),
    Subject(
        f"{_NOUN}.sdk.config.update",
        devices.configure,
        mapping.own_config,
        mapping.its_new_config,
        failure("DEVICE_CONFIG_UPDATE_FAILURE"),
        shapes.Configured,
        "Replace a device's own configuration",
    ),
)

_VISIT = Subject(
    "accounts.user.get_http_token",
    tokens.visit,
    no_input,
    mapping.visit,
    failure("HTTP_TOKEN_FAILURE"),
    shapes.Visit,
    "A token for the history over HTTP",
)

_HISTORY = tuple(
    Route(
        "POST",
        f"/iot/db/{noun}/history",
        history.find,
        decode,
        encode,
        about,
        body=shapes.History,
        needs=(*needs, "start", "end"),
        reply=shapes.HistoryReply,
    )
    for noun, needs, decode, encode, about in (
        (
            "telemetry",
            ("device_id", "fields"),
            mapping.telemetry_history,
            mapping.telemetry_history_page,
            "Readings of a device, or aggregates of them",
        ),
        ("event", ("device_id",), mapping.event_history, mapping.reported_history, "Events of a device"),
        (
            "log",
            ("device_id",),
            mapping.log_history,
            mapping.reported_history,
            "Log lines of a device, or how many there were",
        ),
        ("command", ("device_ids",), mapping.command_history, mapping.commanded, "Commands that were sent to devices"),
    )
)

DIALECT = Dialect(
    name="relay",
    title="RelayX",
    prefixes=("/iot/db/",),
    routes=_HISTORY,
    envelope=ENVELOPE,
    credentials=(BEARER, API_KEY_HEADER, BASIC),
    subjects=(*_DEVICES, *_OWN, _VISIT),
)
