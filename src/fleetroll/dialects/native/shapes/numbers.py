"""Bounded numbers that bodies of several nouns have."""

from typing import Annotated

from msgspec import Meta

Seconds = Annotated[int, Meta(ge=0, le=100 * 365 * 86_400)]


Whole = Annotated[int, Meta(ge=0, le=2**53)]
"""A whole number that JSON readers with nothing but doubles keep exactly."""
