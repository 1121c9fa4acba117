"""The shape of the repository: short functions, one file name a noun, matching locks, nothing of anybody's machine."""

import ast
import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "fleetroll"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; (.+?))?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)


def functions() -> Iterator[tuple[int, str]]:
    """The lines of every function of the package, with its name."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.end_lineno - node.lineno + 1 if node.end_lineno else 0, f"{path.name}:{node.name}"


def test_functions_are_short() -> None:
    lengths = sorted(functions())
    at = {share: lengths[len(lengths) * share // 100][0] for share in (50, 90, 99)}
    assert at[50] <= 8, at
    assert at[90] <= 15, at
    assert at[99] <= 35, at


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_opens_by_saying_what_it_owns(path: Path) -> None:
    if path.name != "__main__.py" and path.parent != PACKAGE / "cli":
        assert ast.get_docstring(ast.parse(path.read_text())), path


def definitions() -> Iterator[str]:
    """The functions, classes and constants of modules, but for what a decorator hands to somebody else."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.decorator_list:
                yield node.name
            elif isinstance(node, ast.Assign):
                yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def test_whatever_is_defined_is_used() -> None:
    said = Counter(word for path in PACKAGE.rglob("*.py") for word in re.findall(r"\w+", path.read_text()))
    said.update(PROJECT["project"]["scripts"]["fleetroll"].split(":"))
    defined = Counter(definitions())
    assert defined
    assert not [name for name, times in defined.items() if said[name] <= times]


def names(folder: str, suffix: str = "py") -> set[str]:
    return {path.stem for path in (PACKAGE / folder).glob(f"*.{suffix}")}


def test_a_noun_has_one_file_name_in_every_layer() -> None:
    engines, of_the_wire = {"sqlite", "postgres"}, {"replays"}
    nouns = names("store/sql", "sql") - engines
    assert nouns
    assert nouns - of_the_wire <= names("service")
    stored = names("store") & names("service") - {"__init__"}
    assert {"devices", "keys", "organizations", "timeline"} <= stored


def locked(name: str) -> dict[str, tuple[str, str]]:
    """Each package of a lock with its version and its marker."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    found = {canonicalize_name(m[1]): (m[2], m[3] or "") for m in LOCKED.finditer(text)}
    assert len(found) == len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)), "every line is a pin with hashes"
    return found


def wanted(group: str) -> list[Requirement]:
    groups = PROJECT["dependency-groups"]
    found = [entry for entry in groups[group] if isinstance(entry, str)]
    included = [entry["include-group"] for entry in groups[group] if isinstance(entry, dict)]
    return [Requirement(text) for text in found] + [one for name in included for one in wanted(name)]


@pytest.mark.parametrize(("lock", "group"), [("runtime", "build"), ("dev", "dev")])
def test_a_lock_holds_what_the_project_asks_for(lock: str, group: str) -> None:
    pins = locked(lock)
    for requirement in [*map(Requirement, PROJECT["project"]["dependencies"]), *wanted(group)]:
        version, _ = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_both_locks_agree_and_markers_are_markers() -> None:
    runtime, dev = locked("runtime"), locked("dev")
    assert {name: dev[name][0] for name in runtime} == {name: version for name, (version, _) in runtime.items()}
    assert all(Marker(marker) for _, marker in dev.values() if marker)


def test_run_time_needs_few_packages_by_name() -> None:
    assert len(PROJECT["project"]["dependencies"]) <= 18


def texts() -> Iterator[tuple[Path, str]]:
    """The text files of the repository, without what tools keep beside them."""
    top = ["src", "tests", "bench", "docs", "requirements", ".ci"]
    found = [path for folder in top for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    for path in [*found, *ROOT.glob("*.*"), *ROOT.glob("[A-Z]*")]:
        if (
            path.name != ".git"
            and path.is_file()
            and path.suffix not in {".png", ".ico", ".woff2", ".pyc"}
            and path.parent.name != "out"
        ):
            yield path, path.read_text(errors="replace")


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    machine = re.compile(r"(?<![\w.~$}/-])/(?:home|Users|root|work|mnt)/\w+")
    assert not [(path, found[0]) for path, text in texts() if (found := machine.search(text))]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a checkout knows which files are its own")
def test_no_file_is_large() -> None:
    # What a tool leaves in the folder, such as a process's memory, is committed as easily as the work is.
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    paths = [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]
    assert paths
    assert not [path for path in paths if path.stat().st_size > 500_000]


def test_a_lock_names_no_index() -> None:
    for name in ("runtime", "dev"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links|--trusted-host", text)


def test_no_file_leaves_work_for_later() -> None:
    # Written apart, so that this file does not find itself.
    marks = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
    assert not [(path, found[0]) for path, text in texts() if (found := marks.search(text)) and path.suffix == ".py"]
