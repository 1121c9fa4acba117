"""`make mutants`: breaks the sources in one place after the other, and names the breakages that no test notices."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import track

from tests.mutants.breakages import Breakage, breakages, broken
from tests.mutants.running import outcome

_SECONDS = 600
_NO_TESTS = 5


def is_noticed(breakage: Breakage, scratch: Path) -> bool:
    sources = broken(breakage, scratch)
    program = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *breakage.by]
    variables = {**os.environ, "PYTHONPATH": str(sources), "PYTHONDONTWRITEBYTECODE": "1"}
    status = outcome(program, variables, _SECONDS)
    if status == _NO_TESTS:
        raise SystemExit(f"No tests in {' '.join(breakage.by)}.")
    return status != 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="only breakages whose description has one of these")
    words = parser.parse_args().words
    chosen = [one for one in breakages() if not words or any(word in one.what for word in words)]
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as scratch:
        unnoticed = [
            one.what for one in track(chosen, "Breaking", console=console) if not is_noticed(one, Path(scratch))
        ]
    print(f"{len(chosen) - len(unnoticed)} of {len(chosen)} breakages are noticed.")
    for what in unnoticed:
        print(f"  unnoticed: {what}")
    sys.exit(bool(unnoticed))


if __name__ == "__main__":
    main()
