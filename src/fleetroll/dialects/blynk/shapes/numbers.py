"""Bounded numbers that bodies of several nouns have."""

from typing import Annotated

from msgspec import Meta

Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]
