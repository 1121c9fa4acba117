"""The server itself: its broker."""

from typing import Annotated

from msgspec import Meta, Struct


class BrokerSetup(Struct):
    """What the configuration of a NATS cluster must have."""

    configuration: str


class BrokerCertificate(Struct, forbid_unknown_fields=True):
    """The host names that clients know the broker by."""

    names: Annotated[list[str], Meta(extra_json_schema={"minItems": 1})]


class BrokerAuthority(Struct):
    """The certificate, in PEM, that clients of the broker must trust."""

    authority: str


class Broker(Struct):
    """Whether there is a broker, and where clients find it."""

    broker: str
    urls: list[str]
