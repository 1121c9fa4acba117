"""Certificate authorities, and the keys of certificates."""

from fleetroll.core import encodings
from fleetroll.core.certificates import KeyKind, check_generated
from fleetroll.core.guards import etag
from fleetroll.core.query import Part
from fleetroll.core.times import SECOND
from fleetroll.dialects.native.mapping.paging import mark
from fleetroll.dialects.native.mapping.times import at
from fleetroll.dialects.native.shapes import authorities as shapes
from fleetroll.service import authorities
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request


def public_key(kind: KeyKind) -> shapes.PublicKey:
    return shapes.PublicKey(kind.type, kind.bits)


def key_kind(shape: shapes.PublicKey) -> KeyKind:
    return KeyKind(shape.type, shape.bits)


def new_authority(request: Request) -> authorities.New:
    body = request.body
    foreign = None if body.certificate is None else encodings.certificate(body.certificate)
    kind = key_kind(body.key) if body.key else KeyKind()
    check_generated(kind)
    return authorities.New(body.name, kind, body.lifetime * SECOND, foreign)


def authority(result: authorities.Shown, request: Request) -> Reply:
    record, info = result.authority, result.description
    shape = shapes.Authority(
        record.id,
        record.name,
        record.serial,
        info.subject.common_name,
        public_key(info.key),
        record.sealed_key is not None,
        at(record.not_before),
        at(record.not_after),
        at(record.created_at),
        record.revision,
        encodings.pem(record.certificate),
    )
    return Reply(shape, etag=etag(record))


def authority_page(result: Part[authorities.Shown, str], request: Request) -> shapes.AuthorityList:
    authorities = [authority(record, request).body for record in result.records]
    return shapes.AuthorityList(authorities, mark(result.next, request))
