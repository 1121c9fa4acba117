"""What a device shows to prove who it is: its token, and its credentials for the broker."""

from msgspec import UNSET, structs

from fleetroll.bus.port import Minted
from fleetroll.core import ids, model
from fleetroll.dialects.native.mapping.members import choice
from fleetroll.dialects.native.mapping.paths import number
from fleetroll.dialects.native.mapping.times import when
from fleetroll.dialects.native.shapes import credentials as shapes
from fleetroll.service import credentials
from fleetroll.wire.request import Request


def credentials_of(result: credentials.Credentials, request: Request) -> shapes.Credentials:
    return shapes.Credentials(
        result.kinds,
        UNSET if result.device_token is None else result.device_token,
        [credential(record) for record in result.broker] or UNSET,
        UNSET if result.minted is None else nats(result.minted),
    )


def nats(minted: Minted) -> shapes.NatsCredentials:
    return shapes.NatsCredentials(minted.api_key, minted.secret)


def credential(record: model.Credential) -> shapes.Credential:
    return shapes.Credential(record.id, record.kind.value, record.user, when(record.created_at))


def issued_credential(result: credentials.Enrolled, request: Request) -> shapes.Credential:
    record = result.credential
    if record.kind is model.Protocol.NATS:
        return structs.replace(credential(record), nats=nats(result.minted))
    topic = f"{ids.broker_org(record.org)}/production/telemetry/{record.public_id}/"
    return structs.replace(
        credential(record), mqtt=shapes.MqttCredentials(record.public_id, result.minted.api_key, topic)
    )


def new_credential(request: Request) -> credentials.New:
    return credentials.New(request.path["ident"], choice(model.Protocol, request.body.kind, "kind"))


def one_credential(request: Request) -> credentials.Numbered:
    return credentials.Numbered(request.path["ident"], number(request, "credential"))
