"""Credentials for the broker, signed without asking it."""

import secrets
from collections.abc import Callable
from typing import Any

from fleetroll.bus import settings
from fleetroll.bus.keypairs import Kind, Pair
from fleetroll.bus.permissions import Authority, app_permissions, user_token
from fleetroll.bus.port import Minted
from fleetroll.core.times import SECOND


class Mint:
    """Makes credentials. Needs no broker: any broker that trusts the operator accepts what it signs."""

    def __init__(self, authority: Authority, seconds: Callable[[], int]) -> None:
        self._authority = authority
        self._seconds = seconds

    def setup(self) -> str:
        return settings.render(settings.trust(self._authority, self._seconds()))

    def mint_device(self, org: str, device: str, *, mqtt: bool = False) -> Minted:
        account = Pair(Kind.ACCOUNT, secrets.token_bytes(32))
        password = {"bearer_token": True, "allowed_connection_types": ["MQTT"]} if mqtt else {}
        return self._mint(account, device, {"org_data": {"org_id": org, "api_key_id": device}, **password})

    def mint_app(
        self, org: str, role: str, scopes: tuple[str, ...] = (), *, commands: bool, until: int | None = None
    ) -> Minted:
        claims = {"org_data": {"org_id": org}, **app_permissions(org, commands=commands)}
        return self._mint(self._authority.apps(org, role, scopes), org, claims, until)

    def account_of_apps(self, org: str, role: str, scopes: tuple[str, ...] = ()) -> str:
        return self._authority.apps(org, role, scopes).public

    def _mint(self, account: Pair, name: str, claims: dict[str, Any], until: int | None = None) -> Minted:
        user = Pair(Kind.USER, secrets.token_bytes(32))
        if "api_key_id" not in claims["org_data"]:
            claims["org_data"]["api_key_id"] = user.public
        expiry = None if until is None else until // SECOND
        api_key = user_token(account, user.public, name, self._seconds(), claims, expiry)
        return Minted(account.public, user.public, api_key, user.seed)
