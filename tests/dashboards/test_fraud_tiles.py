"""Every tile of the page Fraud: its figures against verdicts, labels and reviews counted by hand."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from connectors.warehouse import Table, WarehouseReader
from dashboards import compared, formats
from dashboards.compared import ComparedRows
from dashboards.look import Look
from dashboards.tables import Cell
from dashboards.tile import Tile
from dashboards.tiles import judging, labelled
from dashboards.tiles.headline import figure
from schemas.events import new_event
from schemas.fraud import Verdict
from schemas.payments import AppliedRisk, Payment
from schemas.times import now
from tests.flows.analytics.lives import labelled as label
from tests.flows.analytics.lives import review, reviewed

HOUR = Look("1h")


@pytest.fixture
def moment() -> datetime:
    return now() - timedelta(minutes=10)


def asked(reader: WarehouseReader, tile: Tile) -> Table:
    return reader.query(tile.statement(HOUR))


def judged(shop: Any, at: datetime, outcome: Any, source: Any = "model", **changes: Any) -> Payment:
    """A payment that this outcome decided; it is written."""
    taken = {"allow": "captured", "flag": "captured", "review": "in_review", "block": "declined"}[outcome]
    usual = {"state": taken, "amount": 1000, "currency": "EUR", "risk": AppliedRisk(outcome, source, 0.5)}
    made: Payment = shop.payment(at, **(usual | changes))
    shop.take(made)
    return made


def verdict(shop: Any, payment: Payment, outcome: Any, latency_ms: float = 5.0, **changes: Any) -> None:
    """What the fraud flow said of it."""
    usual = {"reasons": ["card_testing"], "score": 0.91, "source": "model", "model": "m-1", "rules": "r-1"}
    where = {"flow_sequence": 1, "input_partition": 0, "input_offset": 0, "features": {}}
    times = {"occurred_at": payment.occurred_at, "recorded_at": payment.created_at, "latency_ms": latency_ms}
    about = {"payment": payment.id, "instrument": "fp_1", "merchant": payment.merchant, "outcome": outcome}
    said = Verdict(**(usual | where | times | about | changes))
    shop.put("risk.v1", new_event("risk.verdict", "/", payment.id, said, payment.created_at))


def learned(shop: Any, what: str, payment: str, at: datetime, **changes: Any) -> None:
    """A label of it."""
    shop.put("labels.v1", label(what, payment=payment, occurred_at=at, recorded_at=at, **changes))


def test_what_was_judged_is_counted_by_outcome_and_source(
    shop: Any, reader: WarehouseReader, moment: datetime
) -> None:
    for outcome in ("allow", "allow", "flag", "review"):
        judged(shop, moment, outcome)
    judged(shop, moment, "block", "stand_in")
    rows = ComparedRows(asked(reader, judging.JUDGED))
    shown = {each.label: figure(each, rows, HOUR).value for each in judging.HEADLINES}
    assert shown == {"Judged": "5", "Held or blocked": "40.0%", "By the stand-in": "20.0%"}
    lines = judging.outcomes(asked(reader, judging.VERDICTS))
    assert [(line.outcome, line.count) for line in lines] == [
        ("allow", 2),
        ("flag", 1),
        ("review", 1),
        ("block", 1),
    ]
    [(_, flagged, held, blocked, count)] = asked(reader, judging.VERDICTS_COURSE).rows
    assert (flagged, held, blocked, count) == (20, 20, 20, 5)


def test_reasons_and_the_time_to_a_verdict(shop: Any, reader: WarehouseReader, moment: datetime) -> None:
    for number, outcome in enumerate(("flag", "review", "review", "block", "allow")):
        reasons = [] if outcome == "allow" else ["card_testing", "new_device"][: 1 + number % 2]
        verdict(shop, judged(shop, moment, outcome), outcome, 10.0 * (number + 1), reasons=reasons)
    assert asked(reader, judging.REASONS).rows == [("card_testing", 1, 2, 1, 4), ("new_device", 0, 1, 1, 2)]
    [(_, p50, p99, count)] = asked(reader, judging.LATENCY).rows
    assert (p50, round(p99, 1), count) == (30, 49.6, 5)


def test_late_verdicts_are_those_that_would_have_decided_otherwise(
    shop: Any, reader: WarehouseReader, moment: datetime
) -> None:
    differs = judged(shop, moment, "allow", "stand_in")
    verdict(shop, differs, "block")
    verdict(shop, judged(shop, moment, "allow", "stand_in"), "allow")
    verdict(shop, judged(shop, moment, "block"), "block")
    held = judged(shop, moment - timedelta(minutes=1), "review", "stand_in")
    verdict(shop, held, "allow")
    [line, older] = judging.late(asked(reader, judging.LATE), HOUR)
    assert [cell.text for cell in older[1:4] if isinstance(cell, Cell)] == [held.id, "review", "allow"]
    assert line[1] == Cell(differs.id, href=f"payments?payment={differs.id}")
    assert [cell.text for cell in line[2:4] if isinstance(cell, Cell)] == ["allow", "block"]
    assert line[4:] == ["0.91", "card testing"]


def test_the_model_is_measured_by_the_labels_that_came(
    shop: Any, reader: WarehouseReader, moment: datetime
) -> None:
    """Two hours of labels; their means are weighed by how many there are."""
    for number, (what, score, ago) in enumerate(
        (("fraud", 0.8, 0), ("good", 0.1, 0), ("good", 0.3, 0), ("fraud", 0.6, 1))
    ):
        learned(shop, what, f"pay_{number}", now() - timedelta(hours=ago), score=score, model="logistic-1")
    learned(shop, "good", "pay_9", moment, score=None, model=None, source="dispute")
    look = Look("24h")
    [line] = labelled.quality(reader.query(labelled.QUALITY.statement(look)))
    brier = (0.2**2 + 0.1**2 + 0.3**2 + 0.4**2) / 4
    assert line == ["logistic-1", "4", "2", "1.8", "0.700", "0.200", f"{brier:.3f}"]
    lines = labelled.labels(reader.query(labelled.LABELS.statement(look)))
    assert lines == [["analyst", "2", "2", "0"], ["dispute", "0", "1", "1"]]


def test_caught_missed_and_wrongly_stopped_are_told_in_money(
    shop: Any, reader: WarehouseReader, moment: datetime
) -> None:
    """The last label counts; a review that a person approved counts as good where no label came."""
    caught, missed, approved, changed = (
        judged(shop, moment, outcome) for outcome in ("block", "allow", "review", "review")
    )
    judged(shop, moment, "block")  # nobody said anything of it
    for paid in (caught, missed):
        learned(shop, "fraud", paid.id, moment)
    learned(shop, "fraud", changed.id, moment)
    learned(shop, "good", changed.id, moment + timedelta(minutes=1))
    yen = judged(shop, moment, "allow", currency="JPY", amount=500)
    learned(shop, "fraud", yen.id, moment)
    opened = {"payment": approved.id, "opened_at": moment}
    decided = {"decision": "approve", "decided_by": "acc_ana", "decided_at": moment}
    shop.put("reviews.v1", reviewed(1, review(**opened)), reviewed(2, review(**opened, **decided)))
    euros, yens = labelled.money(asked(reader, labelled.MONEY))
    one = "1 payment"
    assert euros == ["EUR", Cell("10.00", one), Cell("10.00", one), Cell("20.00", "2 payments")]
    assert yens == ["JPY", formats.NONE, Cell("500", one), formats.NONE]


def test_a_course_needs_two_steps_and_changes_what_was_there() -> None:
    assert compared.line([(0.5, 3.0)]) == ""
    assert compared.line([(0, 0), (1, 10)], height=24) == "0% 22px,100% 0px,100% 24px,0% 24px"
    rows = ComparedRows(Table(["span", "step", "is_over", "n"], [("shown", now(), True, 5)]))
    assert rows.changes(HOUR, lambda sums: sums["n"], "of_it") == []
