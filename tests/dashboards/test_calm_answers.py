"""Answers about long periods: who looks again does not wait, and sees a new one soon."""

import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from connectors.warehouse import Table
from dashboards import calm_answers
from dashboards.calm_answers import CachedAnswer, CalmAnswers
from tests.patience import until


class Warehouse:
    """Answers by counting; a question waits while it is not `open`."""

    def __init__(self, clock: list[float]) -> None:
        self.clock, self.asked, self.trouble = clock, 0, ""
        self.open = threading.Event()
        self.open.set()

    def ask(self, _sql: str) -> CachedAnswer:
        assert self.open.wait(60)
        self.asked += 1
        return CachedAnswer(Table(["n"], [(self.asked,)]), self.clock[0], self.trouble or None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [1_000.0]
    monkeypatch.setattr(calm_answers, "time", SimpleNamespace(monotonic=lambda: moment[0]))
    return moment


@pytest.fixture
def warehouse(clock: list[float]) -> Warehouse:
    return Warehouse(clock)


@pytest.fixture
def look(warehouse: Warehouse) -> Callable[[], int]:
    answers = CalmAnswers(warehouse.ask, kept=2)

    def look() -> int:
        table = answers.ask("SELECT 1", warehouse.ask).table
        assert table
        [(number,)] = table.rows
        return int(number)

    return look


def test_an_answer_is_shown_at_once_and_renewed_beside_that(
    look: Callable[[], int], warehouse: Warehouse, clock: list[float]
) -> None:
    assert (look(), look()) == (1, 1)
    warehouse.open.clear()
    clock[0] += calm_answers.CALM_S + 1
    assert (look(), look()) == (1, 1), "nobody waits for the new one"
    warehouse.open.set()
    until(lambda: look() == 2)
    assert warehouse.asked == 2, "however many look meanwhile"


def test_what_took_long_is_asked_for_seldom(warehouse: Warehouse, clock: list[float]) -> None:
    answers = CalmAnswers(warehouse.ask, kept=2)

    def slowly(sql: str) -> CachedAnswer:
        clock[0] += 2
        return warehouse.ask(sql)

    answers.ask("SELECT 1", slowly)
    clock[0] += 2 * calm_answers.SPARE - 1
    answers.ask("SELECT 1", slowly)
    assert warehouse.asked == 1
    clock[0] += 2
    answers.ask("SELECT 1", slowly)
    until(lambda: warehouse.asked == 2)


def test_what_is_old_is_shown_to_nobody(look: Callable[[], int], clock: list[float]) -> None:
    assert look() == 1
    clock[0] += calm_answers.SHOWN_S + 1
    assert look() == 2


def test_after_a_failure_it_is_asked_again_with_the_next_look(
    look: Callable[[], int], warehouse: Warehouse
) -> None:
    warehouse.trouble = "away"
    assert (look(), look()) == (1, 2)


def test_a_renewal_that_fails_takes_no_answer_away(warehouse: Warehouse, clock: list[float]) -> None:
    def fail(_sql: str) -> CachedAnswer:
        return CachedAnswer(None, clock[0], "away")

    answers = CalmAnswers(fail, kept=2)
    answers.ask("SELECT 1", warehouse.ask)
    clock[0] += calm_answers.CALM_S + 1
    answers.ask("SELECT 1", fail)
    shown = until(lambda: (answer := answers.ask("SELECT 1", fail)).trouble and answer)
    assert (shown.table.rows, shown.age_s) == ([(1,)], calm_answers.CALM_S + 1)
