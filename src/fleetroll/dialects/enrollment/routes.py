"""The table of Lamassu's DMS manager, `/api/dmsmanager`, and of the part of its CA that interfaces need, `/api/ca`."""

from fleetroll.dialects.enrollment import mapping, shapes
from fleetroll.dialects.enrollment.envelope import ENVELOPE
from fleetroll.service import authorities, binding, certificates, dms
from fleetroll.wire.dialect import API_KEY_HEADER, BASIC, BEARER, Dialect, Parameter, Route, no_input, nothing

_DMS = "/api/dmsmanager/v1/dms"
_CA = "/api/ca/v1"
_PAGE = (
    Parameter("page_size", "most records of the page; 25 if left out, or no number"),
    Parameter("bookmark", "next of the page before"),
)
_FILTER = Parameter("filter", "serial_number[eq] and the serial number")

_MANAGER = (
    Route(
        "GET",
        "/api/dmsmanager/v1/stats",
        dms.count,
        no_input,
        mapping.dms_stats,
        "How many DMS there are",
        reply=shapes.Total,
    ),
    Route(
        "GET", _DMS, dms.noun.page, mapping.list_dms, mapping.dms_page, "List DMS", reply=shapes.DmsList, query=_PAGE
    ),
    Route(
        "POST",
        _DMS,
        dms.noun.create,
        mapping.new_dms,
        mapping.dms,
        "Create a DMS",
        status=201,
        body=shapes.DmsInput,
        reply=shapes.Dms,
    ),
    Route(
        "POST",
        f"{_DMS}/bind-identity",
        binding.bind,
        mapping.bind,
        mapping.bound,
        "Make a certificate the identity of a device",
        body=shapes.Bind,
        reply=shapes.Bound,
    ),
    Route("GET", f"{_DMS}/{{id}}", dms.noun.get, mapping.one_dms, mapping.dms, "Read a DMS", reply=shapes.Dms),
    Route(
        "PUT",
        f"{_DMS}/{{id}}",
        dms.noun.edit,
        mapping.replace_dms,
        mapping.dms,
        "Replace a DMS",
        body=shapes.DmsInput,
        reply=shapes.Dms,
    ),
    Route("DELETE", f"{_DMS}/{{id}}", dms.noun.delete, mapping.one_dms, nothing, "Delete a DMS", status=204),
    *(
        Route(
            method,
            f"{_DMS}/{{id}}/metadata",
            dms.patch,
            mapping.patch_metadata,
            mapping.dms,
            "Change the metadata of a DMS by a JSON Patch",
            body=shapes.Patches,
            reply=shapes.Dms,
        )
        for method in ("PUT", "PATCH")
    ),
)

_AUTHORITY = (
    Route(
        "GET",
        f"{_CA}/stats",
        certificates.stats,
        no_input,
        mapping.stats,
        "How many authorities and certificates there are",
        reply=shapes.Stats,
    ),
    Route(
        "GET",
        f"{_CA}/cas",
        authorities.page,
        mapping.list_authorities,
        mapping.authority_page,
        "List certificate authorities",
        reply=shapes.AuthorityList,
        query=_PAGE,
    ),
    Route(
        "GET",
        f"{_CA}/cas/{{id}}",
        authorities.get,
        mapping.one_authority,
        mapping.authority,
        "Read a certificate authority",
        reply=shapes.Authority,
    ),
    Route(
        "GET",
        f"{_CA}/cas/{{id}}/certificates",
        certificates.page,
        mapping.list_certificates,
        mapping.certificate_page,
        "List what an authority has issued",
        reply=shapes.CertificateList,
        query=(_FILTER, *_PAGE),
    ),
    Route(
        "GET",
        f"{_CA}/certificates",
        certificates.page,
        mapping.list_certificates,
        mapping.certificate_page,
        "List certificates",
        reply=shapes.CertificateList,
        query=(_FILTER, *_PAGE),
    ),
    Route(
        "GET",
        f"{_CA}/certificates/{{sn}}",
        certificates.get,
        mapping.one_certificate,
        mapping.certificate,
        "Read a certificate",
        reply=shapes.Certificate,
    ),
    Route(
        "PUT",
        f"{_CA}/certificates/{{sn}}/status",
        binding.rule,
        mapping.change_status,
        mapping.certificate,
        "Revoke a certificate, or take it off hold",
        body=shapes.CertificateStatus,
        reply=shapes.Certificate,
    ),
)

DIALECT = Dialect(
    name="enrollment",
    title="Lamassu DMS manager and CA",
    prefixes=("/api/dmsmanager/", "/api/ca/"),
    routes=(*_MANAGER, *_AUTHORITY),
    envelope=ENVELOPE,
    credentials=(BEARER, API_KEY_HEADER, BASIC),
    media_types=(),
    acts_in_header="fleetroll-organization",
    loose_names=True,
    part_of="lamassu",
)
