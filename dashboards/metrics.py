"""What the dashboards measure. Streamlit runs the pages anew for each change, and imports this module once."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class DashboardMetrics:
    """Pages, and their questions to the warehouse."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Pages drawn, those drawn anew for a change included."
        self.draws = Counter("sluice_dashboard_draws", about, ("page",), registry=registry)
        about = "Time until a question of a page was answered, or given up."
        self.seconds = Histogram(
            "sluice_dashboard_query_seconds", about, ("result",), registry=registry, buckets=SECONDS
        )
        for result in ("answered", "away", "failed"):
            self.seconds.labels(result)


METRICS = DashboardMetrics(REGISTRY)
