"""Rows about users, whom devices belong to."""

from fleetroll.dialects.blynk.mapping import numbered_owners as mapping
from fleetroll.dialects.blynk.routes.parameters import NUMBERS, PLACE, QUERY, row
from fleetroll.dialects.blynk.shapes import numbered_owners as shapes
from fleetroll.service import numbered_owners
from fleetroll.wire.dialect import Parameter, nothing

_USER = Parameter("userId", "the number of the user", "integer", required=True, bounds=NUMBERS)

ROUTES = (
    row(
        "GET",
        "/users",
        numbered_owners.directory,
        mapping.people,
        mapping.user_page,
        "List users",
        Parameter("includeSubOrgUsers", "whether to include the organizations below", "boolean"),
        *PLACE,
        reply=shapes.UserPage,
    ),
    row(
        "GET",
        "/search/users",
        numbered_owners.search,
        mapping.people_like,
        mapping.user_page,
        "Search users by name and address",
        QUERY,
        *PLACE,
        reply=shapes.UserPage,
    ),
    row(
        "GET",
        "/user",
        numbered_owners.by_number,
        mapping.one_user,
        mapping.user,
        "Read a user",
        _USER,
        reply=shapes.User,
    ),
    row(
        "POST",
        "/users/create-in-org",
        numbered_owners.create_within,
        mapping.new_user,
        mapping.user,
        "Create a user",
        status=201,
        body=shapes.NewUser,
        reply=shapes.User,
    ),
    row(
        "POST",
        "/users/invite",
        numbered_owners.create_within,
        mapping.invited,
        mapping.user,
        "Create a user whose account is pending",
        status=201,
        body=shapes.NewUser,
        reply=shapes.User,
    ),
    row(
        "POST",
        "/users/create",
        numbered_owners.create_with_organization,
        mapping.founder,
        nothing,
        "Create an organization and the user who administers it",
        status=204,
        body=shapes.Founder,
    ),
    row(
        "POST",
        "/users/register",
        numbered_owners.create_within,
        mapping.registered,
        nothing,
        "Create a user whose account is pending, from an address alone",
        status=204,
        body=shapes.Registration,
    ),
    row(
        "POST",
        "/users/transfer",
        numbered_owners.transfer,
        mapping.moved_user,
        mapping.user,
        "Move a user without devices to another organization",
        status=201,
        body=shapes.UserTransfer,
        reply=shapes.User,
    ),
    row(
        "PUT",
        "/users/role",
        numbered_owners.edit_by_number,
        mapping.role,
        mapping.user,
        "Give a user another role",
        _USER,
        Parameter("roleId", "1 (admin), 2 (staff) or 3 (user)", "integer", required=True, bounds=(1, 3)),
        reply=shapes.User,
    ),
)
