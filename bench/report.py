"""The table, on the terminal and in a Markdown file that also says on what machine and how."""

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import apsw
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from bench.profile import Line, Profile
from bench.rows import CALLERS, CONNECTIONS, Outcome, Settings
from bench.servers import SETTINGS

_LINES = 8
_VERDICTS = {True: "met", False: "MISSED", None: ""}
_PACKAGES = ("fleetroll", "uvloop", "uvicorn", "httptools", "msgspec", "apsw")


class Run(Struct, frozen=True):
    """Without these a table is worth nothing."""

    settings: Settings
    scratch: Path
    took: float
    load_before: float


def show(console: Console, outcomes: list[Outcome]) -> None:
    table = Table(title="Fleetroll benchmark", show_lines=False)
    for name in ("row", "what", "target", "measured", "verdict"):
        table.add_column(name, no_wrap=name in {"row", "verdict"})
    for one in outcomes:
        colour = {True: "green", False: "red", None: "dim"}[one.met]
        table.add_row(one.row, one.title, one.target, one.measured, f"[{colour}]{_VERDICTS[one.met]}[/]")
    console.print(table)
    for one in outcomes:
        for text in _details(one):
            console.print(text, markup=False, highlight=False)


def _details(one: Outcome) -> list[str]:
    return [f"{one.row}: {_layers(one.profile)}"] if one.profile else []


def write(file: Path, outcomes: list[Outcome], run: Run) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    parts = [_head(run), _table(outcomes), *(_section(one) for one in outcomes), _method(run)]
    file.write_text("\n\n".join(parts) + "\n")


def _head(run: Run) -> str:
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return "\n".join(
        (
            "# Benchmark results",
            "",
            "Written by `make bench`; not edited by hand.",
            "",
            f"- {when}, {run.took / 60:.1f} minutes, load average {run.load_before:.2f} beforehand",
            f"- {_processor()}, {os.cpu_count()} cores, {_memory()} GiB; {platform.system()} {platform.release()}; "
            f"data on {_file_system(run.scratch)}",
            f"- Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}, {versions}",
            f"- `{' '.join(('python -m bench', *_choices(sys.argv[1:])))}`",
        )
    )


def _table(outcomes: list[Outcome]) -> str:
    rows = [f"| {one.row} | {one.title} | {one.target} | {one.measured} | {_VERDICTS[one.met]} |" for one in outcomes]
    return "\n".join(("| row | what | target | measured | verdict |", "|---|---|---|---|---|", *rows))


def _section(one: Outcome) -> str:
    lines = [f"## {one.row}", "", *(f"- {note}" for note in one.notes)]
    if one.profile:
        lines += ["", f"Where the time goes: {_layers(one.profile)}.", "", *_profile_table(one.profile)]
    return "\n".join(lines)


def _layers(profile: Profile) -> str:
    """For each thread that had a real part in it, its layers."""
    threads = (
        f"{name} thread, at work {profile.busy[name]:.0%} of the time: "
        + ", ".join(f"{layer} {share:.0%}" for layer, share in layers.items() if share >= 0.01)
        for name, layers in sorted(profile.layers.items(), key=lambda one: -profile.busy[one[0]])
        if profile.busy[name] >= 0.02
    )
    return "; ".join(threads)


def _profile_table(profile: Profile) -> list[str]:
    def row(line: Line) -> str:
        source = line.source.replace("|", "\\|")[:90]
        return f"| {line.share:.1%} | {line.thread} | {line.layer} | {line.place} | `{source}` |"

    return ["| share | thread | layer | line | |", "|---|---|---|---|---|", *map(row, profile.lines[:_LINES])]


def _method(run: Run) -> str:
    s = run.settings
    settings = ", ".join(f"`{name}={value}`" for name, value in SETTINGS.items() if not name.endswith("KEY"))
    return f"""## Method

- The server is `fleetroll serve` in a process of its own on loopback, with {settings} and otherwise its defaults; it
  logs every request to a file. Rows with a ratio ran at {s.devices:,} devices, those of a large fleet at {s.large:,}.
- A ratio is the throughput divided by that of a bare ASGI app, which returns the same bytes on the same server class in
  another process. {s.rounds} rounds of {s.seconds:g} s alternate between the two; figures are medians of the rounds.
- The load generator holds {CONNECTIONS} keep-alive connections ({CALLERS} where an answer's own time counts), each
  waiting for its reply. It never sleeps, so that no server pays for waking it, and runs at a low priority, so that it
  takes no core from a server that wants both.
- Devices came in by `:import` of NDJSON; one in 25 was decommissioned afterwards. Memory is sampled every 100 ms.
- For the sweeper and the lists of its slots {s.large:,} devices were put into the data directory at rest, as they
  were a hundred days before.
- Rows about the broker ran with the embedded one. Its clients are nats-py's, in a process of low priority. For `ingest`
  it took in readings while the server was away, without syncing each; while they were read, the server ran it as usual.
- A profile is one sample a millisecond of the line at which each busy thread of the server is, in a further run under
  the same load. The time of a C function counts for the line that calls it."""


def _processor() -> str:
    names = (line for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name"))
    return next(names, platform.processor()).rpartition(": ")[2]


def _memory() -> int:
    pages: int = os.sysconf("SC_PHYS_PAGES")
    return round(pages * os.sysconf("SC_PAGE_SIZE") / (1 << 30))


def _file_system(directory: Path) -> str:
    """The kind of file system, since the cost of a durable write depends on it most."""
    found = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(directory)], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "an unknown file system"


def _read(file: str) -> str:
    path = Path(file)
    return path.read_text() if path.exists() else ""


def _choices(words: list[str]) -> list[str]:
    """The options of the run but for the places of its files, which are one machine's."""
    places = {"--output", "--directory"}
    return [word for before, word in zip(["", *words], words, strict=False) if not {before, word} & places]
