"""Bounded numbers that bodies of several nouns have."""

from typing import Annotated

from msgspec import Meta

Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]


RoleId = Annotated[int, Meta(extra_json_schema={"enum": [1, 2, 3]})]
"""Admin, staff or user."""
