"""The changelog, the package and the server tell one version."""

import re
from importlib import metadata
from pathlib import Path

import fleetroll

ROOT = Path(__file__).parents[2]
HEADINGS = re.findall(r"^## \[(.+?)\](?: - (\S+))?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_newest_version_of_the_changelog_is_the_packages() -> None:
    released = [version for version, _ in HEADINGS if version != "Unreleased"]
    assert released
    assert released[0] == fleetroll.__version__ == metadata.version("fleetroll")


def test_versions_are_numbers_in_falling_order_each_with_its_day() -> None:
    released = [(version, day) for version, day in HEADINGS if version != "Unreleased"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version, _ in released)
    assert all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", day) for _, day in released)
    numbers = [tuple(map(int, version.split("."))) for version, _ in released]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == len(numbers)
