"""Translates between RFC 6749's parameters and operations' inputs and results. Pure; raises nothing but Fault."""

from fleetroll.core.faults import invalid
from fleetroll.dialects.oauth2 import shapes
from fleetroll.service import tokens
from fleetroll.wire.request import Request


def wanted(request: Request) -> tokens.Wanted:
    """What the grant asks for. Parameters that it does not need are ignored, as 3.2 asks of a server."""
    grant = request.query.get("grant_type")
    if grant == "client_credentials":
        return tokens.Wanted()
    if not grant:
        raise invalid("invalid_request", "grant_type is required.", "grant_type")
    if grant != "refresh_token":
        message = "grant_type must be client_credentials or refresh_token."
        raise invalid("unsupported_grant_type", message, "grant_type")
    refresh = request.query.get("refresh_token")
    if not refresh:
        raise invalid("invalid_request", "refresh_token is required.", "refresh_token")
    return tokens.Wanted(refresh)


def issued(result: tokens.Tokens, request: Request) -> shapes.Tokens:
    return shapes.Tokens(result.access, "Bearer", result.lifetime, result.refresh)
