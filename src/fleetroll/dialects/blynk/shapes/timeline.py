"""What a device logged, and what was done to it."""

from typing import Any

from msgspec import Struct


class TimelineEvent(Struct, rename="camel"):
    id: int
    event_id: int
    org_id: int
    event_type: str
    description: str
    ts: int
    is_resolved: bool = False
    resolved_at: int = 0
    resolved_comment: str | None = None


class TimelinePage(Struct, rename="camel"):
    content: list[TimelineEvent]
    total_elements: int


class ActionLog(Struct, rename="camel"):
    """What was done with a key, which `triggerUserEmail` names as the timeline does.

    `value` is what was written to `pin`, or says what else was done.
    """

    trigger_user_email: str
    value: Any
    pin: int | None
    pin_type: str | None
    is_online: bool
    created_at: int


class ActionLogPage(Struct, rename="camel"):
    content: list[ActionLog]
    total_elements: int
