"""Translates between the bodies of EST and the operations of enrolment. Pure."""

from fleetroll.core import encodings
from fleetroll.dialects.est import shapes
from fleetroll.service import enrollment
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request

_BASE64 = ("content-transfer-encoding", "base64")


def named(request: Request) -> enrollment.Named:
    return enrollment.Named(request.path["aps"])


def enrollment_request(request: Request) -> enrollment.EnrollmentRequest:
    return enrollment.EnrollmentRequest(request.path["aps"], encodings.from_est(request.body), request.peer)


def trusted(result: enrollment.Trusted, request: Request) -> Reply:
    if _wants_pem(request):
        return Reply("".join(map(encodings.pem, result.certificates)).encode(), media_type=shapes.PEM)
    return _bundle(result.bundle)


def answer(result: enrollment.EnrollmentReply, request: Request) -> Reply:
    if _wants_pem(request):
        return Reply(encodings.pem(result.certificate).encode(), media_type=shapes.PEM)
    return _bundle(result.bundle)


def with_key(result: enrollment.EnrollmentReply, request: Request) -> Reply:
    """The key and the certificate as two parts of one reply (RFC 7030, 4.4.2)."""
    parts = (_part(shapes.KEY, result.key or b""), _part(shapes.BUNDLE, result.bundle))
    body = b"".join(parts) + f"--{shapes.BOUNDARY}--\r\n".encode()
    return Reply(body, media_type=shapes.PARTS)


def _wants_pem(request: Request) -> bool:
    return shapes.PEM in request.accept.lower()


def _bundle(der: bytes) -> Reply:
    return Reply(encodings.est(der), headers=(_BASE64,), media_type=shapes.BUNDLE)


def _part(media_type: str, der: bytes) -> bytes:
    head = f"--{shapes.BOUNDARY}\r\nContent-Type: {media_type}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head.encode() + encodings.est(der)
