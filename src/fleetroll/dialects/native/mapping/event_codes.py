"""Events that a template lets its devices log."""

from fleetroll.core import names
from fleetroll.service import event_codes
from fleetroll.wire.request import Request


def occurrence(request: Request) -> event_codes.Occurrence:
    body = request.body
    description = None if body.description is None else names.paragraph(body.description, "description")
    return event_codes.Occurrence(request.path["ident"], body.code, description)
