"""`payments.v1` + `labels.v1` + `controls.v1` → `risk.v1`: each payment is judged before it is authorized.

Each step that keeps histories is keyed by the shard of an id; an item without that id passes it as that of nobody.

The names of the steps are keys of the recovery store: under another name a step would start without its state.
"""

import gc
import os
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, TypeAlias

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.operators import KeyedStream, StatefulBatchLogic
from bytewax.outputs import DynamicSink

from connectors.heartbeat import beat, process_name
from connectors.kafka import log_in
from connectors.keyfiles import refusals_logged
from connectors.logs import configure
from connectors.metrics_server import serve_metrics
from connectors.private_files import keep_private
from connectors.recovery_store import alone_in, drop_unfinished
from connectors.streams import BroadcastSource, KafkaSink, KafkaSource, Out, Record, decode_step, write_step
from connectors.traces import TRACES
from flows.fraud.codec import SOURCE, apply_control, is_used, placed, record_of
from flows.fraud.inputs import OutcomeInput
from flows.fraud.intake import IntakeOperator
from flows.fraud.key_shard import shard_key
from flows.fraud.keys import KEYS, Key
from flows.fraud.operators import InstrumentOperator, ModelOperator, Operator, Snapshot, key_operator
from flows.fraud.route import InTurn
from flows.fraud.rules import Controls
from flows.fraud.settings import FraudSettings
from flows.fraud.startup import bootstrap_controls, warm_up
from schemas.settings import load
from schemas.topics import CONTROLS, LABELS, PAYMENTS

CONTROLS_EVERY_S = 0.1
TOPICS = (PAYMENTS.name, LABELS.name)
MODEL = "model"  # the key of the one model
INSTRUMENT, LAST = 0, len(KEYS) + 1  # steps that have an order, with those of `KEYS` between them

Pairs: TypeAlias = KeyedStream[Any]  # of keys and items
MakeOperator: TypeAlias = Callable[[FraudSettings, Snapshot], Operator[Any]]


def build(
    source: Source[Record],
    changes: Source[Record],
    sink: DynamicSink[Out],
    settings: FraudSettings,
    controls: Controls,
    secret: bytes = b"",
) -> Dataflow:
    """The dataflow from payments, labels (`source`) and changes of the `controls` to verdicts.

    `secret` decides which ids share a shard.
    """
    flow = Dataflow("fraud")

    def step(before: Pairs, numbered_key: tuple[int, Key]) -> Pairs:
        number, key = numbered_key
        keyed = op.map(f"by {key.name}", before, lambda pair: (pair[1].route.shards[number], pair[1]))
        return op.stateful_batch(key.name, keyed, logic_of(key_operator(key), settings, number))

    records = op.input("payments and labels", flow, source)
    # Record("payments.v1", 3, 41, b"fp_…", [("ce_type", b"payment.initiated"), …], b'{"sequence":1, …}', …)
    decoded = decode_step("decode", op.filter("judged or learned", records, is_used), SOURCE)
    # (Record, Event("evt_…", "payment.initiated", …, PaymentEvent(1, None, …, Payment("pay_…", …))))
    items = op.flat_map("take in", decoded.events, partial(placed, secret=secret))
    # PlacedItem(item, "labels.v1/3", 41) of StreamedPayment("pay_…", PaymentInput(…), event_id="evt_…", …),
    # OutcomeInput("pay_…", "fp_…", …, paid=True) or LabelInput("evt_…", "fp_…", "acc_…", …)
    everything = op.map("all in one", items, lambda item: ("all", item))
    numbered = op.stateful_batch("intake", everything, lambda snapshot: OperatorLogic(IntakeOperator(snapshot)))
    # ("all", StreamedPayment(…, position=20_311, intake=Intake("run_…", 20_311, "", 0, [Stretch(…)])))
    keyed = op.map("by instrument", numbered, lambda pair: (pair[1].route.shards[INSTRUMENT], pair[1]))
    with_instrument = op.stateful_batch("instrument", keyed, logic_of(InstrumentOperator, settings, INSTRUMENT))
    # ("20817", StreamedPayment(…, features={"amount": 4200.0, "count_1m": 1.0, "new_card": 1.0, …}))
    with_all = reduce(step, enumerate(KEYS, INSTRUMENT + 1), with_instrument)
    # ("113", StreamedPayment(…, features={…, "device_cards_7d": 1.0, …, "merchant_risk": 0.02}))
    to_model = op.filter_map("to the model", with_all, _to_model)
    model = logic_of(partial(ModelOperator, controls=controls), settings, LAST)
    scored = op.stateful_batch("model", to_model, model)
    # ("model", StreamedPayment(…, score=0.013, model="logistic-…-1200", decision=RiskDecision("allow", …)))
    verdicts = op.map("verdict", scored, lambda pair: record_of(pair[1], controls))
    # Out("risk.v1", b"pay_…", …, b'{"payment":"pay_…","outcome":"allow", …}'), or Out("alerts.v1", b"alr_…", …)
    changed = decode_step("decode controls", op.input("controls", flow, changes), SOURCE)
    nothing = op.flat_map("apply controls", changed.events, lambda pair: apply_control(pair[1], controls))
    outs = op.merge("all", verdicts, decoded.dead_letters, changed.dead_letters, nothing)
    write_step("out", outs, sink, MODEL)  # where verdicts are made: they do not travel
    return flow


def _to_model(pair: tuple[str, Any]) -> tuple[str, Any] | None:
    """A payment or label for the one model; an outcome ends here."""
    return None if isinstance(pair[1], OutcomeInput) else (MODEL, pair[1])


class OperatorLogic(StatefulBatchLogic[Any, Any, bytes]):
    """An operator as Bytewax drives it."""

    def __init__(self, operator: Operator[Any]) -> None:
        self._operator = operator

    def on_batch(self, values: list[Any]) -> tuple[Sequence[Any], bool]:
        """Items passed downstream. The state of the key is retained."""
        return self._operator.process(values), StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """The state to resume from."""
        return self._operator.snapshot()


class InTurnLogic(OperatorLogic):
    """An operator that is given the items of its key in the order of the intake, whatever way they came."""

    def __init__(self, operator: Operator[Any], step: int) -> None:
        super().__init__(operator)
        self._turns = InTurn[Any](step)

    def on_batch(self, values: list[Any]) -> tuple[Sequence[Any], bool]:
        """Those passed downstream whose turn it is."""
        return self._operator.process(self._turns.due(values)), StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """The state to resume from. Raises `RuntimeError` rather than lose an item that waits."""
        if self._turns.waiting:
            raise RuntimeError(f"{self._turns.waiting} items wait for one that did not come")
        return super().snapshot()


def logic_of(make: MakeOperator, settings: FraudSettings, step: int) -> Callable[[Snapshot], InTurnLogic]:
    """What makes the logic of a key of a step, new or resumed from a snapshot."""
    return lambda snapshot: InTurnLogic(make(settings, snapshot), step)


def get_flow() -> Dataflow:
    """The flow of `python -m bytewax.run flows.fraud.flow:get_flow`, wired by its settings."""
    configure("fraud")
    with refusals_logged():
        settings = load(FraudSettings)
        keep_private(settings.data)
        process = process_name("fraud", settings.fraud_process)
        serve_metrics(settings, f"{process}_metrics")
        TRACES.open(settings, "fraud")  # of all its processes: the name of a service, not of an instance
    store = settings.data / "fraud"
    with alone_in(store):
        drop_unfinished(store)
        secret = shard_key(store)
    warm_up(settings)
    bootstrap = log_in(settings, "fraud")
    controls, offsets = bootstrap_controls(bootstrap)
    # Objects that live as long as the process are not scanned again: a full collection delayed verdicts by 70 ms.
    gc.freeze()
    on_lag = partial(beat, settings, process, os.getpid())
    return build(
        KafkaSource(bootstrap, TOPICS, on_lag=on_lag, alone=settings.fraud_workers == 1),
        BroadcastSource(bootstrap, CONTROLS.name, offsets, every_s=CONTROLS_EVERY_S),
        KafkaSink(bootstrap),
        settings,
        controls,
        secret,
    )
