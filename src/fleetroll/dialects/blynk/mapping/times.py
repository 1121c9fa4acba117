"""Times, in milliseconds since 1970."""

MILLISECOND = 1_000


def ms(instant: int | None) -> int:
    return 0 if instant is None else instant // MILLISECOND
