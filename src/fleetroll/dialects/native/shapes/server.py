"""The server itself: its broker."""

from msgspec import Struct


class BrokerSetup(Struct):
    """What the configuration of a NATS cluster must have."""

    configuration: str


class BrokerCertificate(Struct, forbid_unknown_fields=True):
    """The host names that clients know the broker by."""

    names: list[str]


class BrokerAuthority(Struct):
    """The certificate, in PEM, that clients of the broker must trust."""

    authority: str


class Broker(Struct):
    """Whether there is a broker, and where clients find it."""

    broker: str
    urls: list[str]
