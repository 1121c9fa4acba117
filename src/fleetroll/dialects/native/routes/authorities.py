"""Rows about certificate authorities."""

from fleetroll.dialects.native.mapping import authorities as mapping
from fleetroll.dialects.native.mapping.named import list_named, made, one_named
from fleetroll.dialects.native.routes.parameters import PAGE
from fleetroll.dialects.native.shapes import authorities as shapes
from fleetroll.service import authorities
from fleetroll.wire.dialect import Route, nothing
from fleetroll.wire.revocation import REVOCATION_LIST, revocation_list

ROUTES = (
    Route(
        "POST",
        "/v1/authorities",
        authorities.create,
        mapping.new_authority,
        made("authorities", "name", mapping.authority),
        "Create a certificate authority, or trust an external one",
        status=201,
        body=shapes.NewAuthority,
        reply=shapes.Authority,
        reply_headers=("ETag", "Location"),
        idempotent=True,
    ),
    Route(
        "GET",
        "/v1/authorities",
        authorities.page,
        list_named,
        mapping.authority_page,
        "List certificate authorities",
        reply=shapes.AuthorityList,
        query=PAGE,
    ),
    Route(
        "GET",
        "/v1/authorities/{name}",
        authorities.get,
        one_named,
        mapping.authority,
        "Read a certificate authority, with its certificate",
        reply=shapes.Authority,
        reply_headers=("ETag",),
        guarded=True,
    ),
    Route(
        "DELETE",
        "/v1/authorities/{name}",
        authorities.noun.delete,
        one_named,
        nothing,
        "Delete a certificate authority that nothing depends on",
        status=204,
        guarded=True,
    ),
    Route(
        "GET",
        "/v1/authorities/{name}/crl",
        authorities.revocation_list,
        one_named,
        revocation_list,
        "The certificates that an authority has revoked, as a CRL in DER",
        reply=bytes,
        reply_headers=("ETag", "Last-Modified"),
        produces=(REVOCATION_LIST,),
        guarded=True,
    ),
)
