"""Rows about tags, and giving them to devices."""

from fleetroll.dialects.blynk.mapping import tags as mapping
from fleetroll.dialects.blynk.mapping.parameters import organization_number
from fleetroll.dialects.blynk.routes.parameters import DEVICE, NUMBERS, ORG, row
from fleetroll.dialects.blynk.shapes import tags as shapes
from fleetroll.service import tags
from fleetroll.wire.dialect import Parameter, nothing

_TAG = Parameter("tagId", "the number of the tag", "integer", required=True, bounds=NUMBERS)

ROUTES = (
    row(
        "GET",
        "/tags",
        tags.known,
        organization_number,
        mapping.known,
        "List tags: those in use, most frequent first, then the others",
        *ORG,
        reply=list[shapes.Tag],
    ),
    row(
        "POST",
        "/tag/create",
        tags.create,
        mapping.new_tag,
        mapping.tag,
        "Create a tag",
        *ORG,
        status=201,
        body=shapes.NewTag,
        reply=shapes.Tag,
    ),
    row("DELETE", "/tag", tags.delete, mapping.one_tag, nothing, "Delete a tag", _TAG, *ORG, status=204),
    row(
        "POST",
        "/device/tag",
        tags.assign,
        mapping.assignment,
        nothing,
        "Add a tag to a device",
        body=shapes.TagAssignment,
        status=204,
    ),
    row(
        "DELETE",
        "/device/tag",
        tags.withdraw,
        mapping.withdrawal,
        nothing,
        "Remove a tag from a device",
        DEVICE,
        _TAG,
        status=204,
    ),
)
