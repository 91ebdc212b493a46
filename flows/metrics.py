"""What flows measure of their own work, beside the topics they read (`connectors/flow_metrics.py`).

Each class belongs to one process, and is made where its work is done.
"""

from math import nan

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.times import now_micros

JUDGED_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
BATCH_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
STATEMENT_S = (0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30)


class RiskMetrics:
    """Verdicts of the fraud flow."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Verdicts made, those made again after a restart included."
        self.verdicts = Counter("sluice_fraud_verdicts", about, ("outcome", "source"), registry=registry)
        about = "From the payment's commit to its verdict, by the wall clocks of gateway and flow."
        self.seconds = Histogram("sluice_fraud_seconds", about, registry=registry, buckets=JUDGED_S)
        about = "Payments that could not be scored."
        self.faults = Counter("sluice_fraud_faults", about, registry=registry)

    def count(self, outcome: str, source: str, seconds: float, *, is_faulty: bool) -> None:
        """Count a verdict that was made so long after its payment's commit."""
        self.verdicts.labels(outcome, source).inc()
        self.seconds.observe(max(0.0, seconds))
        self.faults.inc(is_faulty)


class MessageMetrics:
    """Messages to customers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Messages that came to an end."
        self.messages = Counter("sluice_messages", about, ("channel", "outcome"), registry=registry)
        self.waiting = Gauge("sluice_messages_waiting", "Messages that wait to be sent.", registry=registry)
        about = "1 while a lane's party (gateway, mail server, SMS provider) does not answer."
        self.away = Gauge("sluice_channel_away", about, ("lane",), registry=registry)


class WarehouseMetrics:
    """The warehouse file of the processes `analytics` and `sql`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "How old the warehouse's picture of the topics is."
        self.age = Gauge("sluice_warehouse_age_seconds", about, registry=registry)
        self.age.set_function(self._age_s)
        about = "Time to write one batch of records."
        self.seconds = Histogram("sluice_warehouse_batch_seconds", about, registry=registry, buckets=BATCH_S)
        self.rows = Counter("sluice_warehouse_rows", "Rows written.", registry=registry)
        self._true_until_s = nan

    def wrote(self, rows: int, newest_ms: int, seconds: float) -> None:
        """A batch is in, whose newest record is of `newest_ms` (Kafka's time)."""
        self.rows.inc(rows)
        self.seconds.observe(seconds)
        self._true_until_s = newest_ms / 1_000

    def looked(self, waiting: int) -> None:
        """So many records wait to be written."""
        if not waiting:
            self._true_until_s = now_micros() / 1_000_000

    def _age_s(self) -> float:
        return max(now_micros() / 1_000_000 - self._true_until_s, 0.0)  # NaN, the first of the two, before a look


class StatementMetrics:
    """Statements that readers of the process `sql` sent."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Time that a statement of a reader took."
        self.seconds = Histogram(
            "sluice_sql_statement_seconds", about, ("outcome",), registry=registry, buckets=STATEMENT_S
        )
