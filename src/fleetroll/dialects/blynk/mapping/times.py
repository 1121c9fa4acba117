"""Times, in milliseconds since 1970."""

from fleetroll.core.times import MILLISECOND


def ms(instant: int | None) -> int:
    return 0 if instant is None else instant // MILLISECOND
