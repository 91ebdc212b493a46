"""One payment that never was, walked through all steps: the first real one then finds everything loaded."""

from datetime import timedelta

from flows.fraud.facts import Lesson
from flows.fraud.inflight import InFlight, verdict
from flows.fraud.rules import Controls
from flows.fraud.settings import FraudSettings
from flows.fraud.steps import InstrumentStep, Item, MerchantStep, ModelStep
from schemas.events import Event, decode, encode
from schemas.payments import Method, Payment
from schemas.times import EPOCH

ROUNDS = 50


def warm_up(settings: FraudSettings) -> None:
    """Judge and learn a few imagined payments, in a state of their own."""
    instruments, merchants, model = InstrumentStep(settings), MerchantStep(settings), ModelStep(settings)
    for number in range(ROUNDS):
        items: list[Item] = [_in_flight(number), _lesson(number)]
        for judged in model.walk(merchants.walk(instruments.walk(items))):
            data = verdict(judged, Controls(), EPOCH)
            decode(*encode(Event(judged.event, "risk.verdict", "", data.payment, EPOCH, data)))
    model.keep()


def _in_flight(number: int) -> InFlight:
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
        method=Method("card"),
        capture="automatic",
        occurred_at=moment,
        created_at=moment,
        updated_at=moment,
    )
    return InFlight(f"evt_{number}", None, payment, moment, 0, number)


def _lesson(number: int) -> Lesson:
    return Lesson(f"evt_l{number}", "warm", "acc", "EUR", number % 10 == 0, number * 3600.0)
