"""What the server counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """One registry per server, so that two servers in one process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "fleetroll_requests", "Requests by operation and status", ["operation", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "fleetroll_request_seconds", "Time to reply", ["operation"], buckets=_BUCKETS, registry=self._registry
        )
        self._stall = Gauge(
            "fleetroll_loop_stall_seconds",
            "Longest stall of the event loop in the last minute",
            registry=self._registry,
        )
        self._followers = Gauge("fleetroll_event_streams", "Open event streams", registry=self._registry)
        self._counts: dict[tuple[str, int], Counter] = {}
        self._times: dict[str, Histogram] = {}

    def count(self, operation: str, status: int, seconds: float) -> None:
        counter = self._counts.get((operation, status))
        if counter is None:
            counter = self._counts[operation, status] = self._requests.labels(operation, str(status))
            self._times[operation] = self._seconds.labels(operation)
        counter.inc()
        self._times[operation].observe(seconds)

    def stalled(self, seconds: float) -> None:
        self._stall.set(seconds)

    def render(self, followers: int) -> bytes:
        self._followers.set(followers)
        return generate_latest(self._registry)
