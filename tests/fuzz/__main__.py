"""`python -m tests.fuzz`: looks for what a parser stumbles over, led by what each input reaches in the code.

It needs `pip install atheris`, which not every Python that Fleetroll runs on has wheels of. What it finds is printed,
and belongs among the good inputs of `parsers.py`, or into a test of its own.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fleetroll"]):
    from fleetroll.core.faults import Fault
    from tests.fuzz.parsers import PARSERS, Parser

_SECONDS = 0.1  # that a reader may take while it is watched, which makes it slower


def fuzz(parser: Parser, seconds: str, corpus: str) -> None:
    """Never returns: the process ends at the first finding, or when the time is over."""

    def one(data: bytes) -> None:
        if _taken(parser, data) > _SECONDS and _taken(parser, data) > _SECONDS:
            raise AssertionError("It took too long.")

    for number, data in enumerate(parser.good):
        Path(corpus, str(number)).write_bytes(data)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={corpus}/", "-max_len=4096", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, corpus], one)
    atheris.Fuzz()


def _taken(parser: Parser, data: bytes) -> float:
    begun = time.process_time()
    with contextlib.suppress(Fault):
        parser.read(data)
    return time.process_time() - begun


def stumbles(name: str, seconds: int) -> bool:
    """Whether there is an input that the parser stumbles over; it is looked for by a process of its own."""
    with tempfile.TemporaryDirectory() as corpus:
        program = [sys.executable, "-m", "tests.fuzz", name, str(seconds), corpus]
        return subprocess.run(program, check=False).returncode != 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("words", nargs="*", help="only parsers of what has one of these in its name")
    parser.add_argument("--seconds", type=int, default=600, help="for each parser (default 600)")
    given = parser.parse_args()
    chosen = [name for name in PARSERS if not given.words or any(word in name for word in given.words)]
    found = [name for name in chosen if stumbles(name, given.seconds)]
    print("\n".join(f"{name}: a finding, printed above" for name in found) or "Nothing was found.")
    sys.exit(bool(found))


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[2].isdecimal():
        fuzz(PARSERS[sys.argv[1]], *sys.argv[2:])
    main()
