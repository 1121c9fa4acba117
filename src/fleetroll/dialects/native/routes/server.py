"""Rows about the server itself: only for the root organization, except where its broker is."""

from fleetroll.dialects.native.mapping import server as mapping
from fleetroll.dialects.native.shapes import server as shapes
from fleetroll.service import server
from fleetroll.wire.dialect import Route, Stream, no_input, nothing

ROUTES = (
    Route(
        "GET",
        "/v1/broker/setup",
        server.broker_setup,
        no_input,
        mapping.broker_setup,
        "The settings that a NATS cluster's configuration must have; root organization only",
        reply=shapes.BrokerSetup,
    ),
    Route(
        "POST",
        "/v1/broker/certificate",
        server.certify_broker,
        mapping.broker_names,
        mapping.broker_authority,
        "Give the embedded broker a certificate for these names; root organization only",
        body=shapes.BrokerCertificate,
        reply=shapes.BrokerAuthority,
    ),
    Route(
        "GET",
        "/v1/broker",
        server.broker,
        no_input,
        mapping.broker,
        "Whether the broker is up, and where clients find it",
        reply=shapes.Broker,
    ),
    Route(
        "GET",
        "/v1/backup",
        server.backup,
        no_input,
        nothing,
        "A consistent copy of the whole registry, for the root organization's admins",
        stream=Stream.BYTES,
    ),
)
