"""Backtests that persons run: each in a thread, as long as somebody looks at it."""

import time
from concurrent.futures import Future
from datetime import date, timedelta
from threading import Thread
from typing import Any

import msgspec

from connectors.gateway import GatewayUnavailable
from dashboards.gateway_calls import Api
from schemas.times import now

PATH = "/v1/rules/backtest"
LOOKED_AT_S = 10.0  # who does not look for so long has left: nobody waits for the answer


class CurrencySums(msgspec.Struct, frozen=True):
    """What was caught and lost in one currency, in minor units; the intervals are null where nothing was."""

    currency: str
    caught: int
    lost: int
    caught_interval: tuple[int, int] | None = None
    lost_interval: tuple[int, int] | None = None


class TriedWeek(msgspec.Struct, frozen=True):
    """What a rule would have done in the week (UTC) that begins on this Monday."""

    week: date
    payments: int
    hits: int
    frauds_caught: int
    good_lost: int
    amounts: list[CurrencySums] = []


class TriedRule(msgspec.Struct, frozen=True):
    """What a rule would have done; `precision` and its `interval` are null where nothing is known of its hits."""

    payments: int
    hits: int
    frauds_caught: int
    good_lost: int
    amounts: list[CurrencySums]
    precision: float | None
    interval: tuple[float, float] | None
    by_week: list[TriedWeek]
    coverage: dict[str, float]


class Step(msgspec.Struct, frozen=True):
    """A line of the answer: how far it is, where it is not the last one."""

    progress: float | None = None
    payments: int = 0


class NotFinished(Exception):
    """Somebody gave it up."""


class RunningBacktest:
    """A backtest of a condition over the last `days`; it ends when nobody looks at it any more."""

    def __init__(self, expression: str, outcome: str, days: int) -> None:
        self.expression, self.outcome, self.days = expression, outcome, days
        self.progress, self.payments = 0.0, 0
        self.ended: Future[TriedRule] = Future()
        self._looked_at, self._given_up = time.monotonic(), False

    def start(self, api: Api) -> None:
        """Ask the gateway in the name of whose `api` it is."""
        Thread(target=self._run, args=(api,), daemon=True).start()

    def look(self) -> None:
        """Note that somebody looks at it."""
        self._looked_at = time.monotonic()

    def give_up(self) -> None:
        """End it after the part that is being asked."""
        self._given_up = True

    def _run(self, api: Api) -> None:
        end = now()
        body = {"expression": self.expression, "outcome": self.outcome, "to": end.isoformat()}
        body["from"] = (end - timedelta(days=self.days)).isoformat()
        try:
            last = api.post_lines(PATH, body, self._take)
            self.ended.set_result(self._read(last))
        except Exception as error:  # whatever it is, somebody waits for an end
            self.ended.set_exception(error)

    def _take(self, line: Any) -> bool:
        """Note how far it is; whether the next line is wanted."""
        step = msgspec.convert(line, Step)
        if step.progress is not None:
            self.progress, self.payments = step.progress, step.payments
        return not self._given_up and time.monotonic() - self._looked_at < LOOKED_AT_S

    def _read(self, last: Any) -> TriedRule:
        if last is None or "progress" in last:
            raise NotFinished
        try:
            return msgspec.convert(last, TriedRule)
        except msgspec.ValidationError:
            raise GatewayUnavailable("not the answer that was expected") from None
