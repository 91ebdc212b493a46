"""What the flow does not obey, learn or count: a topic is written by whoever can reach it."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import msgspec
import pytest

from connectors.records import Record
from flows.fraud.codec import apply_control, inputs_of, streamed_payment
from flows.fraud.inputs import LabelInput
from flows.fraud.rules import Controls, decide
from schemas.controls import DEFAULTS
from schemas.events import new_event
from schemas.fraud import Label, ListEntry
from schemas.samples import SAMPLES
from schemas.times import EPOCH, now
from tests.flows.fraud.conftest import in_flight, payment

LATER = now() + timedelta(days=400)
LABEL = SAMPLES["label.recorded"]
RECORD = Record("labels.v1", 0, 0, b"", [], b"", 0)


@pytest.mark.parametrize("change", [{"expression": "count_1m >"}, {"expression": "no_name > 1"}, {"version": 0}])
def test_a_rule_that_cannot_be_meant_is_not_obeyed(change: dict[str, Any]) -> None:
    controls = Controls(DEFAULTS)
    before = controls.version
    rule = msgspec.structs.replace(DEFAULTS[0], outcome="block", **change)
    assert apply_control(new_event("control.fraud_rule", "/test", rule.id, rule, now()), controls) == []
    assert controls.version == before


def test_an_entry_whose_end_has_no_time_zone_stops_no_flow() -> None:
    controls = Controls(DEFAULTS)
    entry = ListEntry("le_1", "block", "instrument", "fp_1", "stolen", LATER.replace(tzinfo=None), EPOCH)
    apply_control(new_event("control.list_entry", "/test", entry.id, entry, now()), controls)
    item = streamed_payment("evt_1", None, payment(), now(), 0, 0)
    assert decide(item, controls).outcome == "block"


def test_the_flow_obeys_nothing_but_the_topic() -> None:
    item = in_flight()
    item.features = {"count_1m": 1000.0}
    assert decide(item, Controls()).outcome == "allow"
    assert decide(item, Controls(DEFAULTS)).outcome == "block"


@pytest.mark.parametrize(
    "change", [{"score": 1.5}, {"score": -1e300}, {"occurred_at": LATER, "recorded_at": LATER}]
)
def test_a_label_with_an_impossible_value_is_not_learned(change: dict[str, Any]) -> None:
    assert isinstance(LABEL, Label)
    (learned,) = inputs_of((RECORD, new_event("label.recorded", "/test", LABEL.payment, LABEL, now())))
    assert isinstance(learned, LabelInput)
    told = msgspec.structs.replace(LABEL, **change)
    assert inputs_of((RECORD, new_event("label.recorded", "/test", told.payment, told, now()))) == []


@pytest.mark.parametrize("zone", [None, UTC, timezone(timedelta(hours=14))])
def test_a_label_of_the_year_1_stops_no_flow(zone: tzinfo | None) -> None:
    assert isinstance(LABEL, Label)
    told = msgspec.structs.replace(LABEL, occurred_at=datetime(1, 1, 1, tzinfo=zone))
    (learned,) = inputs_of((RECORD, new_event("label.recorded", "/test", told.payment, told, now())))
    assert isinstance(learned, LabelInput)
    assert learned.at == 0


def test_a_payment_ahead_of_our_own_clock_moves_no_windows() -> None:
    item = streamed_payment("evt_1", None, payment(occurred_at=LATER), LATER, 0, 0)
    assert (item.fault, item.input) == ("occurred_at_ahead", None)
