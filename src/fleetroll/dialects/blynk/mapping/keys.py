"""OAuth2 clients, which get tokens by their secret."""

from fleetroll.core import names
from fleetroll.dialects.blynk.mapping.parameters import home
from fleetroll.dialects.blynk.shapes import keys as shapes
from fleetroll.service import keys
from fleetroll.wire.request import Request


def new_client(request: Request) -> keys.NewClient:
    return keys.NewClient(names.line(request.body.name, "name"), home(request))


def client(result: keys.Issued, request: Request) -> shapes.Client:
    client_id, secret = result.client
    return shapes.Client(result.key.org, result.key.name, client_id, secret, [])
