"""Rows about API keys, and the one of who the caller is."""

from fleetroll.dialects.native.mapping import keys as mapping
from fleetroll.dialects.native.routes.parameters import PAGE
from fleetroll.dialects.native.shapes import keys as shapes
from fleetroll.service import keys
from fleetroll.wire.dialect import Route, no_input, nothing

ROUTES = (
    Route(
        "POST",
        "/v1/keys",
        keys.create,
        mapping.new_key,
        mapping.issued,
        "Create an API key; its secret is shown only once",
        status=201,
        body=shapes.NewKey,
        reply=shapes.Key,
        reply_headers=("Location",),
        idempotent=True,
        secret=True,
    ),
    Route(
        "GET",
        "/v1/keys",
        keys.page,
        mapping.list_keys,
        mapping.key_page,
        "List keys",
        reply=shapes.KeyList,
        query=PAGE,
    ),
    Route("GET", "/v1/keys/{id}", keys.get, mapping.one_key, mapping.shown_key, "Read a key", reply=shapes.Key),
    Route(
        "DELETE",
        "/v1/keys/{id}",
        keys.revoke,
        mapping.one_key,
        nothing,
        "Revoke a key; the next request with it is refused",
        status=204,
    ),
    Route(
        "GET",
        "/v1/me",
        keys.caller,
        no_input,
        mapping.caller,
        "The presented key and its organization",
        reply=shapes.Caller,
    ),
)
