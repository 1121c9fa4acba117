"""Rows about organizations in reach."""

from fleetroll.dialects.blynk.mapping import organizations as mapping
from fleetroll.dialects.blynk.mapping.parameters import ORDERS, organization_number
from fleetroll.dialects.blynk.routes.parameters import NUMBERS, ORG, PLACE, QUERY, row
from fleetroll.dialects.blynk.shapes import organizations as shapes
from fleetroll.service import organizations
from fleetroll.wire.dialect import Parameter, no_input, nothing

ROUTES = (
    row(
        "GET",
        "",
        organizations.by_number,
        organization_number,
        mapping.organization,
        "Read an organization",
        *ORG,
        reply=shapes.Organization,
    ),
    row(
        "POST",
        "/create",
        organizations.create_below,
        mapping.new_organization,
        mapping.organization,
        "Create an organization below the caller's, or below another one",
        status=201,
        body=shapes.NewOrganization,
        reply=shapes.Organization,
    ),
    row(
        "DELETE",
        "",
        organizations.delete_by_number,
        mapping.one_organization,
        nothing,
        "Delete an empty organization",
        Parameter("orgId", "the number of the organization", "integer", required=True, bounds=NUMBERS),
        status=204,
    ),
    row(
        "GET",
        "/profile",
        organizations.by_number,
        no_input,
        mapping.organization,
        "Read the caller's organization",
        reply=shapes.Organization,
    ),
    row(
        "GET",
        "/search",
        organizations.directory,
        mapping.organizations_like,
        mapping.organization_page,
        "Search organizations by name",
        QUERY,
        Parameter("sortBy", "Id (default) or Name", choices=tuple(mapping.SORTS)),
        Parameter("sortOrder", "ASC (default) or DESC", choices=tuple(ORDERS)),
        *PLACE,
        reply=shapes.OrganizationPage,
    ),
    row(
        "GET",
        "/sub-organizations",
        organizations.directory,
        mapping.below,
        mapping.organization_page,
        "Organizations directly below one",
        *ORG,
        *PLACE,
        reply=shapes.OrganizationPage,
    ),
)
