"""Preconditions: which entity tags let a request through, for a record that is there and for one that is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from fleetroll.core.faults import Fault, Kind
from fleetroll.core.guards import Guard, etag, parse_tags

IDS = st.integers(1, 2**63 - 1)


class Record(Struct, frozen=True):
    id: int
    revision: int


NOW = Record(35, 36)
TAG = '"z.10"'


def passes(guard: Guard, record: Record | None) -> bool:
    try:
        guard.check(record)
    except Fault as fault:
        if (fault.kind, fault.code) != (Kind.STALE, "precondition_failed"):
            raise
        return False
    return True


@pytest.mark.parametrize(
    ("header", "there", "absent"),
    [
        (None, True, True),
        ("*", True, False),
        (TAG, True, False),
        (f'"other", {TAG}', True, False),
        (f'"an,other", "," ,{TAG}', True, False),
        ('"z.z"', False, False),
        (f"W/{TAG}", False, False),
    ],
)
def test_if_match_wants_the_present_version(header: str | None, there: bool, absent: bool) -> None:
    guard = Guard(match=None if header is None else parse_tags(header, "If-Match"))
    assert (passes(guard, NOW), passes(guard, None)) == (there, absent)


@pytest.mark.parametrize(
    ("header", "there"), [(None, True), ("*", False), (TAG, False), (f'"a",{TAG}', False), ('"z.z"', True)]
)
def test_if_none_match_refuses_what_is_named_and_never_what_is_absent(header: str | None, there: bool) -> None:
    guard = Guard(none_match=None if header is None else parse_tags(header, "If-None-Match"))
    assert (passes(guard, NOW), passes(guard, None)) == (there, True)


def test_both_headers_must_hold() -> None:
    assert not passes(Guard((TAG,), (TAG,)), NOW)
    assert passes(Guard((TAG,), ('"other"',)), NOW)


@given(IDS, st.integers(1, 10**9), IDS, st.integers(1, 10**9))
def test_two_versions_never_share_a_tag(id: int, revision: int, other_id: int, other_revision: int) -> None:
    same = (id, revision) == (other_id, other_revision)
    assert (etag(Record(id, revision)) == etag(Record(other_id, other_revision))) == same


def test_what_has_no_revision_does_not_matter_to_a_precondition() -> None:
    tags = {
        etag(NOW),
        etag(NOW, None, False, {}),
        etag(NOW, True),
        etag(NOW, 1),
        etag(NOW, {"n": 1}),
        etag(NOW, None, 1),
    }
    assert len(tags) == 5
    assert all(passes(Guard((tag,)), NOW) and not passes(Guard((tag,)), Record(35, 37)) for tag in tags)


@given(st.lists(IDS.map(lambda id: etag(Record(id, 1))), min_size=1, max_size=5))
def test_tags_survive_being_listed(tags: list[str]) -> None:
    assert parse_tags(", ".join(tags), "If-Match") == tuple(tags)


def test_a_comma_within_a_tag_belongs_to_it() -> None:
    assert parse_tags('"a,b" , W/"c, d",","', "If-Match") == ('"a,b"', 'W/"c, d"', '","')


@pytest.mark.parametrize(
    "header", ["", "abc", '"', 'abc"', "W/", '"a", b', '"a",', "'a'", "**", '"a"b"', 'WW/"a"', '"a" "b"']
)
def test_a_header_that_is_no_list_of_tags_is_refused(header: str) -> None:
    with pytest.raises(Fault) as refused:
        parse_tags(header, "If-Match")
    assert (refused.value.kind, refused.value.code, refused.value.field) == (Kind.INVALID, "invalid_etag", "If-Match")
