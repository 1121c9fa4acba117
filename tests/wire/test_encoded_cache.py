"""What is cache again is written once, for as long as it is the same."""

import msgspec
from msgspec import Struct

from fleetroll.wire.encoded_cache import EncodedCache


class Record(Struct, frozen=True):
    id: int
    text: str


class Counting:
    """A shape that counts how often it was made."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, record: Record) -> dict[str, object]:
        self.made += 1
        return {"id": record.id, "text": record.text}


def text(cache: list[object]) -> object:
    return msgspec.json.decode(msgspec.json.encode(cache))


def test_records_that_are_shown_again_are_made_and_written_once() -> None:
    shape = Counting()
    cache = EncodedCache(shape)
    records = [Record(number, f"text {number}") for number in range(5)]
    expected = [{"id": number, "text": f"text {number}"} for number in range(5)]
    assert [text(cache.all(records)) for _ in range(6)] == [expected] * 6
    assert shape.made == 10
    assert cache.all([]) == []


def test_another_record_of_the_same_id_is_shown_as_it_is() -> None:
    cache = EncodedCache(Counting())
    first, second = Record(1, "first"), Record(2, "second")
    for _ in range(3):
        assert text(cache.all([first, second])) == [{"id": 1, "text": "first"}, {"id": 2, "text": "second"}]
    changed = Record(2, "changed")
    for records, texts in (([first, changed], ["first", "changed"]), ([changed, first], ["changed", "first"])):
        for _ in range(3):
            assert [one["text"] for one in text(cache.all(records))] == texts  # type: ignore[attr-defined]


def test_an_equal_record_that_is_another_object_is_not_taken_for_the_same() -> None:
    shape = Counting()
    cache = EncodedCache(shape)
    for _ in range(3):
        cache.all([Record(1, "a"), Record(2, "b")])
    assert shape.made == 6


def test_what_is_kept_is_bounded() -> None:
    shape = Counting()
    cache = EncodedCache(shape, most_bytes=50_000)
    records = [Record(number, "x" * 9_000) for number in range(20)]
    for _ in range(3):
        assert len(msgspec.json.encode(cache.all(records))) > 20 * 9_000
    assert shape.made == 60
