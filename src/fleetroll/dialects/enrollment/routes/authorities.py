"""Rows about certificate authorities."""

from fleetroll.dialects.enrollment import shapes
from fleetroll.dialects.enrollment.mapping import authorities as mapping
from fleetroll.dialects.enrollment.mapping.paging import listing
from fleetroll.dialects.enrollment.routes.parameters import CA, PAGE
from fleetroll.service import authorities
from fleetroll.wire.dialect import Route

ROUTES = (
    Route(
        "GET",
        f"{CA}/cas",
        authorities.page,
        listing,
        mapping.authority_page,
        "List certificate authorities",
        reply=shapes.AuthorityList,
        query=PAGE,
    ),
    Route(
        "GET",
        f"{CA}/cas/{{id}}",
        authorities.get,
        mapping.one_authority,
        mapping.authority,
        "Read a certificate authority",
        reply=shapes.Authority,
    ),
)
