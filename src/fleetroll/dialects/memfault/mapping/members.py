"""Members of bodies that are the same for many nouns."""

from fleetroll.core import names


def paragraph(text: str | None, field: str) -> str:
    return names.paragraph(text or "", field)
