"""Rows about what a device shows to prove who it is."""

from fleetroll.dialects.native.mapping import credentials as mapping
from fleetroll.dialects.native.mapping.devices import one_device
from fleetroll.dialects.native.shapes import credentials as shapes
from fleetroll.service import credentials
from fleetroll.wire.dialect import Route, nothing

ROUTES = (
    Route(
        "POST",
        "/v1/devices/{ident}/credentials",
        credentials.issue,
        mapping.new_credential,
        mapping.issued_credential,
        "Create another credential for the broker, of kind nats or mqtt; it is shown only once",
        status=201,
        body=shapes.NewCredential,
        reply=shapes.Credential,
        idempotent=True,
        secret=True,
    ),
    Route(
        "DELETE",
        "/v1/devices/{ident}/credentials/{id}",
        credentials.revoke,
        mapping.one_credential,
        nothing,
        "Revoke a credential and close its connections",
        status=204,
    ),
    Route(
        "GET",
        "/v1/devices/{ident}/credentials",
        credentials.get,
        one_device,
        mapping.credentials_of,
        "The credentials of a device, and its token if the key may write devices",
        reply=shapes.Credentials,
        secret=True,
    ),
    Route(
        "POST",
        "/v1/devices/{ident}:rotate-credentials",
        credentials.rotate,
        one_device,
        mapping.credentials_of,
        "Replace the derived credentials of a device, and show the new ones",
        reply=shapes.Credentials,
        idempotent=True,
        secret=True,
        guarded=True,
    ),
)
