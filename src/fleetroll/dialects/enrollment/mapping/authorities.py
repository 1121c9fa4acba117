"""Certificate authorities."""

from fleetroll.core.query import Part
from fleetroll.core.times import to_datetime
from fleetroll.dialects.enrollment import shapes
from fleetroll.dialects.enrollment.mapping.certificates import described
from fleetroll.dialects.enrollment.mapping.paging import bookmark
from fleetroll.service import authorities, named
from fleetroll.wire.request import Request


def authority(result: authorities.Shown, request: Request) -> shapes.Authority:
    record = result.authority
    own = record.sealed_key is not None
    issuer = shapes.Issuer(record.serial, record.name, 0)
    shown = described(
        result.description,
        record.certificate,
        issuer,
        status=record.state(result.at).value,
        type="MANAGED" if own else "EXTERNAL",
    )
    validity = shapes.TimeValidity("Time", to_datetime(record.not_after))
    return shapes.Authority(record.name, record.serial, shown, {}, validity, to_datetime(record.created_at), 0)


def one_authority(request: Request) -> named.Named:
    return named.Named(request.path["id"])


def authority_page(result: Part[authorities.Shown, str], request: Request) -> shapes.AuthorityList:
    authorities = [authority(record, request) for record in result.records]
    return shapes.AuthorityList(bookmark(result.next, request), authorities)
