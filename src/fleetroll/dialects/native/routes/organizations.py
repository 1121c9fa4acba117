"""Rows about organizations."""

from fleetroll.dialects.native.mapping import organizations as mapping
from fleetroll.dialects.native.routes.parameters import MERGE_PATCHES, PAGE
from fleetroll.dialects.native.shapes import organizations as shapes
from fleetroll.service import organizations
from fleetroll.wire.dialect import Route, nothing

ROUTES = (
    Route(
        "POST",
        "/v1/organizations",
        organizations.create,
        mapping.new_organization,
        mapping.new_account,
        "Create an organization below the caller's",
        status=201,
        body=shapes.NewOrganization,
        reply=shapes.Organization,
        reply_headers=("ETag", "Location"),
        idempotent=True,
    ),
    Route(
        "GET",
        "/v1/organizations",
        organizations.page,
        mapping.list_children,
        mapping.children,
        "Organizations directly below the caller's",
        reply=shapes.OrganizationList,
        query=PAGE,
    ),
    Route(
        "GET",
        "/v1/organizations/{slug}",
        organizations.get,
        mapping.one_organization,
        mapping.account,
        "Read an organization (`self`, or slugs joined by dots) and what it uses",
        reply=shapes.Organization,
        reply_headers=("ETag",),
        guarded=True,
    ),
    Route(
        "PATCH",
        "/v1/organizations/{slug}",
        organizations.update,
        mapping.change_organization,
        mapping.account,
        "Rename, disable or enable an organization, or set its quotas",
        body=shapes.OrganizationChange,
        reply=shapes.Organization,
        reply_headers=("ETag",),
        media_types=MERGE_PATCHES,
        guarded=True,
    ),
    Route(
        "DELETE",
        "/v1/organizations/{slug}",
        organizations.delete,
        mapping.one_organization,
        nothing,
        "Delete an empty organization",
        status=204,
        guarded=True,
    ),
)
