"""Messages over the broker that nobody wrote: requests at every subject, and reports of every family.

Whatever comes, a request has an answer in the vendor's form and changes nothing unless that says so, a report is stored
or left out, and what comes next is taken as if nothing had been.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleetroll.application import DIALECTS
from fleetroll.bus.port import Batch, Message, Request
from fleetroll.core.faults import invalid
from fleetroll.core.ids import broker_org
from fleetroll.service.broker import Registry
from fleetroll.wire.dialect import Subject
from tests.access.test_subjects import ROWS, claims
from tests.hostile.test_random_requests import SEED, VALUES, grafted, spoil
from tests.support.app import App, running
from tests.support.effort import often
from tests.support.state import State

MESSAGES = often(500)  # for each subject, and for each family
AT_ONCE = 50
SUBJECTS = {subject.subject: subject for dialect in DIALECTS for subject in dialect.subjects}
FAMILIES = ("telemetry", "events", "logs", "commands")
ORG = broker_org(1)
GOOD = "good"


class Desk:
    """A server without a broker, to which the broker's part is played by hand: a device, and users to ask as."""

    def __init__(self, app: App, state: State) -> None:
        self.app = app
        self.state = state
        self.registry = Registry(app.services, app.application.subjects.answer)
        made = app.request("POST", "/v1/keys", {"name": "k", "role": "operator", "kind": "nats"}).json()
        self.application = str(claims(made["nats"]["api_key"])["sub"])
        self.place = 0
        self.make()

    def make(self) -> None:
        """Make the device that everything is about."""
        body = {"ident": "known", "schema": {"t": {"type": "number"}, GOOD: {"type": "number"}}}
        assert self.app.request("POST", "/v1/devices", body).status == 201
        said = claims(self.app.request("POST", "/v1/devices/known/credentials", {}).json()["nats"]["api_key"])
        self.device = str(said["sub"])
        self.id = str(said["nats"]["org_data"]["api_key_id"])

    def user(self, subject: str) -> str:
        return self.device if ROWS[subject].least == "device" else self.application

    def body(self, subject: str) -> Any:
        """A request that succeeds."""
        parts = {"$id": self.id, "$ident": "known", "$new": f"new-{self.place}"}
        self.place += 1
        body = ROWS[subject].body.items()
        return {name: parts.get(value, value) if isinstance(value, str) else value for name, value in body}

    def ask(self, subject: str, body: bytes) -> dict[str, Any]:
        request = Request(subject.replace("{org}", ORG), self.user(subject), body)
        return dict(json.loads(self.app.runner.run(self.app.application.subjects.answer(request))))

    def take(self, family: str, bodies: list[tuple[str, bytes]]) -> None:
        """Have the bodies stored, each under its name, as the broker would bring them."""
        messages = []
        for name, body in bodies:
            self.place += 1
            at = self.app.services.clock()
            messages.append(Message(self.place, at, ORG, "production", family, self.id, name, body))
        self.app.runner.run(self.registry.ingest([Batch("stream", messages)]))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with running(tmp_path / "data") as app:
        state = State(tmp_path / "data" / "fleetroll.db")
        yield Desk(app, state)
        state.close()


def junk(chance: random.Random, content: Any) -> bytes:
    """A content with a part of it changed, or its bytes, or anything at all; in JSON or in MessagePack."""
    if chance.random() < 0.1:
        return chance.randbytes(chance.choice([0, 1, 2, 10, 100, 70_000]))
    changed = grafted(chance, content) if chance.random() < 0.8 else content
    body = _packed(changed) if chance.random() < 0.3 else json.dumps(changed).encode()
    return spoil(chance, body) if changed is content or chance.random() < 0.3 else body


def _packed(content: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(content)
    except (OverflowError, UnicodeEncodeError):  # it has no such numbers and texts
        return json.dumps(content).encode()


@pytest.mark.parametrize("name", SUBJECTS)
def test_whatever_is_asked_has_an_answer_in_the_vendors_form(name: str, desk: Desk) -> None:
    chance, row, subject = random.Random(SEED), ROWS[name], SUBJECTS[name]
    refused = 0
    for _ in range(MESSAGES):
        body, before = junk(chance, desk.body(name)), desk.state.all()
        answer = desk.ask(name, body)
        assert isinstance(answer["data"], dict), (body, answer)
        if answer["status"] == row.done:
            if name.endswith(".delete"):
                desk.make()
            continue
        assert answer["status"] == failure(subject), (body, answer)
        assert answer["data"]["msg"], (body, answer)
        assert answer["data"]["code"] != "INTERNAL_ERROR", body
        assert desk.state.all() == before, body
        refused += 1
    assert refused
    assert desk.ask(name, json.dumps(desk.body(name)).encode())["status"] == row.done


def failure(subject: Subject) -> str:
    return str(subject.refuse(invalid("any", "any")).status)


@pytest.mark.parametrize("family", FAMILIES)
def test_whatever_is_published_is_stored_or_left_out(family: str, desk: Desk) -> None:
    chance = random.Random(SEED)
    for number in range(0, MESSAGES, AT_ONCE):
        bodies = []
        for _ in range(AT_ONCE):
            value = chance.choice([*VALUES, 21.5, {"a": 1}])
            content = {chance.choice(["value", "data"]): value, "timestamp": 1_700_000_000_000}
            bodies.append((chance.choice(["t", "unknown"]), junk(chance, chance.choice([content, value]))))
        good = msgspec.msgpack.encode({"value": number, "timestamp": 1_750_000_000_000 + number})
        desk.take(family, [*bodies, (GOOD, good)])
        assert said(desk, family) == number, bodies


def said(desk: Desk, family: str) -> Any:
    """The value of the last good message."""
    if family == "telemetry":
        readings = desk.app.request("GET", "/v1/devices/known/telemetry").json()["readings"]
        return next(one["value"] for one in readings if one["metric"] == GOOD)
    last = desk.app.request("GET", "/v1/devices/known/timeline?limit=1").json()["events"][0]["data"]
    assert last["name"] == GOOD
    return last["value"]
