"""Commands and calls to a device, and what becomes of them."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from fleetroll.core import limits
from fleetroll.wire.texts import Slug


class Command(Struct, forbid_unknown_fields=True):
    """Something for a device to do, and the mode in which it listens if that is not the one it was made in."""

    name: Slug
    data: Any
    env: Slug | None = None


class Question(Struct, forbid_unknown_fields=True):
    """What to call a device with, and for how many seconds to wait for its answer."""

    name: Slug
    data: Any
    env: Slug | None = None
    timeout: Annotated[float, Meta(extra_json_schema={"minimum": 0.1, "maximum": limits.LONGEST_CALL})] = 10.0


class Queued(Struct):
    """A command that the broker has stored."""

    name: str
    queued: bool
