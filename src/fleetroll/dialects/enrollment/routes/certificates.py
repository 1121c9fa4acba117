"""Rows about certificates."""

from fleetroll.dialects.enrollment import shapes
from fleetroll.dialects.enrollment.mapping import certificates as mapping
from fleetroll.dialects.enrollment.routes.parameters import CA, PAGE
from fleetroll.service import binding, certificates
from fleetroll.wire.dialect import Parameter, Route, no_input

_FILTER = Parameter("filter", "serial_number[eq] followed by the serial number")

ROUTES = (
    Route(
        "GET",
        f"{CA}/stats",
        certificates.stats,
        no_input,
        mapping.stats,
        "How many authorities and certificates there are",
        reply=shapes.Stats,
    ),
    Route(
        "GET",
        f"{CA}/cas/{{id}}/certificates",
        certificates.page,
        mapping.list_certificates,
        mapping.certificate_page,
        "List the certificates that an authority has issued",
        reply=shapes.CertificateList,
        query=(_FILTER, *PAGE),
    ),
    Route(
        "GET",
        f"{CA}/certificates",
        certificates.page,
        mapping.list_certificates,
        mapping.certificate_page,
        "List certificates",
        reply=shapes.CertificateList,
        query=(_FILTER, *PAGE),
    ),
    Route(
        "GET",
        f"{CA}/certificates/{{sn}}",
        certificates.get,
        mapping.one_certificate,
        mapping.certificate,
        "Read a certificate",
        reply=shapes.Certificate,
    ),
    Route(
        "PUT",
        f"{CA}/certificates/{{sn}}/status",
        binding.rule,
        mapping.change_status,
        mapping.certificate,
        "Revoke a certificate, or take it off hold",
        body=shapes.CertificateStatus,
        reply=shapes.Certificate,
    ),
)
