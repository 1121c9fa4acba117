"""What is kept has a bound, and what was kept the longest ago goes first."""

from fleetroll.core.bounded_cache import BoundedCache


def test_the_oldest_go_where_there_is_no_room() -> None:
    cache: BoundedCache[str, int] = BoundedCache(10)
    for place, name in enumerate("abcdefg"):
        cache.put(name, place, 2)
    assert [cache.get(name) for name in "abcdefg"] == [None, None, 2, 3, 4, 5, 6]


def test_a_value_takes_the_place_of_the_one_before_it() -> None:
    cache: BoundedCache[str, int] = BoundedCache(10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 4)
    cache.put("a", 3, 6)  # which makes it the newest
    assert (cache.get("a"), cache.get("b")) == (3, 2)
    cache.put("c", 4, 1)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (3, None, 4)
    cache.put("d", 5, 3)
    assert (cache.get("a"), cache.get("c"), cache.get("d")) == (3, 4, 5)


def test_what_is_larger_than_the_room_is_not_kept() -> None:
    cache: BoundedCache[str, int] = BoundedCache(10)
    cache.put("a", 1, 10)
    cache.put("a", 2, 11)
    assert cache.get("a") is None
    cache.put("b", 3, 10)
    assert cache.get("b") == 3
