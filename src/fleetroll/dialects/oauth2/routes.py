"""The table of the OAuth2 token endpoint, which the Blynk API shares with stock OAuth2 clients."""

from fleetroll.dialects.oauth2 import mapping, shapes
from fleetroll.dialects.oauth2.envelope import ENVELOPE
from fleetroll.service import tokens
from fleetroll.wire.dialect import CLIENT_BASIC, CLIENT_PARAMETERS, Dialect, Parameter, Route

_TOKEN = Route(
    "POST",
    "/oauth2/token",
    tokens.issue,
    mapping.wanted,
    mapping.issued,
    "Get an access token for a client's id and secret, or for a refresh token, which can be used once",
    reply=shapes.Tokens,
    query=(
        Parameter("grant_type", "client_credentials or refresh_token"),
        Parameter("refresh_token", "the refresh token, for grant_type refresh_token"),
        Parameter("client_id", "unless it is sent as HTTP Basic"),
        Parameter("client_secret", "unless it is sent as HTTP Basic"),
    ),
    secret=True,
    form=True,
)

DIALECT = Dialect(
    name="oauth2",
    title="OAuth2",
    prefixes=("/oauth2/",),
    routes=(_TOKEN,),
    envelope=ENVELOPE,
    credentials=(CLIENT_BASIC, CLIENT_PARAMETERS),
    part_of="blynk",
)
