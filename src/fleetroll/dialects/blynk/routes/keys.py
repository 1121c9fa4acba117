"""The row that makes a client."""

from fleetroll.dialects.blynk.mapping import keys as mapping
from fleetroll.dialects.blynk.routes.parameters import ORG, row
from fleetroll.dialects.blynk.shapes import keys as shapes
from fleetroll.service import keys

ROUTES = (
    row(
        "POST",
        "/oauth/clients/create",
        keys.create_client,
        mapping.new_client,
        mapping.client,
        "Create an OAuth client with the caller's permissions",
        *ORG,
        status=201,
        body=shapes.NewClient,
        reply=shapes.Client,
        secret=True,
    ),
)
