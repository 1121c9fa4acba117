"""What is kept has a bound, and what was kept the longest ago goes first."""

from fleetroll.core.kept import Kept


def test_the_oldest_go_where_there_is_no_room() -> None:
    kept: Kept[str, int] = Kept(10)
    for place, name in enumerate("abcdefg"):
        kept.keep(name, place, 2)
    assert [kept.get(name) for name in "abcdefg"] == [None, None, 2, 3, 4, 5, 6]


def test_a_value_takes_the_place_of_the_one_before_it() -> None:
    kept: Kept[str, int] = Kept(10)
    kept.keep("a", 1, 4)
    kept.keep("b", 2, 4)
    kept.keep("a", 3, 6)  # which makes it the newest
    assert (kept.get("a"), kept.get("b")) == (3, 2)
    kept.keep("c", 4, 1)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (3, None, 4)
    kept.keep("d", 5, 3)
    assert (kept.get("a"), kept.get("c"), kept.get("d")) == (3, 4, 5)


def test_what_is_larger_than_the_room_is_not_kept() -> None:
    kept: Kept[str, int] = Kept(10)
    kept.keep("a", 1, 10)
    kept.keep("a", 2, 11)
    assert kept.get("a") is None
    kept.keep("b", 3, 10)
    assert kept.get("b") == 3
