"""The table of Blynk's device HTTPS API, `/external/api`. The credential of all of it is the device's token."""

from typing import Any

from fleetroll.core import limits
from fleetroll.core.secrets import Issuer
from fleetroll.dialects.blynk_device import mapping, shapes
from fleetroll.dialects.blynk_device.envelope import ENVELOPE
from fleetroll.service import exports, reports
from fleetroll.wire.dialect import (
    Allowance,
    AnyOperation,
    CredentialForm,
    CredentialLocation,
    Decode,
    Dialect,
    Encode,
    Parameter,
    Route,
    no_input,
)

_NUMBERS = (0, mapping.LARGEST)
_TOKEN = Parameter("token", "the device's token", required=True)
_STREAM = Parameter("dataStreamId", "the number of a datastream, in place of its pin", "integer", bounds=_NUMBERS)
_PIN = Parameter("pin", "such as v1, in either case")
_ANY_PIN = Parameter("v1", "a value for this pin, or for any other; twice for a location: longitude, latitude", "array")
_VALUE = Parameter("value", "what to write to `pin` or `dataStreamId`; twice for a location", "array")
_FIELD = Parameter("metaFieldId", "the number of a metafield", "integer", required=True, bounds=_NUMBERS)
_EXPORT = (
    _TOKEN,
    _STREAM,
    _PIN,
    Parameter("period", "HOUR, DAY, WEEK, MONTH (default) or THREE_MONTHS", choices=tuple(mapping.PERIODS)),
    Parameter("granularityType", "RAW_DATA (default), MINUTE, HOURLY or DAILY", choices=tuple(mapping.GRAINS)),
    Parameter("sourceType", "AVG (default), MIN, MAX, SUM or COUNT of each interval", choices=tuple(mapping.SOURCES)),
    Parameter("tzName", "time zone of the times; UTC if left out"),
    Parameter("format", "format of the times: TS (default), ISO_US or ISO_SIMPLE", choices=tuple(mapping.FORMS)),
)


_UPDATES = (Allowance(500_000, 86_400),)
_TEXT = ("text/plain",)


def _get(
    path: str,
    operation: AnyOperation,
    decode: Decode,
    encode: Encode,
    about: str,
    *query: Parameter,
    reply: Any = bytes,
    produces: tuple[str, ...] = _TEXT,
    **more: Any,
) -> Route:
    path, query = f"/external/api/{path}", (_TOKEN, *query)
    return Route("GET", path, operation, decode, encode, about, reply=reply, produces=produces, query=query, **more)


_ROUTES = (
    _get(
        "get",
        reports.values,
        mapping.read,
        mapping.shown,
        "The latest value of a datastream as bare text, of several as an object",
        Parameter("v1", "this pin, or any other; give it without a value"),
        _STREAM,
        produces=(*_TEXT, "application/json"),
    ),
    _get(
        "getAll",
        reports.every,
        no_input,
        mapping.shown_all,
        "The latest values of all datastreams that have one",
        reply=shapes.Values,
    ),
    _get(
        "update",
        reports.write,
        mapping.update,
        mapping.nothing,
        "Write a value to a datastream",
        _ANY_PIN,
        _PIN,
        _STREAM,
        _VALUE,
        allowances=_UPDATES,
    ),
    _get(
        "batch/update",
        reports.write,
        mapping.update_many,
        mapping.done,
        "Write values to several datastreams",
        _ANY_PIN,
        allowances=_UPDATES,
    ),
    Route(
        "POST",
        "/external/api/batch/update",
        reports.write,
        mapping.update_batch,
        mapping.done,
        "Write values with their times to one datastream",
        body=shapes.Batch,
        media_types=("application/json", ""),
        reply=bytes,
        produces=_TEXT,
        query=(_TOKEN, _PIN, _STREAM),
        allowances=_UPDATES,
    ),
    _get(
        "update/property",
        reports.set_property,
        mapping.set_property,
        mapping.nothing,
        "Set how a datastream is displayed",
        _PIN,
        _STREAM,
        Parameter("color", "a value for this property, or for any other"),
    ),
    _get(
        "isHardwareConnected",
        reports.is_connected,
        no_input,
        mapping.connected,
        "Whether the device is online: true or false",
    ),
    _get(
        "logEvent",
        reports.log_event,
        mapping.log_event,
        mapping.nothing,
        "Log an event of the device's template",
        Parameter("code", "the code of the event", required=True),
        Parameter("description", "a description in place of the template's"),
    ),
    _get(
        "device/meta",
        reports.metafield,
        mapping.metafield,
        mapping.held,
        "Read a metafield of the device",
        _FIELD,
        reply=shapes.Metafield,
    ),
    _get(
        "device/meta/update",
        reports.set_metafield,
        mapping.set_metafield,
        mapping.nothing,
        "Write a metafield of the device",
        Parameter("metaFieldId", "the number of a metafield", "integer", bounds=_NUMBERS),
        Parameter("metaFieldName", "its name, in place of the number"),
        Parameter("value", "as text", required=True),
    ),
    Route(
        "GET",
        "/external/api/data/get",
        exports.order,
        mapping.export,
        mapping.link,
        "Get a link to a file with the values of a datastream",
        reply=shapes.Link,
        query=_EXPORT,
        secret=True,
    ),
    Route(
        "GET",
        "/external/api/data/file/{name}",
        exports.fetch,
        mapping.ordered,
        mapping.file,
        "Download the values of a datastream that were ordered in the last hour, as a ZIP archive of CSV",
        reply=bytes,
        produces=("application/zip",),
        query=(
            *_EXPORT,
            Parameter("ordered", "the time of the order, from the link", "integer", required=True, bounds=_NUMBERS),
            Parameter("proof", "the proof of the order, from the link", required=True),
        ),
        secret=True,
    ),
)

DIALECT = Dialect(
    name="blynk_device",
    title="Blynk device HTTPS API",
    prefixes=("/external/api/",),
    routes=_ROUTES,
    envelope=ENVELOPE,
    credentials=(CredentialForm(CredentialLocation.QUERY, "token", Issuer.DEVICE),),
    places={"name": "the name of the file, from the link"},
    max_body=limits.MAX_BATCH_BODY,
    allowances=(Allowance(50, 1),),
    part_of="blynk",
)
