"""What the server counts, for Prometheus. Counting is a few additions; the text is made when somebody asks for it."""

import asyncio
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_SAMPLE_SECONDS, _IDLE_SAMPLE_SECONDS = 0.005, 0.05
_IDLE_SHARE = 0.05  # of a processor: a loop that uses less has next to nothing to do
_BOUNDS = (*(str(bound) for bound in _BUCKETS), "+Inf")
# Why the server itself failed a request. Each is shown from the start: the step of a counter that begins with 1 is
# invisible to Prometheus, and the first failure is the one to be told of.
_INTERNAL, _STORAGE_FULL, _UNAVAILABLE = "internal", "storage_full", "unavailable"


class Condition(Struct, frozen=True):
    """How the server is at this moment. Without a broker, `reaches_broker` is None.

    `free` are bytes on the disk of the data directory, if it can be asked; `delay` is for how many seconds the oldest
    message that has come from the broker has waited to be stored.
    """

    is_ready: bool = True
    followers: int = 0
    free: int | None = None
    reaches_broker: bool | None = None
    delay: float = 0.0


class _Histogram:
    """Durations: how many are in each bucket, and their sum in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * len(_BOUNDS)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(_BUCKETS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        found, running = [], 0
        for bound, count in zip(_BOUNDS, self.counts, strict=True):
            running += count
            found.append((bound, float(running)))
        return found


class Metrics(Collector):
    """One set of counters per server, so that two servers in one process do not mix.

    Each of several workers counts for itself, and any may be asked: the label `worker` tells them apart.
    """

    def __init__(self, worker: int | None = None) -> None:
        self._labels = {} if worker is None else {"worker": str(worker)}
        self._requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._times: defaultdict[str, _Histogram] = defaultdict(_Histogram)
        self._lags = _Histogram()
        self._failures = dict.fromkeys((_INTERNAL, _STORAGE_FULL, _UNAVAILABLE), 0)
        self._stall = 0.0
        self._condition = Condition()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count(self, operation: str, status: int, code: str | None, seconds: float) -> None:
        self._requests[operation, status] += 1
        self._times[operation].add(seconds)
        # Vendors have statuses of their own for some failures, and 500 for what the client did wrong.
        if code in self._failures:
            self._failures[code] += 1
        elif status == 503:
            self._failures[_UNAVAILABLE] += 1

    def note_lag(self, seconds: float, worst: float) -> None:
        """Note how late the event loop came to a timer, and the worst of the last minute or two, in seconds."""
        self._lags.add(seconds)
        self._stall = worst

    def render(self, condition: Condition) -> bytes:
        """The text. Without a broker, nothing is said of one."""
        self._condition = condition
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        for metric in self._families():
            for sample in metric.samples:
                sample.labels.update(self._labels)
            yield metric

    def _families(self) -> Iterable[Metric]:
        requests = CounterMetricFamily("fleetroll_requests", "Requests answered", labels=["operation", "status"])
        for (operation, status), count in self._requests.items():
            requests.add_metric([operation, str(status)], count)
        seconds = HistogramMetricFamily("fleetroll_request_seconds", "Time until the reply ended", labels=["operation"])
        for operation, times in self._times.items():
            seconds.add_metric([operation], times.cumulative(), times.total)
        lags = HistogramMetricFamily("fleetroll_loop_lag_seconds", "How late the event loop came to a timer")
        lags.add_metric([], self._lags.cumulative(), self._lags.total)
        failures = CounterMetricFamily("fleetroll_failures", "Requests that the server failed", labels=["reason"])
        for reason, count in self._failures.items():
            failures.add_metric([reason], count)
        stall = "Longest stall of the event loop in the last minute or two"
        yield requests
        yield seconds
        yield failures
        yield lags
        yield GaugeMetricFamily("fleetroll_loop_stall_seconds", stall, value=self._stall)
        yield from _gauges(self._condition)


def _gauges(now: Condition) -> Iterable[Metric]:
    yield GaugeMetricFamily("fleetroll_ready", "1 if requests can be served, else 0", now.is_ready)
    yield GaugeMetricFamily("fleetroll_event_streams", "Open event streams", now.followers)
    if now.free is not None:
        yield GaugeMetricFamily("fleetroll_disk_free_bytes", "Free on the disk of the data directory", now.free)
    if now.reaches_broker is not None:
        delay = "How long the oldest message that has come from the broker has waited to be stored"
        yield GaugeMetricFamily("fleetroll_broker_up", "1 if the broker is reached, else 0", now.reaches_broker)
        yield GaugeMetricFamily("fleetroll_broker_delay_seconds", delay, now.delay)


async def watch_loop_lag(metrics: Metrics) -> None:
    """Measure how late the loop comes to a timer: whatever holds it up holds up every client.

    The part of a stall that falls into the sleep goes unseen, so the sleep is short. It is longer while there is next
    to nothing to do, or an idle server would wake up two hundred times a second.
    """
    clock = time.monotonic  # uvloop's own clock stands still during an iteration, which is what is to be measured
    worst, worst_before, since = 0.0, 0.0, clock()
    pause, used = _SAMPLE_SECONDS, time.thread_time()
    while True:
        due = clock() + pause
        await asyncio.sleep(pause)
        late = max(0.0, clock() - due)
        before, used = used, time.thread_time()
        pause = _IDLE_SAMPLE_SECONDS if used - before < _IDLE_SHARE * (pause + late) else _SAMPLE_SECONDS
        worst = max(worst, late)
        metrics.note_lag(late, max(worst, worst_before))
        if clock() - since > 60:
            worst, worst_before, since = 0.0, worst, clock()
