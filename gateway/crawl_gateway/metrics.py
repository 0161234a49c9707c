"""What the gateway counts of itself, in Prometheus' words."""

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from crawl_gateway.mirrors import Mirrors
from crawl_gateway.webhooks.ledger import TOLD

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        route = ("method", "route")
        self.requests = Counter(
            "crawl_gateway_requests_total", "Requests answered.", (*route, "code"), registry=self.registry
        )
        self.seconds = Histogram(
            "crawl_gateway_request_seconds",
            "From a request to the begin of its answer.",
            route,
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.limited = Counter(
            "crawl_gateway_limited_total", "Requests refused with 429 by the gateway.", registry=self.registry
        )
        self.streams = Gauge("crawl_gateway_streams", "Streams open now.", ("kind",), registry=self.registry)
        self.slow = Counter(
            "crawl_gateway_slow_readers_total", "Streams ended, for nobody read them.", registry=self.registry
        )

        self.webhooks = Counter(
            "crawl_gateway_webhook_tries_total",
            "Messages sent to webhooks, or tried to be, by what became of them.",
            ("state",),
            registry=self.registry,
        )
        for state in TOLD:
            self.webhooks.labels(state)

    def watch(self, *mirrors: Mirrors[Any]) -> None:
        """Tell of what is in memory, too."""
        self.registry.register(_Memory(mirrors))

    def exposition(self) -> bytes:
        """Write it all down."""
        return generate_latest(self.registry)


class _Memory(Collector):
    def __init__(self, mirrors: tuple[Mirrors[Any], ...]) -> None:
        self._mirrors = mirrors

    def collect(self) -> Iterator[GaugeMetricFamily]:
        objects = GaugeMetricFamily("crawl_gateway_objects", "Objects in memory.", labels=["resource"])
        silence = GaugeMetricFamily(
            "crawl_gateway_watch_silence_seconds", "Since a watch was last heard of.", labels=["resource"]
        )
        for each in self._mirrors:
            objects.add_metric([each.resource], len(each))
            silence.add_metric([each.resource], each.silence)
        yield objects
        yield silence
