"""Cohorts."""

from fleetroll.core import model, names
from fleetroll.core.guards import etag
from fleetroll.dialects.native.mapping.named import change_named
from fleetroll.dialects.native.mapping.times import at
from fleetroll.dialects.native.shapes import cohorts as shapes
from fleetroll.service import named
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request


def cohort(record: model.Cohort, request: Request) -> Reply:
    made, changed = at(record.created_at), at(record.updated_at)
    return Reply(shapes.Cohort(record.id, record.slug, record.name, made, changed, record.revision), etag=etag(record))


def new_cohort(request: Request) -> model.Cohort:
    slug = names.slug(request.body.slug)
    return model.unstored(model.Cohort, slug=slug, name=_name(request.body.name or slug))


def change_cohort(request: Request) -> named.Edit:
    return change_named(request, name=_name)


def _name(text: str) -> str:
    return names.line(text, "name")
