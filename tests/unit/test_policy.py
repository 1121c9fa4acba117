"""Who may do what: the whole table of roles and actions, scopes on top of it, and handing roles out."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleetroll.core import policy
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.policy import Action, Role

V, O, A = Role.VIEWER, Role.OPERATOR, Role.ADMIN  # noqa: E741  # a column of the table below
ANY = "key:self"
OWN = {"devices:check_in": Role.PROJECT, "device:self": Role.DEVICE, "dms:enrol": Role.ENROLLEE}

# Written out a second time, so that a row changed by accident disagrees with something.
LEAST = {
    "devices:read": V,
    "devices:write": O,
    "devices:delete": O,
    "owners:read": V,
    "owners:write": O,
    "groups:read": V,
    "groups:write": O,
    "metadata_fields:read": V,
    "metadata_fields:write": A,
    "templates:read": V,
    "templates:write": A,
    "cohorts:read": V,
    "cohorts:write": O,
    "versions:read": V,
    "versions:write": O,
    "timeline:read": V,
    "tokens:issue": V,
    "organizations:read": V,
    "organizations:write": A,
    "keys:read": A,
    "keys:write": A,
    "dms:read": V,
    "dms:write": A,
    "certificates:read": V,
    "certificates:write": O,
    "server:backup": A,
}
RANK = [V, O, A]
ACTIONS = st.sampled_from(Action)
SCOPES = st.sets(st.sampled_from([action.value for action in Action]))


def test_the_table_below_names_every_action() -> None:
    assert {action.value for action in Action} == set(LEAST) | set(OWN) | {ANY}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action, ids=lambda action: action.value)
def test_a_role_reaches_what_it_and_the_roles_below_it_may_do(role: Role, action: Action) -> None:
    if role in RANK and action.value in LEAST:
        assert policy.allows(role, (), action) == (RANK.index(role) >= RANK.index(LEAST[action.value]))
    elif action.value == ANY:
        assert policy.allows(role, (), action) == (role in RANK)
    else:
        assert policy.allows(role, (), action) == (OWN.get(action.value) is role)


@given(ACTIONS, SCOPES, st.sampled_from(Role))
@example(Action.KEY_SELF, {"devices:read"}, Role.VIEWER)
def test_scopes_only_ever_take_away(action: Action, scopes: set[str], role: Role) -> None:
    narrowed = policy.allows(role, scopes, action)
    assert narrowed == (policy.allows(role, (), action) and (not scopes or action.value in {*scopes, ANY}))


@given(ACTIONS, SCOPES, st.sampled_from(Role))
def test_what_is_not_allowed_is_refused_as_forbidden(action: Action, scopes: set[str], role: Role) -> None:
    if policy.allows(role, scopes, action):
        policy.require(role, scopes, action)
        return
    with pytest.raises(Fault) as refused:
        policy.require(role, scopes, action)
    assert (refused.value.kind, refused.value.code) == (Kind.FORBIDDEN, "permission_denied")


def test_a_scope_that_no_role_of_the_key_reaches_gives_nothing() -> None:
    assert not policy.allows(Role.VIEWER, ("keys:write",), Action.KEYS_WRITE)


@pytest.mark.parametrize("role", RANK)
def test_a_role_hands_out_itself_and_what_is_below_it(role: Role) -> None:
    assert [other for other in RANK if policy.outranks(role, other)] == RANK[: RANK.index(role) + 1]


@pytest.mark.parametrize("role", OWN.values())
@pytest.mark.parametrize("other", Role)
def test_nobody_hands_out_what_devices_and_projects_have(role: Role, other: Role) -> None:
    assert not policy.outranks(role, other)
    assert not policy.outranks(other, role)


@given(st.lists(st.sampled_from(sorted(LEAST))))
def test_scopes_are_kept_sorted_and_each_once(scopes: list[str]) -> None:
    assert policy.parse_scopes(scopes) == tuple(sorted(set(scopes)))


@pytest.mark.parametrize(
    "scope", ["", "*", *OWN, ANY, "devices", "devices:*", "DEVICES:READ", "devices:read ", "admin"]
)
def test_a_word_that_is_no_scope_is_refused(scope: str) -> None:
    with pytest.raises(Fault) as refused:
        policy.parse_scopes(["devices:read", scope])
    assert (refused.value.kind, refused.value.code, refused.value.field) == (Kind.INVALID, "unknown_scope", "scopes")
