"""Which accounts the broker should have: one for each credential of a device, one for the keys of a role and scopes."""

from collections.abc import Collection, Sequence

from fleetroll.bus.port import Account, AppAccount, Bus, Change, DeviceAccount
from fleetroll.core import limits, policy
from fleetroll.core.ids import broker_org, parse_broker_group, parse_broker_org
from fleetroll.core.model import Credential, Instant, Protocol
from fleetroll.core.policy import Action, Role
from fleetroll.core.times import DAY, SECOND
from fleetroll.service.keyring import is_enabled
from fleetroll.service.portions import portions
from fleetroll.store.port import AccountChange, KeyGroup, KeyUser, Records, Store

_ROLES = {role.value: role for role in policy.GRANTABLE}


async def accounts(records: Records, at: Instant) -> list[Account]:
    """All of them."""
    enabled = _EnabledOrganizations(records)
    groups = await records.keys.groups_of_users()
    alike = dict.fromkeys((*groups, *(KeyGroup(group.org, group.role, ()) for group in groups)))
    apps = [await _apps(records, enabled, at, *group) for group in alike]
    found: list[Account] = [*apps]
    async for some in portions(records.credentials.all, lambda last: last.id, 0):
        found += [_account(one) for one in some if await enabled.has(one.org)]
    return found


async def changes(records: Records, bus: Bus, at: Instant) -> list[Change]:
    """The next accounts that the broker is to be told of, each as it is by now."""
    enabled = _EnabledOrganizations(records)
    return [
        await _change(records, enabled, bus, at, change)
        for change in await records.credentials.changes(0, limits.BUS_CHANGES)
    ]


async def publishing(records: Records, orgs: Collection[str]) -> set[str]:
    """Those of these organizations that have a credential for a device."""
    numbers = {org: number for org in orgs if (number := parse_broker_org(org)) is not None}
    return {org for org, number in numbers.items() if await records.credentials.has_any(number)}


async def forget(store: Store) -> None:
    """Drop what a broker would be told, if there is none: a later one is told of all accounts when it is met."""

    async def work(records: Records) -> bool:
        found = await records.credentials.changes(0, limits.BUS_CHANGES)
        await records.credentials.settle([one.number for one in found])
        return bool(found)

    while await store.write(work, bulk=True):
        pass


async def _change(
    records: Records, enabled: "_EnabledOrganizations", bus: Bus, at: Instant, change: AccountChange
) -> Change:
    name, scopes = parse_broker_group(change.account)
    if role := _ROLES.get(name):
        public = bus.account_of_apps(broker_org(change.org), role.value, scopes)
        is_there = await records.organizations.get(change.org) is not None
        apps = await _apps(records, enabled, at, change.org, role, scopes) if is_there else None
        return Change(change.number, broker_org(change.org), public, apps)
    credential = await records.credentials.of_account(change.account)
    is_there = credential is not None and await enabled.has(credential.org)
    account = _account(credential) if credential and is_there else None
    return Change(change.number, broker_org(change.org), change.account, account)


class _EnabledOrganizations:
    """Which organizations are enabled, each looked up once."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._known: dict[int, bool] = {}

    async def has(self, org: int) -> bool:
        if org not in self._known:
            found = await self._records.organizations.get(org)
            self._known[org] = found is not None and await is_enabled(self._records, found)
        return self._known[org]


def _account(credential: Credential) -> DeviceAccount:
    mqtt = credential.kind is Protocol.MQTT
    return DeviceAccount(credential.account, broker_org(credential.org), credential.public_id, mqtt)


async def _apps(
    records: Records, enabled: _EnabledOrganizations, at: Instant, org: int, role: Role, scopes: tuple[str, ...] = ()
) -> AppAccount:
    """The account of a role and scopes, with all revoked users of the role: that without scopes once had all."""
    revoked, until = _revoked(await records.keys.users(org, role), at)
    may_command, may_follow = (policy.allows(role, scopes, one) for one in (Action.DEVICES_WRITE, Action.DEVICES_READ))
    disabled = not await enabled.has(org)
    return AppAccount(broker_org(org), role.value, may_command, revoked, disabled, scopes, may_follow, until)


def _revoked(users: Sequence[KeyUser], at: Instant) -> tuple[frozenset[str], int]:
    """Whom an account refuses by name, and a second: whoever was made up to then is refused as well; 0 for nobody.

    An account that named everybody who was ever revoked would become too long. So it names nobody who was made well
    before `first`, the first of those who are still let in, and refuses all who were made so early. The server itself
    is one of those let in, made at any time from now on: even if a clock that ran ahead made all keys, `first` is not
    in the future. Two clocks tell when a key was made, that of its token and that of its record, so there is a day
    between what is refused and `first`, and another for those who are named.
    """
    ended = [one for one in users if one.revoked_at is not None]
    valid = [one.created_at for one in users if one.revoked_at is None]
    first = min(at, min(valid) if valid else max((one.created_at for one in ended), default=at))
    named = frozenset(one.user for one in ended if one.created_at >= first - 2 * DAY)
    return named, (first - DAY) // SECOND if len(named) < len(ended) else 0
