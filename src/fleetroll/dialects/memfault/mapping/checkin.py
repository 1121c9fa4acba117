"""What devices send and ask, and the reboots that they reported."""

from typing import Any

from msgspec import structs

from fleetroll.core import chunks, limits
from fleetroll.core.faults import invalid
from fleetroll.core.times import FIRST, LAST, SECOND, iso, parse_iso, require_iso
from fleetroll.dialects.memfault.mapping.devices import SERIAL, serial
from fleetroll.dialects.memfault.mapping.hardware_versions import is_version
from fleetroll.dialects.memfault.mapping.paging import offset_page
from fleetroll.dialects.memfault.mapping.software_versions import software_of
from fleetroll.dialects.memfault.mapping.uuids import uuid
from fleetroll.dialects.memfault.shapes import checkin as shapes
from fleetroll.dialects.memfault.shapes.envelopes import One
from fleetroll.service import checkin
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request

_REBOOTS = {"reboot", "trace"}
_HIGHEST_REASON = LAST // SECOND  # far above those that firmware has, and exact in every client
_CONFIG = {
    "revision": 1,
    "completed": None,
    "config": {
        "memfault": {
            "sampling": {
                "debugging.resolution": "normal",
                "logging.resolution": "normal",
                "monitoring.resolution": "normal",
            }
        }
    },
}


def take_chunks(request: Request) -> checkin.Chunks:
    if not request.body:
        raise invalid("length_required", "Send the chunk as the body of the request.")
    multipart = request.media_type == "multipart/mixed"
    received = chunks.contents(request.body, encoded=request.encoding == "base64", multipart=multipart)
    if len(received) > limits.MAX_CHUNKS:
        raise invalid("too_many_chunks", f"Send at most {limits.MAX_CHUNKS} chunks at a time.")
    return checkin.Chunks(serial(request.path["device_serial"]), received)


def accepted(_: object, request: Request) -> Reply:
    return Reply(b"Accepted", media_type="text/plain")


def take_events(request: Request) -> list[checkin.DeviceReport]:
    if len(request.body) > limits.MAX_CHUNKS:
        raise invalid("too_many_events", f"Send at most {limits.MAX_CHUNKS} events at a time.")
    return [_reported(event, f"{number}.") for number, event in enumerate(request.body)]


def _reported(event: shapes.Event, within: str = "") -> checkin.DeviceReport:
    """Who reports, and what; `within` leads to the event in the body."""

    def word(name: str, text: str | None) -> str | None:
        if text and not is_version(text):
            raise invalid("invalid_body", "Not a valid version.", within + name)
        return text or None

    if not SERIAL.fullmatch(event.device_serial):
        raise invalid("invalid_body", "Not a valid serial.", f"{within}device_serial")
    report = checkin.Report(
        hardware=word("hardware_version", event.hardware_version),
        software_type=word("software_type", event.software_type),
        version=word("software_version", event.software_version or event.release_version or event.fw_version),
        reboot=_reboot(event, within),
    )
    return checkin.DeviceReport(event.device_serial, report)


def _reboot(event: shapes.Event, within: str) -> checkin.Reboot | None:
    reason = (event.event_info or {}).get("reason")
    at = None if event.captured_date is None else parse_iso(event.captured_date)
    if event.captured_date is not None and (at is None or not FIRST <= at <= LAST):
        raise invalid("invalid_body", "Not a valid datetime.", f"{within}captured_date")
    if event.type.lower() not in _REBOOTS or not isinstance(reason, int) or isinstance(reason, bool):
        return None
    if not 0 <= reason <= _HIGHEST_REASON:
        raise invalid("invalid_body", "Not a valid integer.", f"{within}event_info.reason")
    return checkin.Reboot(reason, None, at)


def queued(_: object, request: Request) -> Reply:
    task = uuid(0, " ".join(event.device_serial for event in request.body))
    location = f"/api/v0/queue/{task}"
    return Reply(One({"queue_url": location}), location=location)


def queue_status(_: object, request: Request) -> shapes.QueueStatus:
    return shapes.QueueStatus("SUCCESS")


def ask_config(request: Request) -> checkin.DeviceReport:
    return _reported(shapes.Event(**structs.asdict(request.body.device)), "device.")


def device_config(_: object, request: Request) -> One:
    return One(_CONFIG)


def ask_release(request: Request) -> checkin.DeviceReport:
    query = request.query
    members: dict[str, Any] = {name: query.get(name) for name in ("device_serial", "hardware_version", "software_type")}
    for name, text in members.items():
        if not text:
            raise invalid("invalid_parameter", f"{name} is required.", name)
    return _reported(shapes.Event(**members, software_version=query.get("current_version")))


def no_release(_: object, request: Request) -> Reply:
    return Reply(headers=(("memfault-reason", "latest"),))


def list_reboots(request: Request) -> checkin.Reboots:
    since = request.query.get("since")
    first = FIRST if since is None else require_iso(since, "since")
    return checkin.Reboots(request.path["device_serial"], first, offset_page(request))


def reboot_page(reboots: list[checkin.NotedReboot], request: Request) -> One:
    return One([_reboot_shape(reboot) for reboot in reboots])


def _reboot_shape(reboot: checkin.NotedReboot) -> shapes.Reboot:
    software = None if reboot.software is None else software_of(reboot.software)
    return shapes.Reboot("memfault", iso(reboot.at), reboot.data["reason"], reboot.data.get("register"), software)
