"""The JSON document that a run of the benchmarks writes."""

from datetime import datetime

import msgspec

Quantiles = dict[str, float]  # p50 and p99, milliseconds


class Load(msgspec.Struct, frozen=True, omit_defaults=True):
    """`number` requests sent. `verdict_ms` and `visible_ms` (commit to seen by SQL) are of payments only."""

    number: int
    per_second: float
    latency_ms: Quantiles
    verdict_ms: Quantiles = {}
    visible_ms: Quantiles = {}


class Round(msgspec.Struct, frozen=True):
    """Bare POSTs, then payments, as fast as answers come, 32 at a time."""

    bare: Load
    payments: Load

    def per_second_ratio(self) -> float:
        """Payments per second ÷ bare POSTs per second."""
        return self.payments.per_second / self.bare.per_second

    def p99_ratio(self) -> float:
        """The payments' p99 ÷ that of the bare POSTs."""
        return self.payments.latency_ms["p99"] / self.bare.latency_ms["p99"]


class Cost(msgspec.Struct, frozen=True):
    """CPU per payment over all rounds; memory after them: with shared pages in proportion (PSS), and all (RSS)."""

    cpu_ms: float
    pss_mb: int
    rss_mb: int


class Machine(msgspec.Struct, frozen=True):
    """Where it ran. `load` is the load average over the last minute before it began."""

    cpus: int
    python: str
    load: float


class Figures(msgspec.Struct, frozen=True):
    """The document. Ratios are medians over rounds of the same run.

    `paced`: payments at a gentle rate; `hop_ms`: records through an empty flow at the same rate, right after.
    """

    began_at: datetime
    machine: Machine
    start_to_first_payment_s: float
    rounds: list[Round]
    payments_per_second: float
    per_second_of_bare: float
    p99_of_bare: float
    paced: Load
    hop_ms: Quantiles
    verdict_of_hop: Quantiles
    processes: dict[str, Cost]
