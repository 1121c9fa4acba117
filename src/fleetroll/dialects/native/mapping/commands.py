"""Commands and calls to a device."""

import re
from typing import Any

from fleetroll.core import limits
from fleetroll.core.faults import invalid
from fleetroll.dialects.native.shapes import commands as shapes
from fleetroll.service import commands
from fleetroll.wire.request import Request

_WORD = re.compile(r"[A-Za-z0-9_-]{1,128}")  # one word of a subject


def command(request: Request) -> commands.Command:
    body = request.body
    env = None if body.env is None else _word(body.env, "env")
    return commands.Command(request.path["ident"], _word(body.name, "name"), body.data, env)


def question(request: Request) -> commands.Question:
    seconds = request.body.timeout
    if not 0.1 <= seconds <= limits.LONGEST_CALL:
        raise invalid("out_of_range", f"timeout must be from 0.1 to {limits.LONGEST_CALL} seconds.", "timeout")
    return commands.Question(command(request), seconds)


def _word(value: str, field: str) -> str:
    if not _WORD.fullmatch(value):
        raise invalid("invalid_name", f"{field} must be 1 to 128 letters, digits, hyphens or underscores.", field)
    return value


def queued(result: commands.Command, request: Request) -> shapes.Queued:
    return shapes.Queued(result.name, queued=True)


def answered(result: Any, request: Request) -> Any:
    return result
