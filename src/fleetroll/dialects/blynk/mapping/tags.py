"""Tags, and giving them to devices."""

from fleetroll.core import ids, names
from fleetroll.dialects.blynk.mapping.parameters import device_number, home, number, organization_number
from fleetroll.dialects.blynk.shapes import tags as shapes
from fleetroll.service import tags
from fleetroll.wire.request import Request


def known(result: list[str], request: Request) -> list[shapes.Tag]:
    return [tag(name, request) for name in result]


def tag(name: str, request: Request) -> shapes.Tag:
    return shapes.Tag(ids.text_number(name), name, None)


def new_tag(request: Request) -> tags.New:
    return tags.New(names.tag(request.body.name, "name"), home(request))


def one_tag(request: Request) -> tags.Numbered:
    return tags.Numbered(number(request, "tagId"), organization_number(request))


def assignment(request: Request) -> tags.Assignment:
    return tags.Assignment(request.body.device_id, request.body.tag_id)


def withdrawal(request: Request) -> tags.Assignment:
    return tags.Assignment(device_number(request), number(request, "tagId"))
