"""What the flow does before its first payment: read the controls in force, and run its own code to warm up."""

from datetime import timedelta

from connectors.kafka_login import Bootstrap
from connectors.record_reader import Bookmarks, RecordReader, places
from connectors.records import read
from flows.fraud.codec import SOURCE, control_of, streamed_payment, verdict_of
from flows.fraud.inputs import LabelInput
from flows.fraud.intake import StreamItem
from flows.fraud.keys import KEYS
from flows.fraud.operators import InstrumentOperator, ModelOperator, Operator, key_operator
from flows.fraud.rules import Controls
from flows.fraud.scoring import StreamedPayment
from flows.fraud.settings import FraudSettings
from schemas.controls import DEFAULTS, ToldControl
from schemas.events import Event, decode, encode
from schemas.payments import Method, Payment
from schemas.times import EPOCH
from schemas.topics import CONTROLS

WARM_UP_ROUNDS = 50
HISTORIES = (InstrumentOperator, *map(key_operator, KEYS))


def bootstrap_controls(bootstrap: Bootstrap) -> tuple[Controls, Bookmarks]:
    """The controls in force and the bookmarks of `controls.v1` to read on from. No payment is judged without them.

    Raises `KafkaException` where the broker is not reachable.
    """
    controls = Controls()
    found, bookmarks = told_controls(bootstrap)
    controls.apply(*found)
    return controls, bookmarks


def told_controls(bootstrap: Bootstrap) -> tuple[list[ToldControl], Bookmarks]:
    """What stands on `controls.v1`, in its order, and the bookmarks to read on from. Raises `KafkaException`."""
    found, reader = list[ToldControl](), RecordReader(bootstrap)
    try:
        for place in places(bootstrap, [CONTROLS.name]):
            reader.add(place)
        while not reader.at_end():
            events = [event for record in reader.poll() if isinstance(event := read(record, SOURCE), Event)]
            found += [control for event in events for control in control_of(event)]
        return found, dict(reader.bookmarks)
    finally:
        reader.close()


def warm_up(settings: FraudSettings) -> None:
    """Score and learn a few made-up payments in operators that are thrown away.

    The first real payment then finds all modules, encoders and decoders loaded.
    """
    histories: list[Operator[StreamItem]] = [make(settings) for make in HISTORIES]
    model = ModelOperator(settings)
    for number in range(WARM_UP_ROUNDS):
        items: list[StreamItem] = [_made_up_payment(number), _made_up_label(number)]
        for operator in histories:
            items = list(operator.process(items))
        for payment in model.process(items):
            if isinstance(payment, StreamedPayment):
                verdict = verdict_of(payment, Controls(DEFAULTS), EPOCH)
                decode(*encode(Event(payment.event_id, "risk.verdict", "", verdict.payment, EPOCH, verdict)))
    model.snapshot()


def _made_up_payment(number: int) -> StreamedPayment:
    moment = EPOCH + timedelta(hours=number)
    payment = Payment(
        id=f"pay_{number}",
        stream_key="warm",
        state="processing",
        status="pending",
        amount=1000,
        amount_captured=0,
        amount_refunded=0,
        currency="EUR",
        customer="acc",
        merchant="acc",
        method=Method("card", bin="411111"),
        capture="automatic",
        occurred_at=moment,
        created_at=moment,
        updated_at=moment,
        country="FR",
        ip_hash="warm",
        device_hash="warm",
        ip_network_hash="warm",
        email_domain_hash="warm",
        amount_eur_cents=1000,
    )
    return streamed_payment(f"evt_{number}", None, payment, moment, 0, number)


def _made_up_label(number: int) -> LabelInput:
    return LabelInput(f"evt_l{number}", "warm", "acc", "EUR", number % 10 == 0, number * 3600.0)
