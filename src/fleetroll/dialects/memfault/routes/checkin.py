"""Rows by which devices report and ask, and the one of the reboots that they reported."""

from fleetroll.dialects.memfault.mapping import checkin as mapping
from fleetroll.dialects.memfault.routes.parameters import DEVICE, PAGE, in_project
from fleetroll.dialects.memfault.shapes import checkin as shapes
from fleetroll.dialects.memfault.shapes.envelopes import One
from fleetroll.service import checkin
from fleetroll.wire.dialect import Parameter, Route, no_input

_ASKING = (
    Parameter("device_serial", "serial of the device", required=True),
    Parameter("hardware_version", "its hardware version", required=True),
    Parameter("software_type", "type of the software", required=True),
    Parameter("current_version", "version of the software that it runs"),
)

ROUTES = (
    in_project(
        "GET",
        f"{DEVICE}/reboots",
        checkin.reboots,
        mapping.list_reboots,
        mapping.reboot_page,
        "The reboots of a device, newest first",
        reply=One,
        query=(*PAGE, Parameter("since", "at this time or later (ISO 8601)")),
    ),
)

REPORTS = (
    Route(
        "POST",
        "/api/v0/chunks/{device_serial}",
        checkin.take_chunks,
        mapping.take_chunks,
        mapping.accepted,
        "As a device: send one chunk, or several as multipart; the device is created if it is new",
        status=202,
        body=bytes,
        body_required=False,
        reply=bytes,
        produces=("text/plain",),
        media_types=("application/octet-stream", "multipart/mixed"),
        encodings=("base64",),
    ),
    Route(
        "POST",
        "/api/v0/events",
        checkin.take_reports,
        mapping.take_events,
        mapping.queued,
        "As a device: report events as JSON",
        status=202,
        body=list[shapes.Event],
        reply=One,
        reply_headers=("Location",),
    ),
    Route(
        "GET",
        "/api/v0/queue/{task}",
        checkin.done,
        no_input,
        mapping.queue_status,
        "The status of reported events, which are stored before they are acknowledged",
        reply=shapes.QueueStatus,
    ),
    Route(
        "POST",
        "/api/v0/device-config",
        checkin.greet,
        mapping.ask_config,
        mapping.device_config,
        "As a device: ask how much to report",
        body=shapes.DeviceConfigRequest,
        reply=One,
    ),
    *(
        Route(
            "GET",
            f"/api/v0/releases/latest{suffix}",
            checkin.greet,
            mapping.ask_release,
            mapping.no_release,
            "As a device: ask for newer software; there is none",
            status=204,
            query=_ASKING,
        )
        for suffix in ("", "/url")
    ),
)
