"""`payments.v1` + `labels.v1` + `controls.v1` → `risk.v1`: each payment judged while it is in flight."""

import gc
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import Sink

from connectors.heartbeat import beat
from connectors.logs import configure
from connectors.streams import BroadcastSource, KafkaSink, KafkaSource, Out, Record, decode_step
from flows.fraud.edges import SOURCE, apply, concerns_us, take_in, verdict_record
from flows.fraud.rules import Controls
from flows.fraud.settings import FraudSettings
from flows.fraud.shelf import shelf_of
from flows.fraud.standing import standing_controls
from flows.fraud.steps import InstrumentStep, MerchantStep, ModelStep
from flows.fraud.warm_up import warm_up
from schemas.settings import load
from schemas.topics import CONTROLS, LABELS, PAYMENTS

CONTROLS_EVERY_S = 0.5

Kept = bytes | None


def build(
    source: Source[Record],
    changes: Source[Record],
    sink: Sink[Out],
    settings: FraudSettings,
    controls: Controls,
) -> Dataflow:
    """The dataflow from payments, labels (`source`) and changes of the `controls` to verdicts."""
    flow = Dataflow("fraud")
    records = op.input("payments and labels", flow, source)
    # Record("payments.v1", 3, 41, b"fp_…", [("ce_type", b"payment.initiated"), …], b'{"sequence":1, …}', …)
    decoded = decode_step("decode", op.filter("judged or learned", records, concerns_us), SOURCE)
    # (Record, Event("evt_…", "payment.initiated", …, PaymentEvent(1, None, …, Payment("pay_…", …))))
    items = op.flat_map("take in", decoded.events, take_in)
    # InFlight("evt_…", …, Payment("pay_…", …)) or Lesson("evt_…", "fp_…", "acc_…", "EUR", True, …)
    by_instrument = op.map("by instrument", items, lambda item: (shelf_of(item.instrument), item))
    known = op.stateful_batch("instrument", by_instrument, keeping(InstrumentStep, settings))
    # ("20817", InFlight(…, features={"amount": 4200.0, "count_1m": 1.0, …}))
    by_merchant = op.map("by merchant", known, lambda pair: (shelf_of(pair[1].merchant), pair[1]))
    sold = op.stateful_batch("merchant", by_merchant, keeping(MerchantStep, settings))
    # ("113", InFlight(…, features={…, "merchant_risk": 0.02}))
    to_model = op.map("to the model", sold, lambda pair: ("model", pair[1]))
    judged = op.stateful_batch("model", to_model, keeping(ModelStep, settings))
    # ("model", InFlight(…, score=0.013, model="logistic-…-1200"))
    verdicts = op.map("verdict", judged, lambda pair: verdict_record(pair[1], controls))
    # Out("risk.v1", b"pay_…", …, b'{"payment":"pay_…","outcome":"allow", …}')
    changed = decode_step("decode controls", op.input("controls", flow, changes), SOURCE)
    nothing = op.flat_map("apply controls", changed.events, lambda pair: apply(pair[1], controls))
    op.output("out", op.merge("all", verdicts, decoded.dead_letters, changed.dead_letters, nothing), sink)
    return flow


class Step(Protocol):
    """One key's share of a step of `steps.py`."""

    def walk(self, items: list[Any]) -> Sequence[Any]:
        """What walks on."""

    def keep(self) -> bytes:
        """The state to go on from."""


class Keyed(StatefulBatchLogic[Any, Any, bytes]):
    """A step as Bytewax drives it."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def on_batch(self, values: list[Any]) -> tuple[Sequence[Any], bool]:
        """Let the items of this key walk through."""
        return self._step.walk(values), StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """The state, as it is now."""
        return self._step.keep()


def keeping(make: Callable[[FraudSettings, Kept], Step], settings: FraudSettings) -> Callable[[Kept], Keyed]:
    """What makes the logic of a key, new or from the state that was kept."""
    return lambda kept: Keyed(make(settings, kept))


def get_flow() -> Dataflow:
    """The flow of `python -m bytewax.run flows.fraud.flow:get_flow`, wired by its settings."""
    settings = load(FraudSettings)
    configure("fraud")
    warm_up(settings)
    bootstrap = settings.bootstrap()
    controls, offsets = standing_controls(bootstrap)
    gc.freeze()  # what stays is not looked through again: that held every verdict up for 70 ms now and then
    return build(
        KafkaSource(bootstrap, [PAYMENTS.name, LABELS.name], on_lag=partial(beat, settings, "fraud", os.getpid())),
        BroadcastSource(bootstrap, CONTROLS.name, offsets, every_s=CONTROLS_EVERY_S),
        KafkaSink(bootstrap),
        settings,
        controls,
    )
