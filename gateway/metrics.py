"""What the gateway measures: requests, payments, calls to processors and vault, what waits. Prometheus metrics."""

from collections import Counter as Counts
from collections.abc import Iterable, Mapping

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from connectors.logs import LoggedOnce
from schemas.alerts import ALERT_KINDS
from schemas.payments import PROCESSORS, ProcessorName
from schemas.topics import OPERATIONS, PAYMENTS

BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
LOGGED_EVERY_S = 1.0
OTHER = "other"

log = structlog.get_logger()


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


class ProcessorMetrics:
    """Calls to processors by processor, kind (an operation's, or `lookup`, `order_status`) and result."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("processor", "kind", "result")
        about = "Time until a processor's answer was known, or given up."
        self.seconds = Histogram("sluice_processor_seconds", about, labels, registry=registry, buckets=BUCKETS_S)

    def observe(self, processor: str, kind: str, result: str, seconds: float) -> None:
        """Count one call."""
        self.seconds.labels(processor, kind, result).observe(seconds)


class VaultMetrics:
    """Calls of the vault, which is measured here alone, and which of two vaults answers them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Time until the vault's reply, or until it was given up, by what was asked and what came of it."
        labels = ("kind", "result")
        self.seconds = Histogram("sluice_vault_seconds", about, labels, registry=registry, buckets=BUCKETS_S)
        about = "1 for the vault that answered this gateway last, by its address."
        self._serving = Gauge("sluice_vault_serving", about, ["vault"], registry=registry)

    def observe(self, kind: str, result: str, seconds: float) -> None:
        """Count one call. `result`: `done`, `away`, `cancelled`, or the vault's word for why not."""
        self.seconds.labels(kind, result).observe(seconds)

    def show(self, serving: str | None) -> None:
        """The address of the vault that serves, None before its first answer."""
        self._serving.clear()
        if serving is not None:
            self._serving.labels(serving).set(1)


class VerdictMetrics:
    """How long payments waited for a verdict, and who judged them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Time that a payment waited for its verdict, by who judged it."
        self.seconds = Histogram(
            "sluice_verdict_wait_seconds", about, ("judge",), registry=registry, buckets=BUCKETS_S
        )
        for judge in ("flow", "stand_in"):
            self.seconds.labels(judge)  # from 0 on: a share of what is not there is no number

    def observe(self, seconds: float, *, is_told: bool) -> None:
        """Count a payment. `is_told`: a verdict of the flow came in time."""
        self.seconds.labels("flow" if is_told else "stand_in").observe(seconds)


class EventMetrics:
    """What became of payments, refunds, operations and the rest, as events of committed transactions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Events committed, by type: payment.captured, refund.failed, operation.unknown …"
        self.events = Counter("sluice_events", about, ("type",), registry=registry)
        for topic in (PAYMENTS, OPERATIONS):
            for type in topic.events:
                self.events.labels(type)

    def count(self, type: str) -> None:
        """Count one."""
        self.events.labels(type).inc()


class UnfinishedMetrics:
    """Operations whose end nobody knows, and tasks for a person, as of the last look."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Operations that a processor has not told the end of, and that recovery asks for."
        self.operations = Gauge("sluice_operations_unknown", about, ("processor",), registry=registry)
        about = "Age of the oldest of them."
        self.seconds = Gauge("sluice_operations_unknown_seconds", about, ("processor",), registry=registry)
        self.tasks = Gauge("sluice_tasks_open", "Tasks that wait for a person.", registry=registry)

    def show(self, unknown: Mapping[ProcessorName, tuple[int, int]], tasks: int, now: int) -> None:
        """Show them. `unknown`: how many and since when; times in microseconds UTC."""
        for processor in PROCESSORS:
            count, since = unknown.get(processor, (0, now))
            self.operations.labels(processor).set(count)
            self.seconds.labels(processor).set(max(0, now - since) / 1_000_000)
        self.tasks.set(tasks)


class InboxMetrics:
    """What came over Kafka and was not obeyed, by the field that could not be believed.

    All of it is counted, and logged once in `LOGGED_EVERY_S` per field: a flood of lines would stop payments.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Verdicts that do not fit the payment they name."
        self.verdicts = Counter("sluice_verdicts_refused", about, ("field",), registry=registry)
        about = "Rules and list entries with impossible values."
        self.controls = Counter("sluice_controls_refused", about, ("field",), registry=registry)
        about = "Alerts that nobody can have raised."
        self.alerts = Counter("sluice_alerts_refused", about, ("field",), registry=registry)
        self._once = LoggedOnce(LOGGED_EVERY_S)

    def refuse_verdict(self, field: str) -> None:
        """Count and log a verdict that is not believed."""
        self.verdicts.labels(field).inc()
        self._log("verdict.refused", field)

    def refuse_control(self, field: str) -> None:
        """Count and log a control that is not obeyed."""
        self.controls.labels(field).inc()
        self._log("control.refused", field)

    def refuse_alert(self, field: str) -> None:
        """Count and log an alert that is not shown."""
        self.alerts.labels(field).inc()
        self._log("alert.refused", field)

    def _log(self, event: str, field: str) -> None:
        if self._once.is_due((event, field)):
            log.warning(event, field=field)


class LookalikeMetrics:
    """Card numbers that were not tokenized because too many like them came, by whose limit it was.

    All are counted, and an alert is logged once in `LOGGED_EVERY_S` for each limit.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Card numbers refused: too many of the same BIN and last four digits that day."
        self.refused = Counter("sluice_lookalikes_refused", about, ("scope",), registry=registry)
        for scope in ("account", "address", "all"):
            self.refused.labels(scope)  # from 0 on: else the first one is no increase
        self._once = LoggedOnce(LOGGED_EVERY_S)

    def refuse(self, scope: str, account_id: str, bin: str, last4: str) -> None:
        """Count and log a number that an account was refused."""
        self.refused.labels(scope).inc()
        if self._once.is_due(scope):
            log.warning("lookalikes.refused", scope=scope, account_id=account_id, bin=bin, last4=last4)


class AlertMetrics:
    """What needs a person, by kind: alerts raised while this gateway runs, and those that stand."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Alerts raised, by this gateway, others and the fraud flow."
        self.raised = Counter("sluice_alerts_raised", about, ("kind",), registry=registry)
        about = "Alerts that are not over, of the last 24 hours."
        self.standing = Gauge("sluice_alerts_standing", about, ("kind",), registry=registry)
        for kind in ALERT_KINDS:
            self.raised.labels(kind)  # from 0 on: else the first one is no increase

    def count(self, kind: str) -> None:
        """Count one that was raised."""
        self.raised.labels(_known(kind)).inc()

    def show(self, kinds: Iterable[str]) -> None:
        """Show those that stand, by their kinds."""
        counts = Counts(map(_known, kinds))
        for kind in (*ALERT_KINDS, OTHER):
            self.standing.labels(kind).set(counts[kind])


def _known(kind: str) -> str:
    return kind if kind in ALERT_KINDS else OTHER  # a text from Kafka would make series without end


class AuditMetrics:
    """How long entries of the books' audit have waited for the vault to keep their hashes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Since when the vault keeps no head of the books' audit, though there are new ones."
        self.seconds = Gauge("sluice_audit_heads_late_seconds", about, registry=registry)

    def show_late(self, seconds: float) -> None:
        """Show since when; 0: it keeps them all."""
        self.seconds.set(seconds)


class StopMetrics:
    """What takes no new payments, as of the last look."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Processors and merchants that are stopped, and one where everything is."
        self.standing = Gauge("sluice_stops", about, registry=registry)


class OutboxMetrics:
    """How far Kafka is behind the books, as of the last look."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = Gauge("sluice_outbox_rows", "Events since the oldest Kafka has not taken.", registry=registry)
        self.seconds = Gauge("sluice_outbox_seconds", "Age of the oldest Kafka has not taken.", registry=registry)

    def show(self, rows: int, since: int | None, now: int) -> None:
        """Show what waits, and since when; `since` and `now` in microseconds UTC."""
        self.rows.set(rows)
        self.seconds.set(0 if since is None else max(0, now - since) / 1_000_000)


class ClientMetrics:
    """OAuth clients that somebody has to renew, as of the last look."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "OAuth clients that run out within 14 days."
        self.expiring = Gauge("sluice_clients_expiring", about, registry=registry)
