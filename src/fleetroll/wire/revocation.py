"""A revocation list as a reply (RFC 2585, 4.2), the same in every API that hands one out."""

from fleetroll.core.certificates import SignedList
from fleetroll.core.times import http_date
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request

REVOCATION_LIST = "application/pkix-crl"


def revocation_list(result: SignedList, request: Request) -> Reply:
    dated = (("last-modified", http_date(result.edition.at)),)
    return Reply(result.der, etag=result.tag, headers=dated, media_type=REVOCATION_LIST)
