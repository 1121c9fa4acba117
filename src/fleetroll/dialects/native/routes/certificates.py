"""Rows about certificates."""

from fleetroll.dialects.native.mapping import certificates as mapping
from fleetroll.dialects.native.routes.parameters import PAGE
from fleetroll.dialects.native.shapes import certificates as shapes
from fleetroll.service import certificates
from fleetroll.wire.dialect import Parameter, Route

ROUTES = (
    Route(
        "GET",
        "/v1/certificates",
        certificates.page,
        mapping.list_certificates,
        mapping.certificate_page,
        "List certificates, the oldest first",
        reply=shapes.CertificateList,
        query=(
            Parameter("serial", "only the one with this serial number"),
            Parameter("authority", "only those of this authority"),
            Parameter("device", "only those of the device with this identifier"),
            *PAGE,
        ),
    ),
    Route(
        "GET",
        "/v1/certificates/{serial}",
        certificates.get,
        mapping.one_certificate,
        mapping.certificate,
        "Read a certificate",
        reply=shapes.Certificate,
    ),
)
