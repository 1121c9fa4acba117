"""JSON whose members are known by their names in any case."""

from typing import Any

import msgspec
import pytest
from msgspec import Struct

from fleetroll.core.faults import Fault
from fleetroll.wire import bodies
from fleetroll.wire.loose_names import LooseDecoder


class Inner(Struct):
    type: str
    note: str = ""


class Body(Struct):
    id: str
    free: dict[str, Any] | None = None
    inner: Inner | None = None
    many: list[Inner] | None = None
    named: dict[str, Inner] | None = None
    anything: list[Any] | None = None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"ID": "a"}', Body("a")),
        ('{"id": "a", "Id": "b"}', Body("b")),
        ('{"iD": "a", "id": "b"}', Body("b")),
        ('{"id": "a", "FREE": {"Id": 1, "ID": 2}}', Body("a", free={"Id": 1, "ID": 2})),
        ('{"id": "a", "INNER": {"TYPE": "x", "Note": "y"}}', Body("a", inner=Inner("x", "y"))),
        ('{"id": "a", "many": [{"Type": "x"}, {"type": "y"}]}', Body("a", many=[Inner("x"), Inner("y")])),
        ('{"id": "a", "named": {"TYPE": {"TYPE": "x"}}}', Body("a", named={"TYPE": Inner("x")})),
        ('{"id": "a", "anything": [{"TYPE": 1}]}', Body("a", anything=[{"TYPE": 1}])),
        ('{"id": "a", "free": {"n": 12345678901234567890123}}', Body("a", free={"n": 12345678901234567890123})),
        ('{"id": "a", "INNER": null, "unknown": {"ID": 1}}', Body("a")),
    ],
)
def test_a_name_is_known_in_any_case(text: str, expected: Body) -> None:
    assert LooseDecoder(Body).decode(text.encode()) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"id": "\xff"}',
        b'{"id": "\\ud800"}',
        b"{",
        b"x",
        b'{"id": "a"',
        b'{"id": "a"} x',
        b'{"id": "a"}{"id": "b"}',
        b'{"ID": 5}',
        b'{"id": "a", "inner": {"TYPE": 5}}',
        b'{"id": "a", "free": {"n": -0}}',
        b'{"id": "\\u0000"}',
        b'{"id": "a", "free": ' + b'{"a":' * 80 + b"1" + b"}" * 80 + b"}",
        b"[" * 100_000,
        b'{"id": "a"}' + b"[" * 100_000,
    ],
)
def test_what_is_wrong_is_refused_as_elsewhere(text: bytes) -> None:
    with pytest.raises(Fault) as refused:
        LooseDecoder(Body).decode(text)
    assert refused.value.code in {"invalid_json", "invalid_text", "invalid_body"}


def test_a_strict_body_means_the_same_in_both() -> None:
    text = b'{"id": "a", "free": {"x": [1, 2.5, null]}, "many": [{"type": "t", "note": "n"}]}'
    assert LooseDecoder(Body).decode(text) == bodies.decode(msgspec.json.Decoder(Body), text)
