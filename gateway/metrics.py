"""What the gateway measures of every request: Prometheus metrics."""

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector

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
