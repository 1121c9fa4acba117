"""A plain MQTT client, for tests: what it hears, and what it is told."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.waiting import PATIENCE


class Mqtt:
    """A connection. `refused` says why there is none."""

    def __init__(
        self, port: int, username: str, password: str, name: str = "test", *,
        host: str = "127.0.0.1", authority: Path | None = None, **will: Any,
    ) -> None:  # fmt: skip
        self.heard: list[str] = []
        self.refused = ""
        self._answered, self._gone = threading.Event(), threading.Event()
        self._granted: dict[int, bool] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv311)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = lambda _, __, message: self.heard.append(message.topic)
        self._client.username_pw_set(username, password)
        if will:
            self._client.will_set(**will)
        if authority:
            self._client.tls_set(str(authority))
        self._client.connect(host, port)
        self._client.loop_start()
        assert self._answered.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, body: str, **options: Any) -> None:
        """Publish, and wait for the broker's acknowledgement."""
        self._client.publish(topic, body, **{"qos": 1, **options}).wait_for_publish(PATIENCE)

    def subscribe(self, topic: str) -> bool:
        """Subscribe. Returns whether the broker allows it."""
        self._answered.clear()
        _, number = self._client.subscribe(topic, 1)
        assert number is not None
        while number not in self._granted:
            assert self._answered.wait(PATIENCE)
            self._answered.clear()
        return self._granted[number]

    def vanish(self) -> None:
        """Go without a word, so that the broker publishes our last will."""
        self._client.loop_stop()
        socket = self._client.socket()
        assert socket is not None
        socket.close()

    def wait_gone(self, seconds: float) -> bool:
        return self._gone.wait(seconds)

    def _on_connect(self, _: Any, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        if reason.is_failure:
            self.refused = str(reason)
        self._answered.set()

    def _on_disconnect(self, *_: Any) -> None:
        self._gone.set()
        if not self._answered.is_set():
            self.refused = "closed"
            self._answered.set()

    def _on_subscribe(self, _: Any, __: Any, number: int, codes: list[Any], ___: Any) -> None:
        self._granted[number] = not codes[0].is_failure
        self._answered.set()
