"""What the server counts, for Prometheus. Counting is a few additions; the text is made when somebody asks for it."""

import asyncio
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_SAMPLE_SECONDS, _IDLE_SAMPLE_SECONDS = 0.005, 0.05
_IDLE_SHARE = 0.05  # of a processor: a loop that uses less has next to nothing to do
_BOUNDS = (*(str(bound) for bound in _BUCKETS), "+Inf")


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
        self._stall = 0.0
        self._followers = 0
        self._reaches_broker: bool | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count(self, operation: str, status: int, seconds: float) -> None:
        self._requests[operation, status] += 1
        self._times[operation].add(seconds)

    def note_lag(self, seconds: float, worst: float) -> None:
        """Note how late the event loop came to a timer, and the worst of the last minute or two, in seconds."""
        self._lags.add(seconds)
        self._stall = worst

    def render(self, followers: int, *, reaches_broker: bool | None = None) -> bytes:
        """The text. Without a broker, nothing is said of one."""
        self._followers, self._reaches_broker = followers, reaches_broker
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
        stall = "Longest stall of the event loop in the last minute or two"
        yield requests
        yield seconds
        yield lags
        yield GaugeMetricFamily("fleetroll_loop_stall_seconds", stall, value=self._stall)
        yield GaugeMetricFamily("fleetroll_event_streams", "Open event streams", value=self._followers)
        if self._reaches_broker is not None:
            yield GaugeMetricFamily("fleetroll_broker_up", "1 if the broker is reached, else 0", self._reaches_broker)


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
