"""Organizations, with their profile and quotas."""

from typing import Any

from msgspec import UNSET, UnsetType, structs

from fleetroll.core import limits, model, names
from fleetroll.core.faults import brief, invalid
from fleetroll.core.guards import etag
from fleetroll.core.query import Part
from fleetroll.dialects.native.mapping.members import choice, texts
from fleetroll.dialects.native.mapping.paging import limit, mark, resume
from fleetroll.dialects.native.mapping.paths import path_of
from fleetroll.dialects.native.mapping.times import at
from fleetroll.dialects.native.shapes import organizations as shapes
from fleetroll.service import organizations
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request


def organization(record: model.Organization, usage: dict[str, int] | UnsetType = UNSET) -> shapes.Organization:
    return shapes.Organization(
        record.id,
        record.slug,
        record.name,
        record.parent,
        record.disabled,
        {**limits.DEFAULT_QUOTAS, **record.quotas},
        at(record.created_at),
        at(record.updated_at),
        record.revision,
        record.profile.description,
        record.profile.time_zone,
        record.profile.unit_system.value,
        record.profile.phone,
        None if record.profile.address is None else shapes.Address(**structs.asdict(record.profile.address)),
        record.profile.platform,
        record.profile.os,
        usage,
    )


def account(result: organizations.Account, request: Request) -> Reply:
    return Reply(organization(result.organization, result.usage), etag=etag(result.organization, result.usage))


def new_account(result: organizations.Account, request: Request) -> Reply:
    return structs.replace(account(result, request), location=path_of("organizations", result.organization.slug))


def children(result: Part[model.Organization, str], request: Request) -> shapes.OrganizationList:
    return shapes.OrganizationList([organization(found) for found in result.records], mark(result.next, request))


def list_children(request: Request) -> organizations.Listing:
    return organizations.Listing(limit(request), resume(request) or "")


def new_organization(request: Request) -> organizations.Described:
    body = request.body
    name = None if body.name is None else names.line(body.name, "name")
    profile = model.OrganizationProfile().changed(_profile(body))
    return organizations.Described(names.slug(body.slug), name, _quotas(body.quotas), profile)


def one_organization(request: Request) -> organizations.Named:
    return organizations.Named(request.path["slug"], request.guard)


def change_organization(request: Request) -> organizations.Change:
    body = request.body
    name = None if body.name is None else names.line(body.name, "name")
    quotas = _quotas(body.quotas or {})
    return organizations.Change(request.path["slug"], name, body.disabled, quotas, _profile(body), request.guard)


def _profile(body: Any) -> dict[str, Any]:
    """The members of an organization's profile that a body gives; of an address, the parts that it gives."""
    given = {name: getattr(body, name) for name in model.OrganizationProfile.__struct_fields__}
    members = texts(given.items(), limits.MAX_TEXT)
    if "time_zone" in members:
        names.time_zone(members["time_zone"], "time_zone")
    if "unit_system" in members:
        members["unit_system"] = choice(model.UnitSystem, members["unit_system"], "unit_system")
    if members.get("address") is not None:
        members["address"] = texts(structs.asdict(members["address"]).items(), limits.MAX_NAME)
    return members


def _quotas(quotas: dict[str, Any]) -> dict[str, Any]:
    if unknown := quotas.keys() - limits.DEFAULT_QUOTAS.keys():
        known = ", ".join(limits.DEFAULT_QUOTAS)
        raise invalid("unknown_quota", f"Unknown quota {brief(min(unknown))}; known quotas are {known}.", "quotas")
    return quotas
