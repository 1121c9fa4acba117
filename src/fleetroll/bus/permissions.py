"""Who can reach what on the broker: the accounts as data. Nothing here is consulted at run time.

Accounts are isolated: a client sees its own account's subjects and no other's. All of the server's own (requests,
streams, presence) is in the *platform* account; other accounts import from it exactly what is theirs.

- A **device** has an account of its own. Whatever it subscribes to, it can only ever see what is meant for it; one
  account for many devices would share their inboxes, and with them the replies to everybody's requests. Its id is part
  of what its account imports, so it cannot speak as another device.
- The **applications** of an organization that have the same role and scopes share an account, with the stream of live
  data that the vendor's SDK reads. The account of those who may not send commands has no way to send any, and that of
  those who may not read devices is sent nothing that devices say.
- A device that speaks **MQTT** has such an account too, with streams of its own, which hold its sessions.

Platform subjects, with the names under which clients see them on the right:

    api.iot.devices.<org>.<operation>             the same; a device has only sdk.*
    accounts.user.get_http_token                  the same
    data.<org>.<env>.<family>.<device>.<name>     <org>.<env>.<family>.<device>.<name>
    live.<org>.<env>.<family>.<device>.<name>     the same, for applications, once the registry has it
    command.<org>.<env>.<device>.<name>           <org>.<env>.command.queue.<device>.<name>
    rpc.<org>.<env>.<device>.<name>               <org>.<env>.command.rpc.<device>.<name>
    call.<device>.<env>.<name>                    the same, at the device; it answers on
    answer.<device>.<token>                       the same
    consumer.<org>.<device>.<name>.<env>.<name>   $JS.API.CONSUMER.CREATE.<org>_command_queue.<name>.<filter>
    queue.<org>.<device>.<verb>.<name>            what else is asked of that consumer or its stream
    $JS.API.CONSUMER.MSG.NEXT.COMMANDS.<name>     $JS.API.CONSUMER.MSG.NEXT.<org>_command_queue.<name>; it is a secret
    $JS.ACK.COMMANDS.<name>.<numbers>             the same; so it is here
    account.<device>                              $JS.API.INFO
    deliver.<device>.<inbox>                      _INBOX.<inbox>
    presence.<org>.<env>.<device>                 import.<org>.<env>.presence.<device>
"""

from collections.abc import Iterable
from typing import Any, Final

from fleetroll.bus.keypairs import Kind, Pair, derive, token
from fleetroll.bus.port import Account, AppAccount, DeviceAccount
from fleetroll.core import limits, tokens

TELEMETRY: Final = "telemetry"
FAMILIES: Final = (TELEMETRY, "events", "logs")
INGEST, COMMANDS = "INGEST", "COMMANDS"  # of an organization: `ingest_stream`
_UNLIMITED: Final = -1
_MQTT_STREAMS: Final = 5  # those of the broker's own for sessions
# After any other time: whoever is revoked stays so even if a clock that ran ahead dated the credential in the future.
_WHENEVER: Final = 1 << 40

Claims = dict[str, Any]


class Authority:
    """The server's own key pairs: who signs accounts, and who may act for the server. Times are in Unix seconds."""

    def __init__(self, server_key: bytes) -> None:
        self._server_key = server_key
        self.operator = derive(Kind.OPERATOR, server_key, "operator")
        self.system = derive(Kind.ACCOUNT, server_key, "system")
        self.platform = derive(Kind.ACCOUNT, server_key, "platform")

    def apps(self, org: str, role: str, scopes: tuple[str, ...] = ()) -> Pair:
        """The pair of an organization's account for applications of a role and scopes; it signs their users."""
        return derive(Kind.ACCOUNT, self._server_key, " ".join(("apps", org, role, *scopes)))

    def consumer(self, name: str) -> str:
        """The name of a device's consumer on the platform: always the same, and nobody else can guess it."""
        return f"{name}_{tokens.derive(self._server_key, f'nats consumer {name}').hex()}"

    def operator_token(self, at: int) -> str:
        return token(
            {"type": "operator", "system_account": self.system.public},
            self.operator.public,
            "fleetroll",
            self.operator,
            at,
        )

    def system_token(self, at: int) -> str:
        return self._account(self.system.public, "system", _account([], []), at)

    def platform_token(self, at: int) -> str:
        return self._account(
            self.platform.public, "platform", _account([], _EXPORTS, consumers=limits.BUS_CONSUMERS), at
        )

    def public(self, account: Account) -> str:
        """The name of an account on the broker."""
        if isinstance(account, DeviceAccount):
            return account.public
        return self.apps(account.org, account.role, account.scopes).public

    def account_token(self, account: Account, at: int, nonce: bytes) -> str:
        """The token that says what an account is, to be published with another nonce each time.

        The broker ignores a token that it has had before, even if it was told since to forget the account.
        """
        name, claims = self._device(account) if isinstance(account, DeviceAccount) else self._app(account)
        return token(claims, self.public(account), f"{account.org} {name}", self.operator, at, nonce=nonce)

    def _device(self, account: DeviceAccount) -> tuple[str, Claims]:
        imports = [_imported(self.platform.public, *row) for row in _device_imports(account)]
        if account.mqtt:
            claims = _account(imports, [], consumers=_UNLIMITED) | {"default_permissions": _mqtt_permissions(account)}
            claims["limits"] |= {"disk_storage": limits.BUS_MQTT_BYTES, "streams": _MQTT_STREAMS}
        else:
            claims = _account(imports, [], mappings=_device_mappings(account))
        # No device may take all of the broker.
        claims["limits"] |= {"conn": limits.BUS_DEVICE_CONNECTIONS, "subs": limits.BUS_DEVICE_SUBSCRIPTIONS}
        return account.device, claims

    def _app(self, account: AppAccount) -> tuple[str, Claims]:
        imports = [_imported(self.platform.public, *row) for row in _app_imports(account)]
        claims = _account(imports, [], consumers=limits.BUS_FOLLOWERS)
        claims["limits"]["subs"] = limits.BUS_APP_SUBSCRIPTIONS
        claims["revocations"] = _revocations(account)
        return account.role, claims

    def deletion(self, accounts: list[str], at: int) -> str:
        """The token that makes the broker forget these accounts, and close their connections."""
        return token({"type": "generic", "accounts": accounts}, self.operator.public, "deletion", self.operator, at)

    def _account(self, public: str, name: str, claims: Claims, at: int) -> str:
        return token(claims, public, name, self.operator, at)


def _revocations(account: AppAccount) -> dict[str, int]:
    """Who is let in no more, each with the time up to which their tokens were made; `*` is everybody."""
    if account.disabled:
        return {"*": _WHENEVER}
    everybody = {"*": account.revoked_until} if account.revoked_until else {}
    return everybody | dict.fromkeys(sorted(account.revoked), _WHENEVER)


def user_token(
    account: Pair, user: str, name: str, at: int, claims: Claims | None = None, expiry: int | None = None
) -> str:
    """A user of an account. `claims` narrows its permissions, or holds what its client looks for."""
    unlimited = {"subs": _UNLIMITED, "data": _UNLIMITED, "payload": _UNLIMITED}
    rights = {"pub": {}, "sub": {}, **unlimited, "type": "user", **(claims or {})}
    return token(rights, user, name, account, at, expiry)


def app_permissions(org: str, *, commands: bool) -> Claims:
    """The permissions that an application needs for both of the vendor's SDKs, and no more."""
    stream = f"{org}_stream"
    publish = [
        f"api.iot.*.{org}.>",  # where nobody serves it, the broker says so at once
        "accounts.user.get_http_token",
        "$JS.API.INFO",
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.STREAM.INFO.KV_{org}",
        f"$JS.API.CONSUMER.CREATE.{stream}.>",
        *(f"$JS.API.CONSUMER.{verb}.{stream}.*" for verb in ("INFO", "DELETE", "MSG.NEXT")),
        f"$JS.ACK.{stream}.>",
    ]
    if commands:
        publish += [f"{org}.*.command.queue.*.*", f"{org}.*.command.rpc.*.*"]
    subscribe = ["_INBOX.>", *(f"{org}.*.{family}.>" for family in FAMILIES), f"import.{org}.>"]
    return {"pub": {"allow": publish}, "sub": {"allow": subscribe}}


def ingest_stream(org: str) -> str:
    """The name of the stream that takes what an organization's devices publish."""
    return f"{INGEST}_{org}"


def ingest_subjects(orgs: Iterable[str]) -> list[str]:
    """All that devices of these organizations publish. One subject for each: the broker compares all with all."""
    return [f"data.{org}.*.*.*.*" for org in orgs]


def live_subject(org: str, env: str, family: str, device: str, name: str) -> str:
    """Where the organization's applications are told of what a device has said and the registry has stored."""
    return f"live.{org}.{env}.{family}.{device}.{name}"


def stream_subjects(org: str) -> list[str]:
    """What an organization's stream of live data holds."""
    return [*(f"{org}.*.{family}.*.*" for family in FAMILIES), f"import.{org}.*.presence.*"]


# --- rows ------------------------------------------------------------------------------------------------------------

_Row = tuple[str, str, str]
"""An import: whether it is a `service` or a `stream`, the platform's subject, and the name in the importing account."""


def _device_imports(account: DeviceAccount) -> list[_Row]:
    org, device = account.org, account.device
    return [
        ("service", f"api.iot.devices.{org}.sdk.>", ""),
        *(
            ("service", f"data.{org}.*.{family}.{device}.*", f"{org}.$1.{family}.{device}.$2")
            for family in FAMILIES
        ),
        ("service", f"consumer.{org}.{device}.*.*.*", ""),
        ("service", f"queue.{org}.{device}.*.*", ""),
        ("service", _NEXT, "next.$1"),
        ("service", f"$JS.ACK.{COMMANDS}.>", ""),
        ("service", f"answer.{device}.*", ""),
        ("service", f"account.{device}", ""),
        ("stream", f"deliver.{device}.*", "_INBOX.$1"),
        ("stream", f"call.{device}.*.*", f"{org}.$1.command.rpc.{device}.$2"),
    ]  # fmt: skip


def _device_mappings(account: DeviceAccount) -> dict[str, str]:
    # An import cannot replace the broker's own API, which every account has; a mapping comes before it.
    org, device = account.org, account.device
    stream = f"{org}_command_queue"
    create = f"$JS.API.CONSUMER.CREATE.{stream}.*.{org}.*.command.queue.{device}.*"
    return {
        create: f"consumer.{org}.{device}.$1.$2.$3",
        **{f"$JS.API.CONSUMER.{verb}.{stream}.*": f"queue.{org}.{device}.{word}.$1" for verb, word in _VERBS.items()},
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*": "next.$1",
        f"$JS.API.STREAM.INFO.{stream}": f"queue.{org}.{device}.stream.any",
        "$JS.API.INFO": f"account.{device}",
    }


_VERBS: Final = {"INFO": "info", "DELETE": "delete"}
_NEXT: Final = f"$JS.API.CONSUMER.MSG.NEXT.{COMMANDS}.*"


def _app_imports(account: AppAccount) -> list[_Row]:
    org = account.org
    rows = [("service", f"api.iot.devices.{org}.>", ""), ("service", "accounts.user.get_http_token", "")]
    if account.follows:
        rows += [
            *(("stream", f"live.{org}.*.{family}.*.*", f"{org}.$1.{family}.$2.$3") for family in FAMILIES),
            ("stream", f"presence.{org}.*.*", f"import.{org}.$1.presence.$2"),
        ]
    if account.commands:
        rows += [
            ("service", f"command.{org}.*.*.*", f"{org}.$1.command.queue.$2.$3"),
            ("service", f"rpc.{org}.*.*.*", f"{org}.$1.command.rpc.$2.$3"),
        ]
    return rows


def _mqtt_permissions(account: DeviceAccount) -> Claims:
    """To report, and no more: its sessions are streams of its account, so the account also has the stream API."""
    own = [f"{account.org}.*.{family}.{account.device}.*" for family in FAMILIES]
    return {"pub": {"allow": own}, "sub": {"deny": [">"]}}


def _exported(type: str, subject: str) -> Claims:
    return {"name": subject, "subject": subject, "type": type}


_EXPORTS: Final = [
    _exported("service", "api.iot.devices.*.>"),
    _exported("service", "accounts.user.get_http_token"),
    _exported("service", "data.*.*.*.*.*"),
    _exported("service", "consumer.*.*.*.*.*"),
    _exported("service", "queue.*.*.*.*"),
    {**_exported("service", _NEXT), "response_type": "Stream"},  # many messages may be asked for at once
    _exported("service", f"$JS.ACK.{COMMANDS}.>"),
    _exported("service", "answer.*.*"),
    _exported("service", "account.*"),
    _exported("service", "command.*.*.*.*"),
    _exported("service", "rpc.*.*.*.*"),
    _exported("stream", "live.*.*.*.*.*"),
    _exported("stream", "deliver.*.*"),
    _exported("stream", "call.*.*.*"),
    _exported("stream", "presence.*.*.*"),
]


def _imported(platform: str, type: str, subject: str, local: str) -> Claims:
    row = {"name": subject, "subject": subject, "account": platform, "type": type}
    if local:
        row["local_subject"] = local
    if subject.startswith(("api.", "accounts.")):
        row["share"] = True  # type: ignore[assignment]  # the request then says which user asks
    return row


def _account(
    imports: list[Claims],
    exports: list[Claims],
    *,
    consumers: int | None = None,
    mappings: dict[str, str] | None = None,
) -> Claims:
    """An account. With `consumers` it may have streams, each with so many: by default the broker allows a thousand."""
    many = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), _UNLIMITED)
    stored = dict.fromkeys(("mem_storage", "disk_storage", "streams"), _UNLIMITED) | {"consumer": consumers}
    return {
        "type": "account",
        "imports": imports,
        "exports": exports,
        "limits": {**many, "wildcards": True, **({} if consumers is None else stored)},
        "default_permissions": {"pub": {}, "sub": {}},
        "mappings": {origin: [{"subject": to, "weight": 100}] for origin, to in (mappings or {}).items()},
    }
