"""Commands and calls to devices, over a connection as the platform."""

import contextlib
import secrets

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.core.faults import Fault, Kind, conflict

NO_LISTENER = "503"


async def send(client: Client, org: str, env: str, device: str, name: str, body: bytes) -> None:
    """Queue a command. Raises Fault unavailable."""
    try:
        await client.jetstream().publish(f"command.{org}.{env}.{device}.{name}", body)
    except (nats.errors.Error, TimeoutError):
        raise unavailable() from None


async def call(client: Client, env: str, device: str, name: str, body: bytes, seconds: float) -> bytes:
    """What a device answers. Raises Fault conflict where it does not listen or is silent, and unavailable."""
    message = await ask(client, env, device, name, body, seconds)
    if nobody_listens(message):
        raise conflict("device_not_listening", "The device does not listen for this call.")
    return message.data


async def ask(client: Client, env: str, device: str, name: str, body: bytes, seconds: float) -> Msg:
    """The device's answer, or the broker's that nobody listens. Raises Fault conflict for silence, or unavailable."""
    subject = f"answer.{device}.{secrets.token_hex(12)}"
    try:
        answers = await client.subscribe(subject)
        try:
            await client.publish(f"call.{device}.{env}.{name}", body, reply=subject)
            return await answers.next_msg(seconds)
        except TimeoutError:
            raise device_silent() from None
        finally:
            with contextlib.suppress(nats.errors.Error):
                await answers.unsubscribe()
    except nats.errors.Error:
        raise unavailable() from None


def nobody_listens(message: Msg) -> bool:
    return (message.headers or {}).get("Status") == NO_LISTENER and not message.data


def device_silent() -> Fault:
    return conflict("device_silent", "The device did not answer in time.")


def no_broker() -> Fault:
    return Fault(Kind.UNAVAILABLE, "no_broker", "This server runs without a broker.")


def unavailable() -> Fault:
    return Fault(Kind.UNAVAILABLE, "broker_unavailable", "The broker is not available.", retry_after=2)
