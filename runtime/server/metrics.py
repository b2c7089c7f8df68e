"""What a server did so far, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from runtime.server.line import Line
from runtime.server.meter import Label, Meter

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)  # seconds


class Metrics(Meter):
    """Counts requests, and the seconds of their stages."""

    def __init__(self, line: Line) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "pix2rt_requests", "Requests that ended.", [*Label._fields, "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "pix2rt_stage_seconds",
            "Seconds of a request's stages.",
            [*Label._fields, "stage"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        kept = Gauge(
            "pix2rt_requests_kept", "Requests that are decoded, wait, run or are encoded.", registry=self._registry
        )
        kept.set_function(lambda: line.kept)
        waiting = Gauge("pix2rt_calls", "Calls of engines that wait or run.", registry=self._registry)
        waiting.set_function(lambda: line.waiting)

    def took(self, label: Label, stage: str, seconds: float) -> None:
        """See `Meter.took`."""
        self._seconds.labels(*label, stage).observe(seconds)

    def ended(self, label: Label, status: int) -> None:
        """See `Meter.ended`."""
        self._requests.labels(*label, str(status)).inc()

    def text(self) -> bytes:
        """All of it in Prometheus' own format."""
        return generate_latest(self._registry)
