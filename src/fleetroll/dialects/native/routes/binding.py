"""Rows about the identity of a device."""

from fleetroll.dialects.native.mapping import binding as mapping
from fleetroll.dialects.native.mapping.certificates import certificate, restore_certificate, revoke_certificate
from fleetroll.dialects.native.mapping.devices import one_device, shown
from fleetroll.dialects.native.shapes import binding as shapes
from fleetroll.dialects.native.shapes.certificates import Certificate, Revocation
from fleetroll.dialects.native.shapes.devices import Device
from fleetroll.service import binding
from fleetroll.wire.dialect import Route

ROUTES = (
    Route(
        "POST",
        "/v1/certificates/{serial}:revoke",
        binding.rule,
        revoke_certificate,
        certificate,
        "Revoke a certificate, and the identity of a device that uses it",
        body=Revocation,
        reply=Certificate,
    ),
    Route(
        "POST",
        "/v1/certificates/{serial}:restore",
        binding.rule,
        restore_certificate,
        certificate,
        "Restore a certificate that is on hold",
        reply=Certificate,
    ),
    Route(
        "GET",
        "/v1/devices/{ident}/identity",
        binding.get,
        one_device,
        mapping.held,
        "The identity of a device: its current slot, and its certificate",
        reply=shapes.Identity,
    ),
    Route(
        "POST",
        "/v1/devices/{ident}/identity:bind",
        binding.bind,
        mapping.bind,
        mapping.bound,
        "Make a certificate the identity of a device",
        body=shapes.Binding,
        reply=Device,
        reply_headers=("ETag",),
        idempotent=True,
    ),
    Route(
        "POST",
        "/v1/devices/{ident}/identity:revoke",
        binding.revoke,
        mapping.revoke_identity,
        shown,
        "Revoke the identity of a device, and its certificate",
        body=Revocation,
        reply=Device,
        reply_headers=("ETag",),
        idempotent=True,
    ),
)
