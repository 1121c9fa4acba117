"""Every route against everybody: each gets what the access table says, and whoever is refused has changed nothing.

The matrix is built from the route tables, so a new route fails here until somebody has written down who may use it.
There is no switch that updates the table or lengthens the list of open paths; both are edited by hand, and reviewed.
"""

import pytest

from fleetroll.application import DIALECTS
from fleetroll.core.secrets import Issuer
from fleetroll.wire.dialect import Dialect, Route
from fleetroll.wire.system_pages import OPEN_PATHS
from tests.access.table import ACCEPTED, ANYBODY, MARK, OUTSIDERS, ROWS
from tests.access.world import ROLES, World, foreigners, insiders, intruders, outsiders, row_of, underprivileged
from tests.support.app import Response
from tests.support.principals import SCOPES
from tests.support.quiet import assert_quiet
from tests.support.raw import Raw, assert_refused, send, send_all
from tests.support.state import State

# May only shrink: these answer anybody, and hold nothing of any tenant's.
OPEN = {"/", "/health", "/ready", "/metrics", "/openapi.json", "/docs"}
FEWEST_CELLS = 5_000
# May only shrink: whoever asks here is nobody yet, and a key makes no difference. See `test_enrollees`.
UNKEYED = {
    f"{method} {place}{label}/{verb}"
    for place in ("/.well-known/est", "/api/dmsmanager/.well-known/est")
    for label in ("/{aps}", "")
    for method, verbs in {"GET": ("cacerts", "crl"), "POST": ("simpleenroll", "simplereenroll", "serverkeygen")}.items()
    for verb in verbs
}


def takes(dialect: Dialect, issuer: Issuer) -> bool:
    return any(form.issuer is issuer for form in dialect.credentials)


# Those of a device and its own token are in `test_device_tokens`, those of a project key in `test_project_keys`.
ROUTES = [
    (dialect, route)
    for dialect in DIALECTS
    for route in dialect.routes
    if f"{route.method} {route.path}" not in UNKEYED
    and not any(takes(dialect, issuer) for issuer in (Issuer.DEVICE, Issuer.PROJECT))
]
NAMES = [f"{route.method} {route.path}" for _, route in ROUTES]


# --- the matrix ------------------------------------------------------------------------------------------------------


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert set(ROWS) == set(NAMES)


def test_every_dialect_says_what_outsiders_get_and_how_keys_are_carried() -> None:
    assert set(OUTSIDERS) == set(ACCEPTED) == {dialect.name for dialect, _ in ROUTES}


def test_the_rows_name_roles_that_exist_and_every_scope() -> None:
    assert {row.least for row in ROWS.values()} <= {*ROLES, "root"}
    assert {row.scope for row in ROWS.values()} == {*SCOPES, ANYBODY}


@pytest.mark.parametrize(("dialect", "route"), ROUTES, ids=NAMES)
def test_who_may_not_use_a_route_is_told_so_and_changes_nothing(
    dialect: Dialect, route: Route, world: World, state: State
) -> None:
    row = row_of(route)
    refused = [*outsiders(world, dialect), *underprivileged(world, dialect, row), *intruders(world, dialect)]
    allowed, parts = next(insiders(world, dialect, row)), world.sample(row)
    before = state.all()
    for caller in refused:
        response = send(world.app, world.request(route, row, parts, caller))
        assert response.status == caller.status, (caller.name, response)
        assert_refusal(dialect, response)
        assert state.all() == before, caller.name
    # The very request that was refused succeeds for who may make it, so no refusal above was an accident.
    assert send(world.app, world.request(route, row, parts, allowed)).status == row.done
    assert (state.all() == before) == (row.reads or row.done >= 400)


@pytest.mark.parametrize(("dialect", "route"), ROUTES, ids=NAMES)
def test_another_tenants_records_are_not_there(dialect: Dialect, route: Route, world: World, state: State) -> None:
    row = row_of(route)
    callers, parts = list(foreigners(world, dialect, row)), world.sample(row)
    own, before = state.of(world.own.number), state.all()
    assert row.needs == "nothing" or MARK in repr(own)
    responses = send_all(world.app, [world.request(route, row, parts, caller) for caller in callers])
    for caller, response in zip(callers, responses, strict=True):
        assert response.status == caller.status, (caller.name, response)
        assert row.least == "root" or MARK.encode() not in response.body, caller.name
        if response.status >= 400:
            assert_refusal(dialect, response)
    assert state.of(world.own.number) == own
    assert state.all() == before or row.foreign < 400


@pytest.mark.parametrize(("dialect", "route"), ROUTES, ids=NAMES)
def test_who_may_use_a_route_can(dialect: Dialect, route: Route, world: World) -> None:
    row = row_of(route)
    callers = list(insiders(world, dialect, row))
    samples = [world.sample(row)] * len(callers) if row.reads else [world.sample(row) for _ in callers]
    requests = [world.request(route, row, parts, caller) for caller, parts in zip(callers, samples, strict=True)]
    for caller, response in zip(callers, send_all(world.app, requests), strict=True):
        assert response.status == row.done, (caller.name, response)


def test_the_matrix_is_large_enough_to_mean_something(world: World) -> None:
    cells = 0
    for dialect, route in ROUTES:
        row = row_of(route)
        groups = (underprivileged, foreigners, insiders)
        cells += sum(len(list(group(world, dialect, row))) for group in groups)
        cells += len(list(outsiders(world, dialect))) + len(list(intruders(world, dialect)))
    assert cells >= FEWEST_CELLS


# --- what needs no key -----------------------------------------------------------------------------------------------


def test_only_the_listed_paths_need_no_key() -> None:
    assert OPEN_PATHS == OPEN


@pytest.mark.parametrize("path", sorted(OPEN))
def test_an_open_path_shows_nothing_of_any_tenant(path: str, world: World) -> None:
    world.sample(ROWS["GET /v1/devices/{ident}"])
    assert send(world.app, Raw("GET", path.encode())).status == (302 if path == "/" else 200)
    assert MARK.encode() not in send(world.app, Raw("GET", path.encode())).body


@pytest.mark.parametrize("path", sorted(OPEN))
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_an_open_path_is_only_for_reading(path: str, method: str, world: World, state: State) -> None:
    before = state.all()
    assert 400 <= send(world.app, Raw(method, path.encode())).status < 500
    assert state.all() == before


def assert_refusal(dialect: Dialect, response: Response) -> None:
    assert_refused(response, dialect, response.status)
    assert_quiet(response)
    if response.status == 401:
        assert "www-authenticate" in response.headers
