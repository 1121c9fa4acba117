"""Pins: a letter and a number, which the vendor shows apart."""

PIN_TYPES = {"VIRTUAL": "v", "DIGITAL": "d", "ANALOG": "a"}
PIN_NAMES = {letter: name for name, letter in PIN_TYPES.items()}


def split(pin: str) -> tuple[int, str]:
    """A pin as the vendor shows it beside its type."""
    return int(pin[1:]), PIN_NAMES[pin[0]]
