"""Templates: what the devices of one make have in common, and holding devices to it.

A template serves the organization that made it and every one below. A device of a template has the template's metrics
in its schema, and its metadata keeps to the template's metafields.
"""

from collections.abc import AsyncIterator, Collection
from operator import attrgetter
from typing import Any

from msgspec import Struct, structs

from fleetroll.core import documents, limits, metafields
from fleetroll.core import templates as rules
from fleetroll.core.documents import EMPTY, Document
from fleetroll.core.faults import conflict, invalid
from fleetroll.core.guards import UNGUARDED, Guard
from fleetroll.core.model import Device, NewDevice, Organization, Template
from fleetroll.core.policy import Action
from fleetroll.core.query import Comparison, OffsetPage, Operator, Page, Part, Slice, Sort
from fleetroll.service import quotas, reach
from fleetroll.service.cascades import cascade
from fleetroll.service.named import Listing, Noun, devices_have
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.portions import part, portions
from fleetroll.store.port import Records


class Edit(Struct, frozen=True):
    """Members to replace in one template, its lists of parts as wholes."""

    name: str
    change: dict[str, Any]
    guard: Guard = UNGUARDED


class Directory(Struct, frozen=True):
    """Templates by offset, those that an organization in reach made itself; without their parts."""

    page: OffsetPage
    organization: int | None = None


async def _require_unused(call: Call, template: Template) -> None:
    """A template with devices stays: a device never names one that is not there."""
    for org in await _with_devices(call):
        if await devices_have(call.records, org, _of_template(template.id)):
            raise conflict("template_has_devices", "This template has devices; give them another one first.")


async def _with_devices(call: Call) -> list[int]:
    """The organizations that a template of the call's serves, without those that have no devices, perhaps most.

    Whoever gives one of those a device of the template reads the template, so it waits for this transaction.
    """
    return [org for org, devices in (await reach.used(call, "devices", below=True)).items() if devices]


noun: Noun[Template] = Noun(
    "template",
    "name",
    lambda records: records.templates,
    Action.TEMPLATES_READ,
    Action.TEMPLATES_WRITE,
    forget=_require_unused,
)


def _of_template(number: int) -> Comparison:
    return Comparison("template", Operator.EQ, number)


@operation(Action.TEMPLATES_WRITE, Effect.BULK)
async def edit(call: Call, wanted: Edit) -> Template:
    """Replace members. New datastreams become part of the schema of all devices at once.

    Raises Fault conflict `too_many_devices` where that would be more than `limits.MAX_TEMPLATE_SWEEP`.
    """
    was = await noun.find(call, wanted.name, wanted.guard)
    new = rules.numbered(structs.replace(was, **wanted.change), was)
    now = await noun.rewrite(call, was, {name: getattr(new, name) for name in _CHANGEABLE})
    if rules.metrics(was) != rules.metrics(now):
        await _sweep(call, was, now)
    return now


_CHANGEABLE = ("name", "description", "board", "connection", "datastreams", "events", "metafields", "last_part")


async def _sweep(call: Call, was: Template, now: Template) -> None:
    places, devices = list[Call](), 0
    async for there in _places(call):
        places.append(there)
        devices += await there.records.devices.count(there.org, _of_template(was.id))
        if devices > limits.MAX_TEMPLATE_SWEEP:
            message = f"With more than {limits.MAX_TEMPLATE_SWEEP} devices, a template's datastreams cannot be changed."
            raise conflict("too_many_devices", message, "datastreams")
    for there in places:
        await _sweep_one(there, was, now)


async def _places(call: Call) -> AsyncIterator[Call]:
    """The call, in each organization whose devices may have one of its templates."""
    for org in await _with_devices(call):
        if home := await call.records.organizations.get(org):  # it may have been deleted since they were listed
            yield call.beside(home)


async def _sweep_one(there: Call, was: Template, now: Template) -> None:
    """Write the metrics of a changed template to the devices that an organization has of it."""

    async def page(after: int, most: int) -> list[Device]:
        return await there.records.devices.page(there.org, _of_template(was.id), Sort(), Page(most, (after, after)))

    # Not all at once: they may be large.
    async for found in portions(page, attrgetter("id"), 0, limits.SWEEP_BATCH):
        for device in found:
            schema = rules.apply_metrics(device.schema, was, now)
            if bytes(schema) != bytes(device.schema):
                await cascade(there, device, schema=schema)


@operation(Action.TEMPLATES_READ, Effect.SCAN)
async def page(call: Call, wanted: Listing) -> Part[Template, str]:
    """Templates by name. Where they are large, a page ends early."""
    return await part(
        lambda after, limit: call.records.templates.page(call.org, after, limit),
        noun.name,
        wanted.after,
        wanted.limit,
        weight=rules.count_parts,
        room=limits.MAX_PAGE_PARTS,
        most=limits.HEAVY_AT_A_TIME,
    )


# --- by number -------------------------------------------------------------------------------------------------------


@operation(Action.TEMPLATES_READ, Effect.SCAN)
async def directory(call: Call, wanted: Directory) -> Slice[Template]:
    there, page = await reach.organization(call, wanted.organization), wanted.page
    templates, found = there.records.templates, list[Template]()
    while len(found) < page.limit:
        some = min(limits.HEAVY_AT_A_TIME, page.limit - len(found))
        read = await templates.page(there.org, "", some, page.offset + len(found))
        found += [structs.replace(one, datastreams=(), events=(), metafields=()) for one in read]
        if len(read) < some:
            break
    return Slice(found, await quotas.used(there, "templates"))


@operation(Action.TEMPLATES_READ, Effect.SCAN)
async def by_number(call: Call, number: int) -> Template:
    """A template that serves the caller's organization, or one below it."""
    return await visible(call, number) or (await _reached(call, number))[1]


@operation(Action.TEMPLATES_WRITE, Effect.WRITE, relieves=True)
async def delete_by_number(call: Call, number: int) -> None:
    there, found = await _reached(call, number)
    await noun.remove(there, found)


async def _reached(call: Call, number: int) -> tuple[Call, Template]:
    """A template in reach, and the call acting where it is. Raises Fault not_found `template_not_found`."""
    return await reach.record(call, lambda records: records.templates, "template", number)


# --- devices of a template -------------------------------------------------------------------------------------------


async def visible(call: Call, number: int) -> Template | None:
    """The template with this number, if the call's organization or one above it has it."""
    return await _serving(call.records, call.principal.org, number)


async def _serving(records: Records, org: Organization, number: int) -> Template | None:
    for ancestor in reversed(org.lineage):
        if found := await records.templates.by_id(ancestor, number):
            return found
    return None


async def of(call: Call, device: Device) -> Template | None:
    """The device's template. A device never names one that is not there."""
    return None if device.template is None else await visible(call, device.template)


async def of_many(records: Records, org: int, numbers: Collection[int]) -> dict[int, Template]:
    """The templates with these numbers that serve an organization."""
    home = await records.organizations.get(org) if numbers else None
    if home is None:
        return {}
    found = {number: await _serving(records, home, number) for number in numbers}
    return {number: template for number, template in found.items() if template}


async def apply_to_new(call: Call, new: NewDevice) -> NewDevice:
    """A new device as its template has it. Raises Fault invalid `unknown_template` and `invalid_metafield`."""
    if new.template is None:
        return new
    template = await _required(call, new.template)
    await _check(call, template, new.metadata)
    return structs.replace(new, schema=rules.apply_metrics(new.schema, None, template))


async def apply_to_change(call: Call, was: Device, members: dict[str, Any]) -> dict[str, Any]:
    """The members of a change, with what the device's template before and after it makes of them."""
    number = members.get("template", was.template)
    if (number is None and was.template is None) or not members.keys() & {"template", "metadata", "schema"}:
        return members
    now = None if number is None else await _required(call, number)
    if now is not None:
        metadata_before = was.metadata if number == was.template else EMPTY
        await _check(call, now, members.get("metadata", was.metadata), metadata_before)
    if not members.keys() & {"template", "schema"}:
        return members
    before = now if number == was.template else await of(call, was)
    schema = rules.apply_metrics(members.get("schema", was.schema), before, now)
    others = {name: value for name, value in members.items() if name != "schema"}
    return others if bytes(schema) == bytes(was.schema) else {**others, "schema": schema}


async def _check(call: Call, template: Template, metadata: Document, before: Document = EMPTY) -> None:
    """Raises Fault invalid `invalid_metafield` for a member that its metafield does not take.

    A device that is named must be one of the organization's, and of a template that the metafield allows. What `before`
    had already is not checked again: the metafield may have been redefined since, and the device deleted.
    """
    members, members_before = documents.load(metadata), documents.load(before)
    metafields.check(template.metafields, members, members_before)
    for field, number in metafields.named_anew(template.metafields, members, members_before):
        device = await call.records.devices.by_id(call.org, number)
        if device is None or (field.templates and device.template not in field.templates):
            raise metafields.refusal(field)


async def changes_of_transfer(call: Call, there: Call, device: Device) -> dict[str, Any]:
    """What changes of a device that goes to another organization: a template that does not serve that is dropped."""
    if device.template is None or await visible(there, device.template):
        return {}
    return {"template": None, "schema": rules.apply_metrics(device.schema, await of(call, device), None)}


async def _required(call: Call, number: int) -> Template:
    found = await visible(call, number)
    if found is None:
        raise invalid("unknown_template", "There is no such template.", "template")
    return found
