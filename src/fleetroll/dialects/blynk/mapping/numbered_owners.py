"""Users, whom devices belong to."""

from msgspec import structs

from fleetroll.core import limits, model, names
from fleetroll.core.faults import not_found
from fleetroll.dialects.blynk.mapping.parameters import choice, line, number, offset_page, searched
from fleetroll.dialects.blynk.mapping.times import ms
from fleetroll.dialects.blynk.shapes import numbered_owners as shapes
from fleetroll.dialects.blynk.shapes.organizations import Address
from fleetroll.service import numbered_owners, organizations, owners
from fleetroll.wire.request import Request

_ROLES = {"1": model.OwnerRole.ADMIN, "2": model.OwnerRole.STAFF, "3": model.OwnerRole.USER}
_ROLE_NUMBERS = {role: int(number) for number, role in _ROLES.items()}


def people(request: Request) -> numbered_owners.Directory:
    return numbered_owners.Directory(offset_page(request), request.query.flag("includeSubOrgUsers"))


def people_like(request: Request) -> numbered_owners.Searching:
    return numbered_owners.Searching(searched(request), offset_page(request))


def user_page(result: tuple[list[model.Owner], int], request: Request) -> shapes.UserPage:
    found, total = result
    return shapes.UserPage([user(record, request) for record in found], total)


def user(record: model.Owner, request: Request) -> shapes.User:
    return shapes.User(
        record.id,
        record.name or record.ref,
        record.ref,
        _ROLE_NUMBERS[record.role],
        record.org,
        False,
        record.title,
        record.nickname,
        record.phone,
        record.time_zone,
        record.locale,
        record.status.value.capitalize(),
        ms(record.updated_at),
        0,  # owners do not sign in
        ms(record.created_at),
    )


def one_user(request: Request) -> int:
    return number(request, "userId")


def new_user(request: Request) -> numbered_owners.New:
    return _user(request, model.OwnerStatus.ACTIVE)


def invited(request: Request) -> numbered_owners.New:
    return _user(request, model.OwnerStatus.PENDING)


def _user(request: Request, status: model.OwnerStatus) -> numbered_owners.New:
    body = request.body
    address = body.address.full_address if isinstance(body.address, Address) else body.address
    new = structs.replace(
        _blank(body),
        name=line(body.name, "name"),
        phone=line(body.phone_number, "phoneNumber"),
        address=None if address is None else names.paragraph(address, "address", limits.MAX_NAME),
        role=choice(_ROLES, str(body.role_id), "roleId"),
        status=status,
        title=line(body.title, "title"),
        nickname=line(body.nick_name, "nickName"),
        time_zone=None if body.tz is None else names.time_zone(body.tz, "tz"),
        locale=line(body.locale, "locale"),
    )
    return numbered_owners.New(new, body.org_id or body.organization_id)


def _blank(body: shapes.NewUser | shapes.Founder | shapes.Registration) -> model.Owner:
    return owners.blank(names.email(body.email))


def registered(request: Request) -> numbered_owners.New:
    body = request.body
    new = structs.replace(_blank(body), status=model.OwnerStatus.PENDING, locale=line(body.locale, "locale"))
    return numbered_owners.New(new)


def founder(request: Request) -> numbered_owners.Founder:
    """The first user of an organization administers it."""
    body = request.body
    zone = "UTC" if body.time_zone is None else names.time_zone(body.time_zone, "timeZone")
    name = names.line(body.organization_name or body.name, "organizationName")
    home = organizations.Below(name, None, model.OrganizationProfile(time_zone=zone))
    new = structs.replace(_blank(body), name=names.line(body.name, "name"), role=model.OwnerRole.ADMIN)
    return numbered_owners.Founder(new, home)


def moved_user(request: Request) -> numbered_owners.Transfer:
    body = request.body
    return numbered_owners.Transfer(body.user_id, body.target_org_id, choice(_ROLES, str(body.role_id), "roleId"))


def role(request: Request) -> numbered_owners.Edit:
    user, role = one_user(request), number(request, "roleId")
    if str(role) not in _ROLES:
        raise not_found("role", role)
    return numbered_owners.Edit(user, {"role": _ROLES[str(role)]})
