"""Verdicts judged again from what stands on the topics, after deaths of the flow too."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, run_main

from connectors.records import Record, read
from flows.fraud.codec import SOURCE, inputs_of, is_used
from flows.fraud.flow import build
from flows.fraud.intake import StreamItem
from flows.fraud.replaying import FlowReplay, OrderUnknown, RecordedRun, ReplayedState
from flows.fraud.rules import Controls
from flows.fraud.settings import FraudSettings
from schemas.controls import DEFAULTS
from schemas.events import Event
from schemas.fraud import Stretch, Verdict
from schemas.topics import RISK
from tests.flows.fraud.conftest import label_record, payment, payment_record, read_verdict

SETTINGS = FraudSettings(fraud_min_labels=20)
PARTITIONS = 3
SECRET = b"decides the shards"

Log = dict[str, list[Record]]  # by place


class Killed(Exception):
    """The flow dies here."""


class Topics(FixedPartitionedSource[Record, int]):
    """Partitions that give their records in an order of chance, until the flow dies."""

    def __init__(self, log: Log, chance: random.Random, dies_after: int | None) -> None:
        self.log, self.chance, self.left = log, chance, dies_after

    def list_parts(self) -> list[str]:
        return list(self.log)

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "Part":
        return Part(self, for_part, resume_state or 0)


class Part(StatefulSourcePartition[Record, int]):
    def __init__(self, topics: Topics, place: str, index: int) -> None:
        self._topics, self._records, self._index = topics, topics.log[place], index

    def next_batch(self) -> list[Record]:
        if self._index >= len(self._records):
            raise StopIteration
        batch = self._records[self._index : self._index + self._topics.chance.randrange(4)]
        if self._topics.left is not None:
            self._topics.left -= len(batch)
            if self._topics.left < 0:
                raise Killed
        self._index += len(batch)
        return batch

    def snapshot(self) -> int:
        return self._index


class OnTopics:
    """What the flow wrote, and read, in lists."""

    def __init__(self, log: Log, verdicts: Iterable[Verdict]) -> None:
        self._log, self._runs = log, defaultdict[str, list[Verdict]](list)
        for verdict in verdicts:
            assert verdict.intake
            self._runs[verdict.intake.run].append(verdict)

    def runs(self) -> list[RecordedRun]:
        found = [(run, told[0].intake, told[0].flow_sequence) for run, told in self._runs.items()]
        return [RecordedRun(run, i.resumed_run, i.resumed_at, first) for run, i, first in found if i]

    def verdicts(self, run_id: str, above: int) -> Iterable[Verdict]:
        return [v for v in self._runs[run_id] if v.intake and v.intake.position > above]

    def items(self, stretch: Stretch) -> Iterator[StreamItem]:
        left = stretch.count
        for record in self._log[stretch.place]:
            if record.offset >= stretch.offset and is_used(record):
                event = read(record, SOURCE)
                assert isinstance(event, Event)
                for item in inputs_of((record, event)):
                    if left:
                        left -= 1
                        yield item


def history(count: int, chance: random.Random) -> Log:
    """Payments of a few cards, customers and merchants, what became of them, labels, and repeats."""
    log: Log = {f"{topic}.v1/{n}": [] for topic in ("payments", "labels") for n in range(PARTITIONS)}
    for number in range(count):
        card = chance.randrange(9)
        paid = payment(
            number,
            stream_key=f"fp_{card}",
            merchant=f"acc_{chance.randrange(4)}",
            customer=f"acc_c{chance.randrange(5)}",
            ip_hash=f"ip_{chance.randrange(6)}",
            amount=chance.randrange(100, 90_000),
        )
        place = card % PARTITIONS
        put(log, f"payments.v1/{place}", payment_record(paid, number))
        put(log, f"payments.v1/{place}", payment_record(paid, number, "payment.captured", "processing"))
        if chance.random() < 0.1:  # its event is sent twice
            put(log, f"payments.v1/{place}", payment_record(paid, number))
        if chance.random() < 0.7:
            put(log, f"labels.v1/{place}", label_record(judged(paid), chance.random() < 0.3))
    return log


def judged(paid: Any) -> Verdict:
    features = {"amount": float(paid.amount), "history": 1.0}
    moment = paid.occurred_at
    return msgspec.structs.replace(
        VERDICT,
        payment=paid.id,
        instrument=paid.stream_key,
        merchant=paid.merchant,
        features=VERDICT.features | features,
        score=0.1,
        occurred_at=moment,
        recorded_at=moment,
    )


def put(log: Log, place: str, record: Record) -> None:
    topic, _, number = place.partition("/")
    offset = log[place][-1].offset + 1 if log[place] else 0
    log[place].append(msgspec.structs.replace(record, topic=topic, partition=int(number), offset=offset))


def one_verdict() -> Verdict:
    written: list[Any] = []
    one = [payment_record(payment(0))]
    run_main(build(TestingSource(one), TestingSource([]), TestingSink(written), SETTINGS, Controls(DEFAULTS)))
    return read_verdict(written[0].headers, written[0].value)


VERDICT = one_verdict()


def lived(log: Log, store: Path, deaths: list[int], seed: int) -> list[Verdict]:
    """The verdicts of a flow that died after so many records each time, and then went on to the end."""
    init_db_dir(store, 1)
    written: list[Any] = []
    for life, dies_after in enumerate([*deaths, None]):
        source = Topics(log, random.Random(f"{seed}/{life}"), dies_after)
        flow = build(source, TestingSource([]), TestingSink(written), SETTINGS, Controls(DEFAULTS), SECRET)
        try:
            run_main(flow, epoch_interval=timedelta(milliseconds=15), recovery_config=RecoveryConfig(str(store)))
        except Exception:
            if dies_after is None:
                raise
    return [read_verdict(out.headers, out.value) for out in written if out.topic == RISK.name]


def replayed(log: Log, verdicts: list[Verdict]) -> FlowReplay:
    controls = Controls(DEFAULTS)
    made = FlowReplay(
        OnTopics(log, verdicts), lambda: ReplayedState(SETTINGS, SECRET), {controls.version: controls}
    )
    made.judge_all()
    return made


@pytest.mark.parametrize("seed", range(3))
def test_after_deaths_too_all_verdicts_come_out_the_same(tmp_path: Path, seed: int) -> None:
    log = history(250, random.Random(seed))
    verdicts = lived(log, tmp_path, [60, 150, 40, 200], seed)
    again = replayed(log, verdicts)
    assert (again.differences, again.compared, again.other_rules) == ([], len(verdicts), 0)
    times = Counter(verdict.payment for verdict in verdicts)
    assert len(times) == 250
    assert max(times.values()) > 1, "what was judged by a state that is gone is judged again too"
    assert any(verdict.score not in (None, 0.5) for verdict in verdicts)


def test_a_label_that_says_something_else_is_seen(tmp_path: Path) -> None:
    log = history(120, random.Random(1))
    verdicts = lived(log, tmp_path, [80], 1)
    place = max((name for name in log if name.startswith("labels")), key=lambda name: len(log[name]))
    record = log[place][0]
    assert record.value
    told = b'"label":"good"' if b'"label":"fraud"' in record.value else b'"label":"fraud"'
    other = b'"label":"fraud"' if told == b'"label":"good"' else b'"label":"good"'
    log[place][0] = msgspec.structs.replace(record, value=record.value.replace(other, told))
    assert replayed(log, verdicts).differences


def test_a_verdict_that_is_gone_leaves_a_gap_that_is_told(tmp_path: Path) -> None:
    log = history(60, random.Random(2))
    verdicts = lived(log, tmp_path, [], 2)
    with pytest.raises(OrderUnknown, match="nothing tells of its inputs"):
        replayed(log, [v for v in verdicts if v.payment != "pay_30"])


def test_a_killed_run_is_judged_again_up_to_the_verdict_that_it_died_over(tmp_path: Path) -> None:
    log = history(60, random.Random(3))
    told = sorted(lived(log, tmp_path, [], 3), key=position)
    resumed, tail = told[-10], told[-9:]
    second = [of_another_run(verdict, resumed) for verdict in tail]
    again = replayed(log, [*told[:-9], *tail[1:], *second])
    assert (again.differences, again.untold, again.compared) == ([], len(tail) - 1, len(told))


def test_several_runs_may_have_died_over_their_verdicts_after_one_snapshot(tmp_path: Path) -> None:
    log = history(60, random.Random(3))
    told = sorted(lived(log, tmp_path, [], 3), key=position)
    resumed, tail = told[-10], told[-9:]
    killed = [of_another_run(verdict, resumed, "run_killed") for verdict in tail[1:]]
    last = [of_another_run(verdict, resumed, "run_last") for verdict in tail]
    again = replayed(log, [*told[:-9], *killed, *last])
    assert (again.differences, again.untold, again.compared) == ([], len(killed), len(told))


def position(verdict: Verdict) -> int:
    assert verdict.intake
    return verdict.intake.position


def of_another_run(verdict: Verdict, resumed: Verdict, run: str = "run_second") -> Verdict:
    """A verdict as a run makes it that went on from the snapshot after `resumed`."""
    assert verdict.intake
    assert resumed.intake
    more = {"run": run, "resumed_run": resumed.intake.run, "resumed_at": resumed.intake.position}
    return msgspec.structs.replace(verdict, intake=msgspec.structs.replace(verdict.intake, **more))
