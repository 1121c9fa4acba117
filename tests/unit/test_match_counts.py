"""Counts of texts are exact as of the version that is asked for, or not given."""

from collections.abc import Iterable

from fleetroll.store.connection import Indexed
from fleetroll.store.match_counts import MatchCounts


def added(*texts: str, org: int = 1) -> list[Indexed]:
    return [(org, number, None, text) for number, text in enumerate(texts)]


def noted(*versions: Iterable[Indexed]) -> MatchCounts:
    """What is known where a text has been counted before there was anything."""
    known = MatchCounts()
    known.put(1, "pump", 0, 0)
    for version, changes in enumerate(versions, 1):
        known.note(version, list(changes))
    return known


def test_what_was_never_counted_is_not_known() -> None:
    assert MatchCounts().get(1, "pump", 0) is None
    assert noted(added("pump")).get(1, "valve", 1) is None
    assert noted(added("pump")).get(2, "pump", 1) is None


def test_each_version_has_its_own_count() -> None:
    removed: list[Indexed] = [(1, 0, "a pump", None), (1, 1, "pump", "the pump"), (1, 2, "pump", "valve")]
    known = noted(added("a pump", "pump", "pump pump"), added("pump", org=2), removed, added("pump"))
    assert [known.get(1, "pump", version) for version in range(5)] == [0, 3, 3, 1, 2]


def test_a_view_from_before_a_count_is_not_told_it() -> None:
    known = noted(added("pump"), added("pump"))
    known.put(1, "pump", 2, 2)
    assert known.get(1, "pump", 1) is None
    assert known.get(1, "pump", 2) == 2


def test_a_version_whose_commit_failed_is_replaced() -> None:
    known = noted(added("pump"), added("pump", "pump"))
    known.note(2, added("pump"))
    assert known.get(1, "pump", 2) == 2


def test_what_happened_too_long_ago_is_not_guessed_from_the_rest() -> None:
    known = noted(*(added("pump") for _ in range(2_000)))
    assert known.get(1, "pump", 2_000) == 2_000
    known.note(2_001, added("pump"))
    assert known.get(1, "pump", 2_001) is None
    known.put(1, "pump", 1, 1)
    assert known.get(1, "pump", 2_001) == 2_001
    known.note(2_002, added(*["pump"] * 2_001))
    assert known.get(1, "pump", 2_002) is None
    known.put(1, "pump", 2_002, 4_002)
    known.note(2_003, added("pump"))
    assert known.get(1, "pump", 2_003) == 4_003


def test_the_texts_that_are_kept_are_those_that_were_asked_for_last() -> None:
    known = noted()
    for number in range(999):
        known.put(1, f"text {number}", 0, number)
    known.put(1, "pump", 0, 0)
    known.put(1, "one more", 0, 7)
    assert (known.get(1, "pump", 0), known.get(1, "text 0", 0), known.get(1, "one more", 0)) == (0, None, 7)
