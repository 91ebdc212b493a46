"""The page Pipeline: its figures against the rows that were written, and who sends a dead letter again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import streamlit as st

from connectors.heartbeat import beat
from connectors.warehouse import Table
from dashboards import door, pipeline_machine, pipeline_tiles
from dashboards.look import Look
from dashboards.pipeline_letters import LetterReplay, ended
from dashboards.pipeline_tiles import (
    DELAYS,
    FLOWS,
    LETTERS,
    MADE,
    TOPICS,
    FlowLine,
    TopicLine,
    flow_state,
    troubles,
)
from dashboards.settings import DashboardSettings
from dashboards.tables import Cell
from dashboards.tile import Tile
from flows.analytics.ingest import ingest
from schemas.events import DeadLetter, new_event
from schemas.fraud import Verdict
from schemas.payments import AppliedRisk, Payment
from schemas.times import now
from schemas.topics import DEAD_LETTER, PAYMENTS, RISK
from tests.dashboards.driven import opened, press, words
from tests.dashboards.gateway_double import AT, GatewayDouble

HOUR = Look("1h")
JUDGED = AppliedRisk("allow", "stand_in", waited_ms=250.0)
LETTER = {"id": "dl_0_7", "event": "evt_1", "source": "/analytics", "topic": "payments.v1", "partition": 2}
LETTER |= {"offset": 41, "reason": "malformed DecodeError", "recorded_at": AT}


class WrittenFlows:
    """What a test wrote into a shop's warehouse, and what a tile says of it."""

    def __init__(self, shop: Any) -> None:
        self._shop = shop
        self._reader = shop.reader()

    def payment(self, ago: timedelta, took: timedelta | None, **changes: Any) -> Payment:
        """A payment, with a verdict that took so long, or with none."""
        changes = {"state": "captured", "status": "succeeded", "risk": JUDGED} | changes
        payment: Payment = self._shop.payment(now() - ago, **changes)
        self._shop.take(payment)
        if took is not None:
            self._put(RISK.name, new_event("risk.verdict", "/", payment.id, _verdict(payment, took), now()))
        return payment

    def letter(self, offset: int, reason: str) -> None:
        """A dead letter of a record at that offset."""
        data = DeadLetter(PAYMENTS.name, 0, offset, reason, None, now())
        self._put(DEAD_LETTER.name, new_event("dead_letter", "/", f"{offset}", data, now()))

    def lag(self, **lags: int) -> None:
        """How many records of each topic are still to be read."""
        self._shop.warehouse.save_lag({(f"{topic}.v1", 0): lag for topic, lag in lags.items()})

    def rows(self, tile: Tile, look: Look = HOUR) -> list[tuple[Any, ...]]:
        return self._reader.query(tile.statement(look)).rows

    def _put(self, topic: str, event: Any) -> None:
        self._shop.warehouse.write([ingest(self._shop._record(topic, event))])


def _verdict(payment: Payment, took: timedelta) -> Verdict:
    milliseconds = took / timedelta(milliseconds=1)
    return Verdict(
        *(payment.id, "fp_1", "acc_shop", "allow", "model", 0.1, [], {}, "m1", "r1", 1, 0, 1, milliseconds),
        occurred_at=payment.created_at,
        recorded_at=payment.created_at + took,
    )


@pytest.fixture
def written(shop: Any) -> WrittenFlows:
    return WrittenFlows(shop)


@pytest.fixture
def page_of(gateway: GatewayDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayDouble]:
    st.cache_resource.clear()
    st.cache_data.clear()
    monkeypatch.setenv("SLUICE_DATA", str(tmp_path))
    monkeypatch.setenv("SLUICE_GATEWAY", gateway.url)
    monkeypatch.setattr(door, "_browser", lambda: "one")
    yield gateway
    st.cache_resource.clear()


def test_flows_are_counted_with_how_long_they_took_and_what_waits(written: WrittenFlows) -> None:
    for seconds in (1, 2, 3):
        written.payment(timedelta(minutes=2 * seconds), timedelta(milliseconds=10 * seconds))
    waits = [written.payment(timedelta(minutes=m), None) for m in (3, 4)]
    written.payment(timedelta(minutes=50), None)  # so late no verdict comes
    for state, status in (("requires_action", "pending"), ("voided", "failed")):  # never approved: never judged
        written.payment(timedelta(minutes=5), None, state=state, status=status, risk=None)
    written.lag(payments=0, risk=5)
    flows = {line.flow: line for line in map(FlowLine._make, written.rows(FLOWS))}
    fraud, analytics = flows["fraud"], flows["analytics"]
    assert (fraud.made, fraud.waiting, fraud.p50_ms) == (3, 2, 20)
    assert fraud.since == min(payment.created_at for payment in waits)
    assert (analytics.made, analytics.waiting) == (8, 5)
    assert flows["notifications"].made == 0
    assert flow_state(fraud, now()) == "stands still"
    assert flow_state(flows["notifications"], now()) == "quiet", "payments ended, and nothing was sent"


@pytest.mark.parametrize(
    ("wrote_ago", "waits_ago", "state"),
    [(1, None, "up to date"), (1, 10, "up to date"), (1, 40, "behind"), (40, 40, "stands still")],
)
def test_a_flow_stands_still_where_nothing_comes_of_what_waits(
    wrote_ago: int, waits_ago: int | None, state: str
) -> None:
    moment = now()
    since = moment - timedelta(seconds=waits_ago) if waits_ago else None
    newest = moment - timedelta(seconds=wrote_ago)
    line = FlowLine("fraud", newest, moment, 1 if since else 0, since, None, 9, 1.0, 2.0)
    assert flow_state(line, moment) == state


def test_topics_are_counted_and_one_that_is_not_read_is_told_of(shop: Any, written: WrittenFlows) -> None:
    shop.sell(5, timedelta(minutes=1))
    written.lag(payments=3, risk=0, reviews=0)
    topics = {line.topic: line for line in map(TopicLine._make, written.rows(TOPICS))}
    assert {name: topics[name].lag for name in ("payments.v1", "risk.v1")} == {"payments.v1": 3, "risk.v1": 0}
    assert topics["payments.v1"].records > 0
    assert next(iter(topics)) == "payments.v1", "what is behind stands first"
    old = topics["risk.v1"]._replace(age_ms=pipeline_tiles.STILL_MS + 60_000)
    said = troubles(None, pipeline_tiles.Table([], [old]), now(), {})
    assert said == ["The warehouse has read nothing of risk.v1 for 2 min."]
    said = troubles(None, pipeline_tiles.Table([], [old, old._replace(topic="labels.v1")]), now(), {})
    assert said == ["The warehouse has read nothing of risk.v1, labels.v1 for 2 min."], "one cause, one sentence"


def test_the_course_of_the_warehouses_age_is_that_of_its_rows(shop: Any, written: WrittenFlows) -> None:
    payments = [written.payment(timedelta(minutes=m), None) for m in (5, 5, 25)]
    rows = written.rows(DELAYS)
    assert len(rows) in (2, 3)
    counted = shop.warehouse._con.cursor().execute(
        "SELECT epoch_us(ingested_at) - epoch_us(recorded_at) FROM payments WHERE id IN (SELECT unnest($1))",
        [[payment.id for payment in payments]],
    )
    longest = max(row[0] for row in counted.fetchall()) / 1000
    assert max(row[3] for row in rows) == pytest.approx(longest)


def test_throughput_counts_every_step_also_those_without_anything(written: WrittenFlows) -> None:
    for minutes in (10, 10, 20):
        written.payment(timedelta(minutes=minutes), timedelta(milliseconds=5))
    rows = written.rows(MADE)
    by_flow = {flow: [row[2] for row in rows if row[1] == flow] for flow in {row[1] for row in rows}}
    assert {flow: sum(counts) for flow, counts in by_flow.items()} == {
        "payments": 3,
        "verdicts": 3,
        "calls to processors": 0,
        "messages": 0,
    }
    assert {len(counts) for counts in by_flow.values()} == {60}, "a minute each"


def test_courses_are_drawn_by_the_chosen_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ten = datetime(2026, 11, 27, 10, tzinfo=UTC)
    made = [(ten, flow, 1) for flow in ("calls", "messages", "payments", "verdicts")]
    drawn: list[Any] = []
    monkeypatch.setattr(pipeline_tiles, "chart", lambda *given: drawn.append(given[-2][0]["data"][0][0]))
    for tile, rows in ((DELAYS, [(ten, 1.0, 1.0, 1.0)]), (MADE, made)):
        for zone in ("Asia/Kolkata", "UTC"):
            tile.draw(Table([], rows), Look("1h", zone=zone))
    assert [there - utc for there, utc in (drawn[:2], drawn[2:])] == 2 * [5.5 * 3_600_000]


def test_dead_letters_are_counted_by_topic_and_reason(written: WrittenFlows) -> None:
    for offset, reason in ((1, "no value"), (2, "no value"), (3, "missing header")):
        written.letter(offset, reason)
    rows = written.rows(LETTERS)
    assert {(topic, reason): count for topic, reason, count, _ in rows} == {
        ("payments.v1", "no value"): 2,
        ("payments.v1", "missing header"): 1,
    }


def test_an_admin_looks_at_a_dead_letter_and_sends_it_again(page_of: GatewayDouble) -> None:
    page_of.say("GET", "/v1/dead-letters", [LETTER])
    page_of.say("GET", "/v1/audit", [])
    page_of.say("POST", "/v1/dead-letters/dl_0_7/replay", {"id": "dl_0_7", "outcome": "sent", "reason": ""})
    page = opened("admin", "pipeline", letter="dl_0_7")
    assert all(word in words(page) for word in ("malformed DecodeError", "evt_1", "is not shown"))
    assert page_of.acts() == []
    page_of.say("GET", "/v1/audit", [{"at": AT, "actor": "acc_admin", "detail": {"outcome": "sent"}}])
    said = words(press(page, "Send again now"))
    assert page_of.acts() == [("POST", "/v1/dead-letters/dl_0_7/replay", {})]
    assert "payments.v1 2/41: it was sent to its topic again." in said
    assert "sent, by acc_admin" in said


def test_an_analyst_neither_lists_nor_sends_any(page_of: GatewayDouble) -> None:
    page = opened("analyst", "pipeline", letter="dl_0_7")
    assert not [button.label for button in page.button if "Send" in button.label]
    assert {path for _, path, _ in page_of.asked} <= {"/v1/me", "/v1/stops", "/metrics"}


@pytest.mark.parametrize("outcome", ["unreadable", "superseded", "gone"])
def test_what_was_not_sent_is_no_success(outcome: Any) -> None:
    said, is_good = ended(LetterReplay(outcome, "no value"))
    assert (is_good, "Nothing was sent" in said) == (False, True)


def test_heartbeats_of_this_machine_and_the_outbox_are_shown_where_they_are_known(
    page_of: GatewayDouble, tmp_path: Path
) -> None:
    page_of.say("GET", "/v1/dead-letters", [])
    said = words(opened("admin", "pipeline"))
    assert pipeline_machine.NONE_HERE in said
    assert "is not known" in said
    beat(DashboardSettings(data=tmp_path), "fraud", 1, 12)
    (line,) = pipeline_machine.beats()
    assert (line.name, line.lag, line.age_s < 60) == ("fraud", 12, True)
    beat(DashboardSettings(data=tmp_path), "fraud_2", 2, 5)
    assert [(line.name, line.lag) for line in pipeline_machine.beats()] == [("fraud", 12), ("fraud_2", 5)]
    assert pipeline_machine.backlog_words(pipeline_machine.Backlog(3, 70)).startswith("3 events")


def test_a_flow_without_a_heartbeat_stands_still_whatever_it_wrote_last(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [pipeline_machine.BeatLine("notifications", 7, 40.0), pipeline_machine.BeatLine("fraud", 0, 1.0)]
    monkeypatch.setattr(pipeline_machine, "beats", lambda: lines)
    silent = pipeline_machine.silent()
    moment = now()
    told = [FlowLine(name, moment, moment, None, None, None, 9, 1.0, 2.0) for name in ("notifications", "fraud")]
    said = troubles(Table([], told), None, moment, silent)
    assert said == ["notifications stands still: its last heartbeat was 40 s ago. 7 records waited then."]
    states = [pipeline_tiles._flow_cells(line, moment, line.flow in silent)[1] for line in told]
    assert [state.text for state in states if isinstance(state, Cell)] == ["stands still", "up to date"]


def test_a_flow_of_which_one_process_is_silent_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [pipeline_machine.BeatLine("fraud", 0, 1.0), pipeline_machine.BeatLine("fraud_2", 3, 40.0)]
    monkeypatch.setattr(pipeline_machine, "beats", lambda: lines)
    long_ago = now() - timedelta(hours=1)
    told = [FlowLine("fraud", long_ago, long_ago, long_ago, 3, None, 9, 1.0, 2.0)]
    said = troubles(Table([], told), None, now(), pipeline_machine.silent())
    assert said == ["fraud_2 stands still: its last heartbeat was 40 s ago. 3 records waited then."]
