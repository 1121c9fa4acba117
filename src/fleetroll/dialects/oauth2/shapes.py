"""The bodies of the token endpoint, as RFC 6749 spells them."""

from msgspec import Struct


class Tokens(Struct):
    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str | None


class Error(Struct):
    """`error` is one of the codes of RFC 6749, 5.2, or `server_error` and `temporarily_unavailable` of 4.1.2.1."""

    error: str
    error_description: str
