"""The list of breakages, and a copy of the sources with one of them."""

import shutil
import tomllib
from pathlib import Path

from msgspec import Struct, convert

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src"


class Breakage(Struct, frozen=True, forbid_unknown_fields=True):
    """What breaks when `put` stands for `find` in a file of the package, and the tests that are to notice."""

    what: str
    file: str
    find: str
    put: str
    by: list[str]

    @property
    def path(self) -> Path:
        return Path("fleetroll", self.file)


def breakages() -> list[Breakage]:
    text = (Path(__file__).parent / "breakages.toml").read_text()
    return convert(tomllib.loads(text)["breakage"], list[Breakage])


def broken(breakage: Breakage, directory: Path) -> Path:
    """Put broken sources into `directory`, which may hold those of an earlier breakage. Returns their folder."""
    sources = directory / "src"
    shutil.rmtree(sources, ignore_errors=True)
    shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("__pycache__"))
    file = sources / breakage.path
    file.write_text(file.read_text().replace(breakage.find, breakage.put))
    return sources
