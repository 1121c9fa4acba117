"""What a refusal says."""

from msgspec import Struct


class Message(Struct):
    message: str


class Failure(Struct):
    error: Message
