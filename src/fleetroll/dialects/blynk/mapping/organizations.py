"""Organizations, with their profile."""

from fleetroll.core import model, names
from fleetroll.dialects.blynk.mapping.parameters import (
    choice,
    line,
    number,
    offset_page,
    organization_number,
    searched,
    sort,
)
from fleetroll.dialects.blynk.mapping.times import ms
from fleetroll.dialects.blynk.shapes import organizations as shapes
from fleetroll.dialects.blynk.shapes.words import ORGANIZATIONS, UNIT_SYSTEMS
from fleetroll.service import organizations
from fleetroll.wire.request import Request

SORTS = {"Id": "id", "Name": "name"}


def organization(record: model.Organization, request: Request) -> shapes.Organization:
    profile = record.profile
    return shapes.Organization(
        record.id,
        record.name,
        profile.description,
        record.parent,
        profile.time_zone,
        profile.unit_system.value.upper(),
        profile.phone,
        None if profile.address is None else _address(profile.address),
        ms(record.updated_at),
        not record.disabled,
    )


def _address(address: model.Address) -> shapes.Address:
    return shapes.Address(address.full, address.country, address.city, address.state, address.zip)


def one_organization(request: Request) -> int:
    return number(request, "orgId")


def new_organization(request: Request) -> organizations.Below:
    body = request.body
    if body.type is not None:
        choice(ORGANIZATIONS, body.type, "type")
    return organizations.Below(names.line(body.name, "name"), body.parent_id, _profile(body))


def _profile(body: shapes.NewOrganization) -> model.OrganizationProfile:
    return model.OrganizationProfile(
        description=None if body.description is None else names.paragraph(body.description, "description"),
        time_zone="UTC" if body.tz is None else names.time_zone(body.tz, "tz"),
        unit_system=choice(UNIT_SYSTEMS, body.unit_system or "METRIC", "unitSystem"),
        phone=line(body.phone_number, "phoneNumber"),
        address=None if body.address is None else _located(body.address),
    )


def _located(address: shapes.Address) -> model.Address:
    parts = {name: line(getattr(address, name), f"address.{name}") for name in address.__struct_fields__}
    return model.Address(full=parts.pop("full_address"), **parts)


def below(request: Request) -> organizations.Directory:
    return organizations.Directory(offset_page(request), organization_number(request))


def organizations_like(request: Request) -> organizations.Directory:
    return organizations.Directory(offset_page(request), None, searched(request), sort(request, SORTS))


def organization_page(result: tuple[list[model.Organization], int], request: Request) -> shapes.OrganizationPage:
    found, total = result
    return shapes.OrganizationPage([organization(record, request) for record in found], total)
