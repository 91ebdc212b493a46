"""What the gateway measures of every request, and of what waits for Kafka: Prometheus metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from gateway.books.outbox import Backlog

BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class RequestMetrics:
    """Requests by method, rule and status, and how long they took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "rule", "status")
        self.requests = Counter("sluice_http_requests", "Requests answered.", labels, registry=registry)
        self.seconds = Histogram(
            "sluice_http_request_seconds", "Time to answer.", labels[:2], registry=registry, buckets=BUCKETS_S
        )
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

    def observe(self, method: str, rule: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self.requests.labels(method, rule, status).inc()
        self.seconds.labels(method, rule).observe(seconds)


class OutboxMetrics:
    """How far Kafka is behind the books, as of the last look."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = Gauge("sluice_outbox_rows", "Events since the oldest Kafka has not taken.", registry=registry)
        self.seconds = Gauge("sluice_outbox_seconds", "Age of the oldest Kafka has not taken.", registry=registry)

    def show(self, backlog: Backlog, now: int) -> None:
        """Show what waits; `now` in microseconds UTC."""
        self.rows.set(backlog.rows)
        self.seconds.set(0 if backlog.since is None else (now - backlog.since) / 1_000_000)
