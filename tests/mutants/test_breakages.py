"""The breakages of `make mutants` fit the sources as they are; that tests notice them is for `make mutants` to say."""

import os
import select
from pathlib import Path

import pytest

from tests.mutants.breakages import ROOT, SOURCES, Breakage, breakages
from tests.mutants.running import outcome


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


@pytest.mark.parametrize(("then", "seconds", "status"), [("exit 3", 60, 3), ("wait", 0.2, -9)])
def test_what_a_broken_server_leaves_behind_is_ended(tmp_path: Path, then: str, seconds: float, status: int) -> None:
    os.mkfifo(tmp_path / "held")
    held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert outcome(["sh", "-c", f"exec 9>'{tmp_path}/held'; sleep 99 & {then}"], os.environ, seconds) == status
        assert select.select([held], [], [], 10)[0]  # nobody can write into it any more
    finally:
        os.close(held)
