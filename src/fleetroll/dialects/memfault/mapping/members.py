"""Members of bodies that are the same for many nouns."""

from msgspec import UNSET, UnsetType

from fleetroll.core.faults import invalid


def keep_slug(given: str | UnsetType, slug: str, noun: str) -> None:
    """Accept the slug that comes back with a whole record. Raises Fault invalid for another one."""
    if given not in {UNSET, slug}:
        raise invalid("read_only", f"A {noun}'s slug stays as it was made.", "slug")
