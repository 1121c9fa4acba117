"""The breakages of `make mutants` fit the sources as they are; that tests notice them is for `make mutants` to say."""

import pytest

from tests.mutants.breakages import ROOT, SOURCES, Breakage, breakages


@pytest.mark.parametrize("breakage", breakages(), ids=lambda breakage: breakage.what)
def test_a_breakage_is_of_one_place_and_has_tests(breakage: Breakage) -> None:
    assert (SOURCES / breakage.path).read_text().count(breakage.find) == 1
    assert breakage.put != breakage.find
    assert breakage.by
    for path in breakage.by:
        assert (ROOT / path).exists(), path


def test_breakages_have_names_of_their_own() -> None:
    names = [breakage.what for breakage in breakages()]
    assert len(set(names)) == len(names)
