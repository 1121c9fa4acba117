"""Rows that send a device something over the broker."""

from typing import Any

from fleetroll.dialects.native.mapping import commands as mapping
from fleetroll.dialects.native.shapes import commands as shapes
from fleetroll.service import commands
from fleetroll.wire.dialect import Route

ROUTES = (
    Route(
        "POST",
        "/v1/devices/{ident}/commands",
        commands.send,
        mapping.command,
        mapping.queued,
        "Queue a command; a device that is offline receives it when it is back",
        status=202,
        body=shapes.Command,
        reply=shapes.Queued,
    ),
    Route(
        "POST",
        "/v1/devices/{ident}/rpc",
        commands.ask,
        mapping.question,
        mapping.answered,
        "Call a device that listens, and wait for its answer",
        body=shapes.Question,
        reply=dict[str, Any],
    ),
)
