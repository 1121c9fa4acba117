"""The rows of the table: what each one measures and what it promises. The order they run in is `__main__`'s."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

from msgspec import Struct, structs

from bench import fleet, servers, work
from bench.load import Seen, UnexpectedReply, drive
from bench.profile import Profile
from bench.servers import Server
from bench.work import Work

CONNECTIONS = 32
CALLERS = 4  # so few page and search at once: it is an answer's own time that counts, not the length of a queue
STALL = 0.05
SHALLOW, DEEP = 20, 10_000
_PAGE = 50
_STRIDE = 1_000  # the longest page, to walk down with
_SAME = 1.25  # the noise that two equal p99 are granted


class Settings(Struct, frozen=True):
    """How large and how long. `rounds` alternate between a server and what it is compared with."""

    devices: int = 200_000
    large: int = 1_000_000
    small: int = 1_000
    seconds: float = 2.0
    rounds: int = 5
    starts: int = 5
    depth: int = DEEP
    crowd: int = 1_000
    backlog: int = 500_000
    readings: tuple[int, ...] = (1_000_000, 10_000_000, 100_000_000)


class Outcome(Struct, frozen=True):
    """One row of the table. `notes` are what the verdict does not rest on; `met` is None where nothing is promised."""

    row: str
    title: str
    target: str
    measured: str
    met: bool | None
    notes: tuple[str, ...] = ()
    profile: Profile | None = None


class Ratio(Struct, frozen=True):
    """A row that is compared with the yardstick."""

    row: str
    title: str
    least: float
    work: Callable[[Server, int], Work]
    p99: float | None = None


RATIOS = (
    Ratio("get", "GET /v1/devices/{ident}", 0.50, work.gets, p99=5.0),
    Ratio("list", "GET /v1/devices?limit=50 by tag and status", 0.12, work.listings),
    Ratio("list-new", "the same by a filter that is new each time", 0.08, work.new_listings),
    Ratio("list-few", "the same, of a status that few have", 0.12, work.selective),
    Ratio("telemetron", "POST /api/ext-v1/device, existing device", 0.18, work.upserts),
    Ratio("memfault-get", "GET a device in Memfault's form", 0.45, work.memfault_gets),
    Ratio("memfault-list", "list of 50 in Memfault's form", 0.08, work.memfault_listings),
    Ratio("check-in", "POST /api/v0/chunks/{serial}, known device", 0.18, work.check_ins),
    Ratio("create", "POST /v1/devices, durable", 0.20, work.creates),
    Ratio("devices-page", "GET …/organization/devices, page of 50", 0.08, work.devices_pages),
    Ratio("lamassu-patch", "PATCH …/devices/{id}/metadata of one key, durable", 0.18, work.patches),
    Ratio("pin", "GET /external/api/update of one pin, durable", 0.15, work.pins),
)


class Timed(Struct, frozen=True):
    """A row about how long answers take that are asked for together. `works` are requests by their sort.

    Those in `aside` are only measured alone.
    """

    row: str
    title: str
    most: float
    works: Callable[[Server, int], dict[str, Work]]
    aside: frozenset[str] = frozenset()

    def together(self, server: Server, devices: int) -> Work:
        works = self.works(server, devices)
        return work.mixed([one for name, one in works.items() if name not in self.aside])


SEARCHES = (
    Timed("search", "p99 of a search for a part of ident or name", 25.0, work.searches, frozenset(work.HARD_NEEDLES)),
    Timed("blynk-search", "the same in Blynk's form, which also counts all", 25.0, work.blynk_searches),
)


class Fleet:
    """A running server with its devices, and the next number that no device has yet."""

    def __init__(self, server: Server, devices: int, next_number: int) -> None:
        self.server = server
        self.devices = devices
        self.next_number = next_number

    def drive(self, wanted: Work, seconds: float, connections: int = CONNECTIONS) -> Seen:
        spent = self.server.processor_seconds
        seen = drive(wanted.plan(self.server.port, seconds, connections, self.next_number))
        if wanted.numbered:
            self.next_number = seen.next_number
        return structs.replace(seen, cost=(self.server.processor_seconds - spent) / seen.answered * 1e6)

    def example(self, wanted: Work) -> bytes:
        self.next_number += 1
        return wanted.example(self.next_number)


class Stalls:
    """Collects how the event loop fared during each row."""

    def __init__(self) -> None:
        self._worst = 0.0
        self._notes: list[str] = []

    @contextlib.contextmanager
    def during(self, row: str, server: Server) -> Iterator[None]:
        before = server.lags()
        yield
        after = server.lags()
        self._worst = max(self._worst, after.worst)
        if times := after.longer_than(STALL, before):
            # The server's worst is of the last minute or two; it is this row's if it was not there before.
            worst = f", worst {after.worst * 1000:.0f} ms" if after.worst > before.worst else ""
            self._notes.append(f"{row}: {times} above {STALL * 1000:.0f} ms{worst}")

    def outcome(self) -> Outcome:
        title = "event-loop stalls during the whole run"
        target, worst = f"≤ {STALL * 1000:.0f} ms", f"{self._worst * 1000:.0f} ms"
        return Outcome("stall", title, target, worst, not self._notes, tuple(self._notes))


def decommission(one: Fleet) -> None:
    """Take some devices out of service, so that a filter on the status has something to leave out."""
    wanted = work.decommissions(one.devices)
    plan = wanted.plan(one.server.port, 600.0, CONNECTIONS, 0)
    drive(structs.replace(plan, total=len(wanted.requests)))


def ratio(row: Ratio, one: Fleet, settings: Settings, scratch: Path) -> Outcome:
    wanted = row.work(one.server, one.devices)
    prepared = one.server.send(one.example(wanted))
    with servers.bare(prepared, scratch) as server:
        yardstick = Fleet(server, one.devices, 0)
        pairs = [_round(wanted, (yardstick, one), settings) for _ in range(settings.rounds)]
    with servers.bare(structs.replace(prepared, whole=True), scratch) as server:
        whole = Fleet(server, one.devices, 0).drive(wanted, settings.seconds)
    ratios = [ours.per_second / bare.per_second for bare, ours in pairs]
    bare, ours = map(_middle, zip(*pairs, strict=True))
    met = median(ratios) >= row.least and (row.p99 is None or ours.p99 <= row.p99)
    promise = f"≥ {row.least:.2f}" + (f", p99 ≤ {row.p99:.0f} ms" if row.p99 else "")
    measured = f"{median(ratios):.3f}, p50 {ours.p50:.1f}, p99 {ours.p99:.1f} ms"
    notes = (
        f"{ours.per_second:,.0f}/s of {bare.per_second:,.0f}/s; bare app p50 {bare.p50:.2f}, p99 {bare.p99:.2f} ms",
        f"{ours.cost:.0f} µs of processor time a request, all threads and the kernel; bare app {bare.cost:.0f} µs",
        f"{ours.per_second / whole.per_second:.3f} of a bare app that replies in one write: {whole.per_second:,.0f}/s",
        f"{len(prepared.body):,} bytes a reply; generator busy {bare.busy:.0%} with the bare app, then {ours.busy:.0%}",
        "ratios by round: " + ", ".join(f"{found:.3f}" for found in ratios),
    )
    return Outcome(row.row, row.title, promise, measured, met, notes)


def _round(wanted: Work, fleets: Sequence[Fleet], settings: Settings) -> list[Seen]:
    return [one.drive(wanted, settings.seconds) for one in fleets]


def _middle(seen: Sequence[Seen]) -> Seen:
    """Of each figure the median over the rounds."""
    names = ("per_second", "p50", "p99", "worst", "busy", "cost")
    return structs.replace(seen[0], **{name: median(getattr(one, name) for one in seen) for name in names})


def flat_get(large: Fleet, small: Fleet, settings: Settings) -> Outcome:
    works = [(one, work.gets(one.server, one.devices)) for one in (large, small)]
    rounds = [[one.drive(wanted, settings.seconds) for one, wanted in works] for _ in range(settings.rounds)]
    found = median(ours.p99 / few.p99 for ours, few in rounds)
    ours, few = map(_middle, zip(*rounds, strict=True))
    notes = (
        f"p50 {ours.p50:.2f} and {few.p50:.2f} ms; {ours.per_second:,.0f} and {few.per_second:,.0f}/s",
        "ratios by round: " + ", ".join(f"{ours.p99 / few.p99:.2f}" for ours, few in rounds),
    )
    title = f"p99 of GET, beside its p99 at {small.devices:,} devices"
    return Outcome("get-large", title, "≤ 1.5 times", f"{found:.2f} times ({few.p99:.2f} ms)", found <= 1.5, notes)


def places(one: Fleet, settings: Settings) -> tuple[int, Work, int, Work]:
    """The pages at both depths, and how many pages deep they lie."""
    cursors = []
    for cursor in work.walk(one.server, work.MATCHING, _STRIDE):
        cursors.append(cursor)
        if len(cursors) * _STRIDE >= settings.depth * _PAGE:
            break
    near, far = work.deep_pages(one.server, cursors[0]), work.deep_pages(one.server, cursors[-1])
    return SHALLOW, near, len(cursors) * _STRIDE // _PAGE, far


def deep_pages(one: Fleet, settings: Settings) -> Outcome:
    shallow, near, deep, far = places(one, settings)
    rounds = [[one.drive(wanted, settings.seconds, CALLERS) for wanted in (near, far)] for _ in range(settings.rounds)]
    first, last = map(_middle, zip(*rounds, strict=True))
    crowd = one.drive(far, settings.seconds)
    same = median(far.p99 / near.p99 for near, far in rounds)
    met = max(first.p99, last.p99) <= 10.0 and same <= _SAME
    notes = (
        f"p50 {first.p50:.1f} and {last.p50:.1f} ms with {CALLERS} callers",
        f"“the same” means within {_SAME} times; here {same:.2f} times",
        f"deep with {CONNECTIONS} callers, mostly their queue: {crowd.per_second:,.0f}/s, p99 {crowd.p99:.1f} ms",
    )
    title = f"p99 of a filtered page, {shallow} and {deep:,} pages deep"
    return Outcome("pages", title, "≤ 10 ms, the same", f"{first.p99:.1f} and {last.p99:.1f} ms", met, notes)


def timed(row: Timed, one: Fleet, settings: Settings) -> Outcome:
    wanted = row.together(one.server, one.devices)
    seen = _middle([one.drive(wanted, settings.seconds, CALLERS) for _ in range(settings.rounds)])
    parts = [_alone(one, name, part, settings) for name, part in row.works(one.server, one.devices).items()]
    notes = (f"p50 {seen.p50:.1f} ms, {seen.per_second:,.0f}/s with {CALLERS} callers", *parts)
    return Outcome(row.row, row.title, f"≤ {row.most:.0f} ms", f"{seen.p99:.1f} ms", seen.p99 <= row.most, notes)


def driving(row: Timed, one: Fleet, settings: Settings) -> Callable[[], object]:
    """The load of a row, for its profile."""
    wanted = row.together(one.server, one.devices)
    return lambda: one.drive(wanted, settings.seconds, CALLERS)


def _alone(one: Fleet, name: str, wanted: Work, settings: Settings) -> str:
    try:
        seen = one.drive(wanted, settings.seconds / 2, CALLERS)
    except UnexpectedReply as problem:
        return f"{name}: refused, {str(problem).rpartition('{')[2][:120]}"
    return f"{name}: p50 {seen.p50:.1f}, p99 {seen.p99:.1f} ms"


def imported(bulk: fleet.Bulk) -> Outcome:
    return _bulk("import", ":import", 25_000, bulk)


def exported(bulk: fleet.Bulk) -> Outcome:
    return _bulk("export", ":export", 80_000, bulk)


_GROWTH = 24.0  # MiB after the first fifth: caches that fill up to their bound, but nothing that follows the row count


def _bulk(row: str, title: str, least: int, bulk: fleet.Bulk) -> Outcome:
    met = bulk.per_second >= least and bulk.growth <= _GROWTH
    measured = f"{bulk.per_second:,.0f}/s, {bulk.growth:+.0f} MiB"
    notes = (
        f"{bulk.devices:,} devices in {bulk.seconds:.1f} s; resident {bulk.peak:.0f} MiB at most",
        f"memory is constant if it grows by no more than {_GROWTH:.0f} MiB after the first fifth",
    )
    return Outcome(row, f"{title}, devices a second in constant memory", f"≥ {least:,}/s", measured, met, notes)


def memory(one: Fleet, small: Fleet) -> Outcome:
    peak, other = one.server.peak, small.server.peak
    notes = (f"{one.server.resident:.0f} MiB now; a server with {small.devices:,} devices {other:.0f} MiB at most",)
    return Outcome(
        "memory", "resident memory, at most, over the whole run", "≤ 250 MiB", f"{peak:.0f} MiB", peak <= 250, notes
    )


def start(data: Path, settings: Settings) -> Outcome:
    found = [servers.seconds_to_ready(data) for _ in range(settings.starts)]
    notes = ("all starts: " + ", ".join(f"{took:.2f}" for took in found) + " s",)
    return Outcome("start", "start to ready", "≤ 1 s", f"{max(found):.2f} s", max(found) <= 1.0, notes)
