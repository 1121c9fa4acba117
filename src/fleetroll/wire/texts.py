"""Texts in shapes, by what they may be. This is for the description alone: what is wrong with a text is for the core to
say, in its words or the vendor's.
"""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from fleetroll.core import limits, names

Time = Annotated[datetime, Meta(extra_json_schema={"format": "date-time"})]
Ident = Annotated[
    str,
    Meta(
        description="Printable, with no space at either end, and neither `.` nor `..`.",
        extra_json_schema={"minLength": 1, "maxLength": limits.MAX_IDENT},
    ),
]
Name = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": limits.MAX_NAME})]
Kind = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": limits.MAX_KIND})]
TagName = Annotated[
    str,
    Meta(
        description="Without a comma, and with no space at either end.",
        extra_json_schema={"minLength": 1, "maxLength": limits.MAX_TAG, "pattern": "^[^,]*$"},
    ),
]
Email = Annotated[str, Meta(extra_json_schema={"format": "email"})]
Slug = Annotated[str, Meta(extra_json_schema={"pattern": f"^{names.SLUG.pattern}$", "maxLength": limits.MAX_SLUG})]
Label = Annotated[
    str,
    Meta(extra_json_schema={"pattern": "^[._-]*[A-Za-z0-9][A-Za-z0-9._-]*$", "maxLength": limits.MAX_AUTHORITY_NAME}),
]
"""What stands in any path, as the name of an authority does."""
SlugIfAny = Annotated[
    str, Meta(extra_json_schema={"pattern": f"^({names.SLUG.pattern})?$", "maxLength": limits.MAX_SLUG})
]
Line = Annotated[str, Meta(extra_json_schema={"maxLength": limits.MAX_NAME})]
"""A name that may be empty, which is as good as none."""
TimeZone = Annotated[str, Meta(description="The name of a zone of the tz database, such as `Europe/Berlin`.")]
EventDescription = Annotated[str, Meta(extra_json_schema={"maxLength": limits.MAX_EVENT_DESCRIPTION})]
Paragraph = Annotated[str, Meta(extra_json_schema={"maxLength": limits.MAX_TEXT})]
_REFERENCE = rf"\s*\S(.{{0,{limits.MAX_EMAIL - 2}}}\S)?\s*"
Reference = Annotated[str, Meta(extra_json_schema={"pattern": f"^{_REFERENCE}$"})]
"""Of an owner. The blanks around it do not count."""
ReferenceIfAny = Annotated[str, Meta(extra_json_schema={"pattern": f"^({_REFERENCE})?$"})]
