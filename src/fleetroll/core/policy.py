"""Who may do what: roles, actions and the table between them.

An action's value is also the scope that a key may be narrowed to. Authorization is one look-up, and no rule is
elsewhere.
"""

import enum
from collections.abc import Collection

from fleetroll.core.faults import Fault, Kind, brief, invalid


class Role(enum.Enum):
    """Of the roles of API keys, each includes the ones before it.

    A project key lets any device of one organization report; a device's own credential reaches that device alone. An
    enrollee is anybody who calls a DMS, which asks for proof of its own.
    """

    __hash__ = object.__hash__  # members are singletons; Enum's own hash is a Python call, taken at every request

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    PROJECT = "project"
    DEVICE = "device"
    ENROLLEE = "enrollee"


class Action(enum.Enum):
    """Everything that needs permission. The value is the scope of the same name."""

    __hash__ = object.__hash__  # as above

    DEVICES_READ = "devices:read"
    DEVICES_WRITE = "devices:write"
    DEVICES_DELETE = "devices:delete"
    OWNERS_READ = "owners:read"
    OWNERS_WRITE = "owners:write"
    GROUPS_READ = "groups:read"
    GROUPS_WRITE = "groups:write"
    FIELDS_READ = "metadata_fields:read"
    FIELDS_WRITE = "metadata_fields:write"
    TEMPLATES_READ = "templates:read"
    TEMPLATES_WRITE = "templates:write"
    COHORTS_READ = "cohorts:read"
    COHORTS_WRITE = "cohorts:write"
    VERSIONS_READ = "versions:read"
    VERSIONS_WRITE = "versions:write"
    TIMELINE_READ = "timeline:read"
    TOKENS_ISSUE = "tokens:issue"
    ORGANIZATIONS_READ = "organizations:read"
    ORGANIZATIONS_WRITE = "organizations:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    DMS_READ = "dms:read"
    DMS_WRITE = "dms:write"
    CERTIFICATES_READ = "certificates:read"
    CERTIFICATES_WRITE = "certificates:write"
    SERVER_BACKUP = "server:backup"
    KEY_SELF = "key:self"
    CHECK_IN = "devices:check_in"
    SELF = "device:self"
    ENROL = "dms:enrol"


MINIMUM_ROLE: dict[Action, Role] = {
    Action.DEVICES_READ: Role.VIEWER,
    Action.DEVICES_WRITE: Role.OPERATOR,
    Action.DEVICES_DELETE: Role.OPERATOR,
    Action.OWNERS_READ: Role.VIEWER,
    Action.OWNERS_WRITE: Role.OPERATOR,
    Action.GROUPS_READ: Role.VIEWER,
    Action.GROUPS_WRITE: Role.OPERATOR,
    Action.FIELDS_READ: Role.VIEWER,
    Action.FIELDS_WRITE: Role.ADMIN,
    Action.TEMPLATES_READ: Role.VIEWER,
    Action.TEMPLATES_WRITE: Role.ADMIN,
    Action.COHORTS_READ: Role.VIEWER,
    Action.COHORTS_WRITE: Role.OPERATOR,
    Action.VERSIONS_READ: Role.VIEWER,
    Action.VERSIONS_WRITE: Role.OPERATOR,
    Action.TIMELINE_READ: Role.VIEWER,
    Action.TOKENS_ISSUE: Role.VIEWER,
    Action.ORGANIZATIONS_READ: Role.VIEWER,
    Action.ORGANIZATIONS_WRITE: Role.ADMIN,
    Action.KEYS_READ: Role.ADMIN,
    Action.KEYS_WRITE: Role.ADMIN,
    Action.DMS_READ: Role.VIEWER,
    Action.DMS_WRITE: Role.ADMIN,
    Action.CERTIFICATES_READ: Role.VIEWER,
    Action.CERTIFICATES_WRITE: Role.OPERATOR,
    Action.SERVER_BACKUP: Role.ADMIN,
}

OWN_ACTIONS: dict[Role, frozenset[Action]] = {
    Role.PROJECT: frozenset({Action.CHECK_IN}),
    Role.DEVICE: frozenset({Action.SELF}),
    Role.ENROLLEE: frozenset({Action.ENROL}),
}
"""What the credentials of projects, devices and enrollees are for; no API key has any of it."""

UNSCOPED = frozenset({Action.KEY_SELF})
"""What every API key may do, and no scope takes away: ask whose it is."""

VISITING = (Action.DEVICES_READ.value,)
"""The scopes of an access token that was given out over the broker, for histories over HTTP."""

GRANTABLE = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
"""The roles of API keys, the least powerful first."""

_PLACED = set(MINIMUM_ROLE).union(UNSCOPED, *OWN_ACTIONS.values())
if unplaced := set(Action) - _PLACED:
    raise AssertionError(f"actions without a role: {unplaced}")

_RANK = {role: rank for rank, role in enumerate(GRANTABLE)}
_ALLOWED = OWN_ACTIONS | {
    role: UNSCOPED.union(action for action, least in MINIMUM_ROLE.items() if _RANK[role] >= _RANK[least])
    for role in GRANTABLE
}


def allows(role: Role, scopes: Collection[str], action: Action) -> bool:
    """True if `role` reaches `action` and the scopes, where there are any, name it or cannot take it away."""
    return action in _ALLOWED[role] and (not scopes or action in UNSCOPED or action.value in scopes)


def require(role: Role, scopes: Collection[str], action: Action) -> None:
    """Raises Fault forbidden where `allows` is false."""
    if not allows(role, scopes, action):
        raise Fault(Kind.FORBIDDEN, "permission_denied", f"This key does not have permission for {action.value}.")


def parse_scopes(scopes: Collection[str]) -> tuple[str, ...]:
    """The scopes, sorted and without repeats. Raises Fault invalid `unknown_scope`."""
    actions = {action.value for action in MINIMUM_ROLE}
    for scope in scopes:
        if scope not in actions:
            message = f"Unknown scope {brief(scope)}; known scopes are {', '.join(sorted(actions))}."
            raise invalid("unknown_scope", message, "scopes")
    return tuple(sorted(set(scopes)))


def outranks(role: Role, other: Role) -> bool:
    """True if `role` may hand out `other`: nobody makes a key stronger than their own."""
    return role in _RANK and other in _RANK and _RANK[role] >= _RANK[other]
