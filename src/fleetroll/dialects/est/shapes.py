"""The bodies of EST are base64 and named by media types; only its failures are JSON."""

from msgspec import Struct

REQUEST = "application/pkcs10"
BUNDLE = "application/pkcs7-mime; smime-type=certs-only"
KEY = "application/pkcs8"
PEM = "application/x-pem-file"
BOUNDARY = "estServerLamassuBoundary"
PARTS = f"multipart/mixed; boundary={BOUNDARY}"


class Failure(Struct):
    err: str
