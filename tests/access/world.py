"""A tenant with records, and everybody who asks for them: the columns of the access matrix."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from string import Template
from urllib.parse import quote

from msgspec import Struct

from fleetroll.wire.dialect import Dialect, Route
from tests.access.table import ACCEPTED, ANYBODY, OUTSIDERS, REACH_DOWN, ROWS, Row, sample
from tests.support.app import App
from tests.support.principals import ACTS_IN, FORMS, MALFORMED, SCOPES, Headers, Tenant, client, forged, misplaced
from tests.support.raw import Raw

ROLES = ("viewer", "operator", "admin")


class Caller(Struct, frozen=True):
    """One cell of the matrix: who asks, with which headers and query, and the status that the table gives them."""

    name: str
    headers: Headers
    status: int
    query: str = ""


class World:
    """A tenant whose records are asked for, and the others who ask."""

    def __init__(self, app: App, database: Path) -> None:
        self.app = app
        self.database = database
        self.root = Tenant(app, "self", 1)
        self.own, self.rival, self.closed = self.root.child("own"), self.root.child("rival"), self.root.child("closed")
        self.below_own, self.below_closed = self.own.child("below"), self.closed.child("below")
        self.names = (f"sample-{number}" for number in itertools.count())
        self.expired, self.revoked = self.own.expired(), self.own.revoked()
        shut_out = self.closed.key("admin"), self.below_closed.key("admin")
        assert app.request("PATCH", "/v1/organizations/closed", {"disabled": True}).status == 200
        self.disabled, self.orphaned = shut_out

    def request(self, route: Route, row: Row, parts: dict[str, str], caller: Caller) -> Raw:
        path = route.path
        for name, value in {"organization": "own", "project": "default", **parts}.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        shape = re.sub(r'"(\$n_\w+)"', r"\1", json.dumps(row.body))  # numbers, which stand without quotes
        body = b"" if row.body is None else Template(shape).substitute(parts).encode()
        headers = {"content-type": row.media_type, **caller.headers} if row.body is not None else caller.headers
        query = "&".join(filter(None, (Template(row.query).substitute(parts), caller.query)))
        target = f"{path}?{query}" if query else path
        encoded = tuple((name.encode(), value.encode("latin-1")) for name, value in headers.items())
        return Raw(route.method, target.encode(), encoded, (body,))

    def sample(self, row: Row) -> dict[str, str]:
        return sample(self.own, row.needs, next(self.names))


def row_of(route: Route) -> Row:
    return ROWS[f"{route.method} {route.path}"]


def outsiders(world: World, dialect: Dialect) -> Iterator[Caller]:
    """Those who may use no route: nobody, and everybody whose key is no good."""
    statuses, token = OUTSIDERS[dialect.name], world.own.key("admin")
    for name, headers in MALFORMED.items():
        yield Caller(name, headers, statuses["no key of anybody's"])
    for name, (headers, query) in misplaced(token).items():
        yield Caller(name, headers, statuses["misplaced"], query)
    for form in FORMS.keys() - ACCEPTED[dialect.name]:
        yield Caller(form, FORMS[form](token), statuses["in a form of another dialect"])
    bad = {f"forged: {name}": (wrong, "forged") for name, wrong in forged(token).items()} | {
        "expired": (world.expired, "expired"),
        "revoked": (world.revoked, "revoked"),
        "disabled": (world.disabled, "of a disabled organization"),
        "orphaned": (world.orphaned, "below a disabled organization"),
    }
    for (name, (wrong, kind)), form in itertools.product(bad.items(), ACCEPTED[dialect.name]):
        yield Caller(f"{name} by {form}", FORMS[form](wrong), statuses[kind])


def underprivileged(world: World, dialect: Dialect, row: Row) -> Iterator[Caller]:
    """Those of the same tenant who may do less."""
    for role in ROLES if row.least == "root" else ROLES[: ROLES.index(row.least)]:
        for form in ACCEPTED[dialect.name]:
            yield Caller(f"{role} by {form}", FORMS[form](world.own.key(role)), row.denied)
        yield Caller(
            f"{role} with the scope", present(dialect, world.own.key(role, frozenset({row.scope}))), row.denied
        )
    if row.least == "root":
        yield Caller("operator of the root", present(dialect, world.root.key("operator")), row.denied)
    if row.scope == ANYBODY:
        return
    lacking = world.own.key("admin", SCOPES - {row.scope})
    for form in ACCEPTED[dialect.name]:
        yield Caller(f"admin without the scope by {form}", FORMS[form](lacking), row.denied)


def intruders(world: World, dialect: Dialect) -> Iterator[Caller]:
    """Those who would act where they may not: above them, beside them, and nowhere."""
    if dialect.acts_in_header is None:
        return
    for tenant in (world.rival, world.below_own, world.own):
        for path in ("own", "rival", "default", "self.own", "nowhere", "", ".", "..", "*", "1", "\xe9"):
            yield Caller(f"{tenant.path} in {path!r}", FORMS["Bearer"](tenant.key("admin")) | {ACTS_IN: path}, 404)
    viewer = FORMS["Bearer"](world.root.key("viewer"))
    yield Caller("the parent's viewer in nowhere", viewer | {ACTS_IN: "nowhere"}, 404)


def foreigners(world: World, dialect: Dialect, row: Row) -> Iterator[Caller]:
    """Administrators of other organizations, for whom the tenant's records do not exist."""
    below = row.foreign if row.below is None else row.below
    for tenant, status in ((world.rival, row.foreign), (world.below_own, below)):
        yield Caller(f"admin of {tenant.path}", present(dialect, tenant.key("admin")), status)
    if dialect.name in REACH_DOWN:
        return  # there the parent is one of the insiders
    if any(route.organization for route in dialect.routes):
        return  # there the parent acts in the tenant that the path names, as it may
    above = row.done if row.least == "root" else row.foreign
    yield Caller("admin of the parent, as itself", present(dialect, world.root.key("admin")), above)


def insiders(world: World, dialect: Dialect, row: Row) -> Iterator[Caller]:
    """Everybody whom the table lets in, in every form."""
    tenant = world.root if row.least == "root" else world.own
    enough = ("admin",) if row.least == "root" else ROLES[ROLES.index(row.least) :]
    for form in ACCEPTED[dialect.name]:
        yield Caller(f"{enough[0]} by {form}", FORMS[form](tenant.key(enough[0])), row.done)
    for role in enough[1:]:
        yield Caller(role, present(dialect, tenant.key(role)), row.done)
    for scope in SCOPES if row.scope == ANYBODY else {row.scope}:
        scoped = tenant.key("admin", frozenset({scope}))
        yield Caller(f"admin with just {scope}", present(dialect, scoped), row.done)
    yield Caller("an OAuth2 client", client(tenant.key(enough[0], kind="oauth")), row.done)
    if dialect.name in REACH_DOWN:
        yield Caller("admin of the parent", present(dialect, world.root.key("admin")), row.done)
    if dialect.acts_in_header:
        for role in enough:
            acting = FORMS["Bearer"](world.root.key(role)) | {ACTS_IN: "own"}
            yield Caller(f"the parent's {role}, acting in it", acting, row.done)


def present(dialect: Dialect, token: str) -> Headers:
    return FORMS[ACCEPTED[dialect.name][0]](token)
