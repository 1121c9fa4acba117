"""What a device shows to prove who it is: its token, and its credentials for the broker."""

from msgspec import UNSET, Struct, UnsetType

from fleetroll.dialects.native.shapes.words import Protocol
from fleetroll.wire.texts import Time


class Credentials(Struct):
    """Which kinds of credentials the device has, and its token for keys that may write devices."""

    kinds: tuple[str, ...]
    device_token: str | UnsetType | None = UNSET
    broker: "list[Credential] | UnsetType" = UNSET
    nats: "NatsCredentials | UnsetType" = UNSET


class NatsCredentials(Struct):
    """A user JWT and its seed, in the names that the vendor's SDKs take them by."""

    api_key: str
    secret: str


class MqttCredentials(Struct):
    """What an MQTT client shows, and the beginning of the topics that are its own."""

    username: str
    password: str
    topic: str


class NewCredential(Struct, forbid_unknown_fields=True):
    kind: Protocol = "nats"


class Credential(Struct):
    """What a device shows to the broker. Its secrets are in `nats` or `mqtt` once, when it is made."""

    id: int
    kind: str
    public_key: str
    created_at: Time | None
    nats: NatsCredentials | UnsetType = UNSET
    mqtt: MqttCredentials | UnsetType = UNSET
