"""Pins: a letter and a number, which the vendor shows apart."""

from fleetroll.dialects.blynk.shapes.words import PIN_TYPES

_NAMES = {letter: name for name, letter in PIN_TYPES.items()}


def split(pin: str) -> tuple[int, str]:
    """A pin's number and type, as the vendor shows them."""
    return int(pin[1:]), _NAMES[pin[0]]
