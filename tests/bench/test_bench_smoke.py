"""The benchmark runs from end to end. How fast anything was is none of a test's business."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import ROWS

_ROOT = Path(__file__).parents[2]
_SECONDS = 600  # it takes long on a busy machine; past this it hangs
_ROW = re.compile(r"^\| (\S+) \| .+ \| .+ \| .*\d.* \| (met|MISSED) \|$", re.MULTILINE)


@pytest.mark.long
def test_a_quick_run_measures_every_row_and_says_where_its_time_goes(tmp_path: Path) -> None:
    output = tmp_path / "results.md"
    words = [sys.executable, "-m", "bench", "--quick", "--directory", str(tmp_path), "--output", str(output)]
    done = subprocess.run(words, cwd=_ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    written = output.read_text()
    assert [name for name, _ in _ROW.findall(written)] == [*ROWS, "stall"]
    explained = re.findall(r"^## (\S+)\n(?:(?!^## ).*\n)*?Where the time goes: .+ thread", written, re.MULTILINE)
    assert explained == [row for row in ROWS if row != "memory"]
    assert list(tmp_path.iterdir()) == [output]
