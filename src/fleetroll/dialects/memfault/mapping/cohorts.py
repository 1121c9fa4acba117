"""Cohorts, and the devices that are moved into one."""

from msgspec import UNSET

from fleetroll.core import limits, model, names
from fleetroll.core.faults import invalid
from fleetroll.core.times import iso
from fleetroll.dialects.memfault.mapping.members import keep_slug
from fleetroll.dialects.memfault.mapping.paging import by_creation, cut, picked
from fleetroll.dialects.memfault.shapes import cohorts as shapes
from fleetroll.dialects.memfault.shapes.envelopes import One
from fleetroll.service import cohorts, fleet, named
from fleetroll.wire.dialect import LongList
from fleetroll.wire.request import Request


def cohort(result: cohorts.Counted, request: Request) -> One:
    return One(_cohort_shape(result))


def _cohort_shape(result: cohorts.Counted) -> shapes.Cohort:
    record = result.cohort
    made, changed = iso(record.created_at), iso(record.updated_at)
    return shapes.Cohort(record.id, record.name, record.slug, result.devices, None, made, changed)


def new_cohort(request: Request) -> model.Cohort:
    body = request.body
    slug = names.slug(body.slug) if body.slug else ""
    return model.unstored(model.Cohort, slug=slug, name=names.line(body.name, "name"))


def one_cohort(request: Request) -> named.Named:
    return named.Named(request.path["cohort"], request.guard)


def change_cohort(request: Request) -> named.Edit:
    body = request.body
    keep_slug(body.slug, request.path["cohort"], "cohort")
    change = {} if body.name is UNSET else {"name": names.line(body.name, "name")}
    return named.Edit(request.path["cohort"], change, request.guard)


def cohort_page(result: list[cohorts.Counted], request: Request) -> LongList:
    counted = picked(result, request, name=lambda each: each.cohort.name, slug=lambda each: each.cohort.slug)
    return cut(by_creation(counted, request, lambda each: each.cohort.created_at), _cohort_shape, request)


def move_devices(request: Request) -> fleet.CohortMove:
    body = request.body
    serials = body if isinstance(body, list) else [*body.devices, *body.device_serials]
    if not serials:
        raise invalid("invalid_body", "Give the devices to move.", "devices")
    if len(serials) > limits.MAX_BULK_DEVICES:
        raise invalid("too_many_devices", f"Give at most {limits.MAX_BULK_DEVICES} devices.", "devices")
    return fleet.CohortMove(request.path["cohort"], tuple(dict.fromkeys(serials)))
