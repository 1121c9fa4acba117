"""API keys, and who the caller is."""

import msgspec
from msgspec import structs

from fleetroll.core import limits, model, names, policy
from fleetroll.core.query import Part
from fleetroll.dialects.native.mapping.credentials import nats
from fleetroll.dialects.native.mapping.members import choice
from fleetroll.dialects.native.mapping.organizations import organization
from fleetroll.dialects.native.mapping.paging import limit, mark, resume
from fleetroll.dialects.native.mapping.paths import number, path_of
from fleetroll.dialects.native.mapping.times import at, instant, when
from fleetroll.dialects.native.shapes import keys as shapes
from fleetroll.service import keys, reach
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request


def key(record: model.Key) -> shapes.Key:
    return shapes.Key(
        record.id,
        record.name,
        record.kind.value,
        record.role.value,
        record.scopes,
        at(record.created_at),
        when(record.expires_at),
        when(record.revoked_at),
        when(record.last_used_at),
    )


def issued(result: keys.Issued, request: Request) -> Reply:
    location = path_of("keys", str(result.key.id))
    if result.key.kind is model.KeyKind.API:
        return Reply(structs.replace(key(result.key), key=result.token), location=location)
    if result.minted is not None:
        return Reply(structs.replace(key(result.key), nats=nats(result.minted)), location=location)
    client_id, secret = result.client
    return Reply(structs.replace(key(result.key), client_id=client_id, client_secret=secret), location=location)


def shown_key(record: model.Key, request: Request) -> shapes.Key:
    return key(record)


def key_page(result: Part[model.Key, int], request: Request) -> shapes.KeyList:
    return shapes.KeyList([key(record) for record in result.records], mark(result.next, request))


def caller(result: keys.Caller, request: Request) -> shapes.Caller:
    org = result.organization
    named = shapes.CallerOrganization(org.id, org.slug, org.name)
    if result.reads_organizations:
        named = msgspec.convert(organization(org), shapes.CallerOrganization, from_attributes=True)
    return shapes.Caller(key(result.key), named)


def new_key(request: Request) -> keys.NewKey:
    body = request.body
    return keys.NewKey(
        names.line(body.name, "name"),
        choice(policy.GRANTABLE, body.role, "role"),
        choice(model.KeyKind, body.kind, "kind"),
        policy.parse_scopes(names.unique(body.scopes, limits.MAX_SCOPES, "scopes")),
        instant(body.expires_at, "expires_at"),
    )


def one_key(request: Request) -> reach.Numbered:
    return reach.Numbered(number(request, "key"))


def list_keys(request: Request) -> keys.Listing:
    return keys.Listing(limit(request), resume(request) or 0)
