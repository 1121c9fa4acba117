"""`python -m bench`: runs the rows in their order, over one fleet after the other, and reports."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import structs
from rich.console import Console

from bench import ageing, broker, enrolment, fleet, readings, report, rows, work
from bench.profile import Profile, profiling
from bench.rows import Fleet, Outcome, Settings, Stalls
from bench.servers import Server, serving

_HERE = Path(__file__).parent
_SEARCHES = tuple(row.row for row in rows.SEARCHES)
_LARGE = ("import", "get-large", "pages", *_SEARCHES, "export", "memory", "start")
_READINGS = ("batch", "stretch")
_AGEING = ("sweep", *(row.row for row in ageing.LISTS))
_ENROLMENT = ("enrol",)
_RATIOS = tuple(row.row for row in rows.RATIOS)
ROWS = (*_RATIOS, *_LARGE, *_AGEING, *_ENROLMENT, *broker.ROWS, *_READINGS)
_QUICK = Settings(
    devices=1_000, large=3_000, small=100, seconds=0.05, rounds=1, starts=1, readings=(20_000,), crowd=20, backlog=2_000
)
_PROFILED_IMPORT = 100_000


class Bench:
    """One run: its directory, what it has found so far, and who is told."""

    def __init__(self, settings: Settings, wanted: frozenset[str], scratch: Path, console: Console) -> None:
        self._settings = settings
        self._wanted = wanted
        self._scratch = scratch
        self._console = console
        self._stalls = Stalls()
        self._outcomes: dict[str, Outcome] = {}

    def run(self) -> list[Outcome]:
        if self._wanted & set(_RATIOS):
            self._compare()
        if self._wanted & set(_LARGE):
            self._measure_large()
        if ages := self._wanted & set(_AGEING):
            self._say(f"measuring {', '.join(sorted(ages))}")
            for outcome in ageing.measure(self._scratch, self._settings, ages):
                self._tell(outcome)
        if "enrol" in self._wanted:
            self._say("measuring enrol")
            self._tell(enrolment.enrolments(self._scratch, self._settings))
        if spoken := self._wanted & set(broker.ROWS):
            self._say(f"measuring {', '.join(sorted(spoken))}")
            for outcome in broker.measure(self._scratch, self._settings, spoken, self._stalls):
                self._tell(outcome)
        if "batch" in self._wanted:
            self._say("measuring batch")
            self._tell(readings.batches(self._scratch, self._settings))
        if "stretch" in self._wanted:
            self._tell(readings.stretches(self._scratch, self._settings, self._say))
        return [*self._outcomes.values(), self._stalls.outcome()]

    # --- the rows that are compared with a bare app ------------------------------------------------------------------

    def _compare(self) -> None:
        data, settings = self._scratch / "compared", self._settings
        chosen = [row for row in rows.RATIOS if row.row in self._wanted]
        with serving(data) as server:
            one, _ = self._fill(server, settings.devices)
            for row in chosen:
                self._measure(row.row, server, partial(rows.ratio, row, one, settings, self._scratch))
        with profiling(data) as profiler:
            again = Fleet(profiler.server, settings.devices, one.next_number)
            for row in chosen:
                wanted = row.work(again.server, again.devices)
                self._explain(row.row, profiler.profile(partial(again.drive, wanted, settings.seconds)))

    # --- the rows about a large fleet --------------------------------------------------------------------------------

    def _measure_large(self) -> None:
        data, settings = self._scratch / "large", self._settings
        with serving(data) as server, serving(self._scratch / "small") as other:
            few, _ = self._fill(other, settings.small)
            one, bulk = self._fill(server, settings.large)
            steps: dict[str, Callable[[], Outcome]] = {
                "import": lambda: rows.imported(bulk),
                "get-large": lambda: rows.flat_get(one, few, settings),
                "pages": lambda: rows.deep_pages(one, settings),
                **{row.row: partial(rows.timed, row, one, settings) for row in rows.SEARCHES},
                "export": lambda: rows.exported(fleet.export(server, one.devices)),
                "memory": lambda: rows.memory(one, few),
            }
            for row, step in steps.items():
                if row in self._wanted:
                    self._measure(row, server, step)
        if "start" in self._wanted:
            self._tell(rows.start(data, settings))
        self._explain_large(data)

    def _explain_large(self, data: Path) -> None:
        settings = self._settings
        with profiling(data) as profiler:
            one = Fleet(profiler.server, settings.large, settings.large * 2)
            steps: dict[str, Callable[[], object]] = {
                "get-large": lambda: one.drive(work.gets(one.server, one.devices), settings.seconds),
                "pages": self._deep(one),
                **{row.row: rows.driving(row, one, settings) for row in rows.SEARCHES},
                "export": lambda: fleet.export(one.server, one.devices),
            }
            for row, step in steps.items():
                if row in self._outcomes:
                    self._explain(row, profiler.profile(step))
            self._explain("start", profiler.starting)
        if "import" in self._outcomes:
            self._explain_import(min(settings.large, _PROFILED_IMPORT))

    def _deep(self, one: Fleet) -> Callable[[], object]:
        if "pages" not in self._outcomes:
            return lambda: None
        *_, deep = rows.places(one, self._settings)
        return lambda: one.drive(deep, self._settings.seconds, rows.CALLERS)

    def _explain_import(self, devices: int) -> None:
        file = self._scratch / "profiled.ndjson"
        fleet.write(file, devices)
        with profiling(self._scratch / "profiled") as profiler:
            self._explain("import", profiler.profile(lambda: fleet.load(profiler.server, file, devices)))

    # --- around ------------------------------------------------------------------------------------------------------

    def _fill(self, server: Server, devices: int) -> tuple[Fleet, fleet.Bulk]:
        file = self._scratch / "devices.ndjson"
        fleet.write(file, devices)
        self._say(f"importing {devices:,} devices")
        with self._stalls.during(f"import of {devices:,}", server):
            bulk = fleet.load(server, file, devices)
        one = Fleet(server, devices, devices * 2)
        with self._stalls.during(f"decommissioning in {devices:,}", server):
            rows.decommission(one)
        return one, bulk

    def _measure(self, row: str, server: Server, step: Callable[[], Outcome]) -> None:
        self._say(f"measuring {row}")
        with self._stalls.during(row, server):
            outcome = step()
        self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        self._outcomes[outcome.row] = outcome
        self._say(f"  {outcome.title}: {outcome.measured} ({outcome.target})")

    def _explain(self, row: str, profile: Profile) -> None:
        if row in self._outcomes:
            self._outcomes[row] = structs.replace(self._outcomes[row], profile=profile)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench", description=__doc__.partition(": ")[2] if __doc__ else None)
    parser.add_argument("--only", metavar="ROW", action="append", choices=ROWS, help="one row; repeatable")
    parser.add_argument("--devices", type=int, help="devices that throughput is measured at (200,000)")
    parser.add_argument("--large", type=int, help="devices that latency and memory are measured at (1,000,000)")
    parser.add_argument("--readings", type=int, help="most readings among which a stretch is looked for (100,000,000)")
    parser.add_argument("--seconds", type=float, help="length of one round (2)")
    parser.add_argument("--quick", action="store_true", help="a small run that only shows that everything works")
    parser.add_argument("--directory", type=Path, help="where the data goes; it needs 12 GB and a real disk")
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    return parser.parse_args()


def _settings(options: argparse.Namespace) -> Settings:
    chosen = {name: getattr(options, name) for name in ("devices", "large", "seconds")}
    base = _QUICK if options.quick else Settings()
    if options.readings is not None:
        chosen["readings"] = (*(size for size in base.readings if size < options.readings), options.readings)
    return structs.replace(base, **{name: value for name, value in chosen.items() if value is not None})


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=140)


def main() -> None:
    options, console, began = _options(), _console(), time.monotonic()
    load_before = os.getloadavg()[0]
    settings, wanted = _settings(options), frozenset(options.only or ROWS)
    # What is committed comes from whole runs; the others leave theirs where git does not look.
    whole = settings == Settings() and wanted == frozenset(ROWS)
    output = options.output or _HERE / ("RESULTS.md" if whole else "out/RESULTS.md")
    with tempfile.TemporaryDirectory(prefix="fleetroll-bench-", dir=options.directory) as directory:
        scratch = Path(directory)
        outcomes = Bench(settings, wanted, scratch, console).run()
        run = report.Run(settings, scratch, time.monotonic() - began, load_before)
        report.write(output, outcomes, run)
    report.show(console, outcomes)
    console.print(f"Written to {output}", highlight=False)


if __name__ == "__main__":
    main()
