"""`python -m bench.postgres`: what the server does on PostgreSQL, beside what a bare loop over asyncpg does there."""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median

import asyncpg
import msgspec
from msgspec import Struct
from rich.console import Console

from bench import fleet, report, rows, work
from bench.bare_postgres import Loop
from bench.load import Seen
from bench.rows import CALLERS, CONNECTIONS, Fleet, Outcome
from bench.servers import Server, processor_seconds, serving
from bench.work import Work
from tests.support import postgres

_HERE = Path(__file__).parent
_POOL = 8  # what the server has for look-ups
_DATABASE = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "maintenance_work_mem": "256MB",
    "dynamic_shared_memory_type": "posix",
}
_GET, _POST, _PAGE, _IMPORT = 0.6, 0.5, 15.0, 20_000


class Sizes(Struct, frozen=True):
    """How large and how long."""

    steps: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    seconds: float = 3.0
    rounds: int = 5


_QUICK = Sizes((300, 1_000), 0.3, 1)


class Bench:
    """One run over one database."""

    def __init__(self, sizes: Sizes, scratch: Path, database: postgres.Server, say: Callable[[str], None]) -> None:
        self._sizes = sizes
        self._scratch = scratch
        self._database = database
        self._say = say
        self._first = sizes.steps[-1] * 2

    def run(self) -> list[Outcome]:
        outcomes = []
        with self._serving(1) as server:
            for step in (self._growth, self._get, self._post, self._pages):
                outcomes.append(step(server))
                self._say(f"  {outcomes[-1].title}: {outcomes[-1].measured} ({outcomes[-1].target})")
        for count in (1, 2, 4):
            with self._serving(count) as server:
                outcomes.append(self._workers(server, count))
                self._say(f"  {outcomes[-1].title}: {outcomes[-1].measured}")
        return outcomes

    def _serving(self, workers: int) -> AbstractContextManager[Server]:
        options = ("--workers", str(workers), "--nats", "off")
        return serving(self._scratch / "data", *options, FLEETROLL_DATABASE=self._database.url)

    # --- growing -----------------------------------------------------------------------------------------------------

    def _growth(self, server: Server) -> Outcome:
        """Import in steps, and see what a device takes of the disk at each."""
        whole = self._scratch / "devices.ndjson"
        fleet.write(whole, self._sizes.steps[-1])
        notes, done, rate = [], 0, 0.0
        with whole.open("rb") as lines:
            for step in self._sizes.steps:
                part = self._scratch / "part.ndjson"
                with part.open("wb") as out:
                    out.writelines(next(lines) for _ in range(step - done))
                bulk = fleet.load(server, part, step - done)
                done, rate = step, bulk.per_second
                table, indexes, everything = asyncio.run(sizes_of(self._database.url))
                notes.append(
                    f"at {step:,}: {bulk.per_second:,.0f}/s; a device takes {table / step:,.0f} bytes of its table, "
                    f"{indexes / step:,.0f} of its indexes, {everything / step:,.0f} in all with links and timeline"
                )
                self._say(f"  {notes[-1]}")
        title = f"import of {self._sizes.steps[-1]:,} devices"
        return Outcome("import", title, f"≥ {_IMPORT:,}/s", f"{rate:,.0f}/s", rate >= _IMPORT, tuple(notes))

    # --- beside the bare loop ----------------------------------------------------------------------------------------

    def _get(self, server: Server) -> Outcome:
        return self._ratio("get", "GET of a device, authorised", work.gets(server, self._sizes.steps[-1]), server, _GET)

    def _post(self, server: Server) -> Outcome:
        return self._ratio("post", "durable POST of a device", work.creates(server, 0), server, _POST)

    def _ratio(self, row: str, title: str, wanted: Work, server: Server, least: float) -> Outcome:
        names = {"get": ("get",), "post": ("insert", "create")}[row]
        ours: list[Seen] = []
        bare: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(self._sizes.rounds):
            for name in names:
                bare[name].append(self._bare(name))
            ours.append(self._drive(server, wanted))
        rates = [seen.per_second for seen in ours]
        ratios = {
            name: median(one / other for one, other in zip(rates, found, strict=True)) for name, found in bare.items()
        }
        notes = [f"{median(rates):,.0f}/s, p99 {median(seen.p99 for seen in ours):.1f} ms"]
        notes += [f"bare {name}: {median(found):,.0f}/s, ratio {ratios[name]:.2f}" for name, found in bare.items()]
        first = ratios[names[0]]
        return Outcome(row, title, f"≥ {least} of bare asyncpg", f"{first:.2f}", first >= least, tuple(notes))

    def _bare(self, what: str) -> float:
        self._first += 1_000_000
        loop = Loop(
            self._database.url, what, self._sizes.seconds, CONNECTIONS, _POOL, self._sizes.steps[-1], self._first
        )
        words = [sys.executable, "-m", "bench.bare_postgres"]
        done = subprocess.run(words, input=msgspec.json.encode(loop), stdout=subprocess.PIPE, check=True)
        return float(done.stdout)

    def _drive(self, server: Server, wanted: Work, connections: int = CONNECTIONS) -> Seen:
        one = Fleet(server, self._sizes.steps[-1], self._first)
        seen = one.drive(wanted, self._sizes.seconds, connections)
        self._first = one.next_number + 1
        return seen

    # --- pages -------------------------------------------------------------------------------------------------------

    def _pages(self, server: Server) -> Outcome:
        asyncio.run(analyze(self._database.url))
        found = {
            name: self._drive(server, make(server, 0), CALLERS)
            for name, make in (("frequent status", work.listings), ("rare status", work.selective))
            if name == "frequent status" or self._sizes.steps[-1] >= 10_000
        }
        worst = max(seen.p99 for seen in found.values())
        notes = tuple(
            f"{name}: {seen.per_second:,.0f}/s, p50 {seen.p50:.1f}, p99 {seen.p99:.1f} ms"
            for name, seen in found.items()
        )
        title = f"filtered page of 50 by keyset, of {self._sizes.steps[-1]:,}"
        return Outcome("pages", title, f"p99 ≤ {_PAGE:.0f} ms", f"p99 {worst:.1f} ms", worst <= _PAGE, notes)

    # --- workers -----------------------------------------------------------------------------------------------------

    def _workers(self, server: Server, count: int) -> Outcome:
        devices = self._sizes.steps[-1]
        notes, measured = [], []
        for name, wanted in (("GET", work.gets(server, devices)), ("POST", work.creates(server, 0))):
            before, began = self._spent(server), time.monotonic()
            seen = self._drive(server, wanted)
            took = time.monotonic() - began
            shares = {who: (now - before[who]) / took for who, now in self._spent(server).items()}
            measured.append(f"{name} {seen.per_second:,.0f}/s")
            used = ", ".join(f"{who} {share:.2f}" for who, share in shares.items())
            notes.append(f"{name}: p99 {seen.p99:.1f} ms; cores: {used}; generator busy {seen.busy:.0%} of its time")
        title = f"{count} worker{'s' * (count > 1)}"
        return Outcome(f"workers-{count}", title, "as found", ", ".join(measured), None, tuple(notes))

    def _spent(self, server: Server) -> dict[str, float]:
        """Processor seconds so far, by who spent them."""
        backends = Path(f"/proc/{self._database.pid}/task/{self._database.pid}/children").read_text().split()
        return {
            "workers": sum(map(processor_seconds, server.workers or [server.popen.pid])),
            "database": sum(map(processor_seconds, [self._database.pid, *map(int, backends)])),
            "generator": sum(os.times()[2:4]),
        }


async def sizes_of(url: str) -> tuple[int, int, int]:
    """Bytes of the device table, of its indexes, and of all tables with theirs."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(
            "SELECT pg_table_size('device'), pg_indexes_size('device'), "
            "(SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = "
            "'public'::regnamespace)"
        )
    finally:
        await connection.close()
    return int(row[0]), int(row[1]), int(row[2])


async def analyze(url: str) -> None:
    """Do now what the server would do by itself within a minute."""
    connection = await asyncpg.connect(url)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench.postgres", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("--quick", action="store_true", help="a small run that only shows that everything works")
    parser.add_argument("--large", type=int, help="devices at most (1,000,000)")
    parser.add_argument("--seconds", type=float, help="length of one round (3)")
    parser.add_argument("--directory", type=Path, help="where the data goes; it needs 10 GB and a real disk")
    parser.add_argument("--output", type=Path, default=_HERE / "out" / "POSTGRES.md", help="Markdown file to write")
    return parser.parse_args()


def _sizes(options: argparse.Namespace) -> Sizes:
    base = _QUICK if options.quick else Sizes()
    steps = base.steps if options.large is None else (*[n for n in base.steps if n < options.large], options.large)
    return Sizes(steps, options.seconds or base.seconds, base.rounds)


def main() -> None:
    options, began, load = _options(), time.monotonic(), os.getloadavg()[0]
    console = Console() if Console().is_terminal else Console(width=140)
    sizes = _sizes(options)

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    with tempfile.TemporaryDirectory(prefix="fleetroll-bench-", dir=options.directory) as directory:
        scratch = Path(directory)
        scratch.chmod(0o755)  # PostgreSQL may have to run as another user
        with postgres.own_server(scratch, **_DATABASE) as database:
            outcomes = Bench(sizes, scratch, database, say).run()
        settings = rows.Settings(devices=sizes.steps[-1], seconds=sizes.seconds, rounds=sizes.rounds)
        report.write(options.output, outcomes, report.Run(settings, scratch, time.monotonic() - began, load))
    report.show(console, outcomes)
    say(f"Written to {options.output}")


if __name__ == "__main__":
    main()
