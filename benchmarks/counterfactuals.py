"""`python -m benchmarks.counterfactuals`: with the amounts that held payments name, each is scored again.

A made-up shop with rules that read the amount in every way. Each held payment is asked again at once, by all
stages with the histories of before it: with the named amount it must pass, with one minor unit more it must not.
Prints JSON; ends with 1 where one of them does otherwise.
"""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from time import process_time
from typing import Any

import click
import msgspec

from flows.fraud.codec import streamed_payment
from flows.fraud.counterfactual import HELD, at_amount, judge
from flows.fraud.instruments import Instrument
from flows.fraud.key_shard import KeyShard
from flows.fraud.keys import KEYS, KeyStage
from flows.fraud.pipeline import label_of, outcome_of
from flows.fraud.rules import Controls, decide
from flows.fraud.scoring import InstrumentStage, ModelStage, StreamedPayment
from schemas.controls import DEFAULTS
from schemas.payments import Method, Payment
from schemas.rules import default_rule

HELD_PAYMENTS = 1_000
SEED = 3
BEGAN = datetime(2026, 3, 2, 12, tzinfo=UTC)
JUDGED_AT = BEGAN + timedelta(days=3650)
RULES = (
    *DEFAULTS,
    default_rule("score", "score >= 0.3", "review"),
    default_rule("jump", "amount_jump >= 1.2", "review"),
    default_rule("dear", "amount_eur > 70 and history < 20", "block"),
    default_rule("product", "amount * count_1h > 14000", "review"),
    default_rule("ratio", "merchant_amount / amount_to_mean > 3 and amount > 900", "review"),
    default_rule("unusual", "customer_amount_z >= 3 or device_amount_z >= 3", "review"),
    default_rule("tiny", "merchant_tests >= 2 and bin_pressure < 1", "review"),
)

Saved = dict[str, bytes]


class CounterfactualFigures(msgspec.Struct, frozen=True):
    """Of `held` payments `named` say an amount, and `wrong` say one that is none.

    `hidden`: of those that name none, how many would pass with a tenth, a third or two thirds of their amount.
    `held_us`: CPU of a held payment's search, median and the dearest. `met`: rules met by those that name one.
    """

    held: int
    named: int
    wrong: int
    hidden: int
    held_us: tuple[float, float]
    met: dict[str, int]


class Stages:
    """All stages; `save` keeps the histories that a payment names, and `again` scores it by these alone."""

    def __init__(self) -> None:
        self.instruments = InstrumentStage(10_000)
        self.keys = [KeyStage(key, 10_000) for key in KEYS]
        self.model = ModelStage(min_labels=20)

    def process(self, item: Any) -> None:
        """Take an item through all of them."""
        stages: tuple[Any, ...] = self.instruments, *self.keys, self.model
        for stage in stages:
            stage.process(item)

    def save(self, item: StreamedPayment) -> Saved:
        """The histories of its keys, as they are."""
        named: dict[str, tuple[KeyShard[Any], str | None]] = {
            "instrument": (self.instruments.shard, item.instrument_id)
        }
        named |= {key.name: (stage.shard, key.id_of(item)) for key, stage in zip(KEYS, self.keys, strict=True)}
        kept = {name: shard.histories.get(id) for name, (shard, id) in named.items() if id}
        return {name: msgspec.msgpack.encode(history) for name, history in kept.items() if history is not None}

    def again(self, item: StreamedPayment, saved: Saved) -> StreamedPayment:
        """The item, scored by these histories and the model as it is now."""

        def known(name: str, kind: type[Any], id: str | None) -> dict[str, Any]:
            return {id: msgspec.msgpack.decode(saved[name], type=kind)} if id and name in saved else {}

        instruments = known("instrument", Instrument, item.instrument_id)
        InstrumentStage(10, instruments).process(item)
        for key in KEYS:
            KeyStage(key, 10, known(key.name, key.history, key.id_of(item))).process(item)
        self.model.process(item)
        return item


class HeldPayment:
    """A held payment of the shop, the histories of before it, and what its search cost (CPU, s)."""

    def __init__(
        self,
        item: StreamedPayment,
        number: int,
        fields: dict[str, Any],
        stages: Stages,
        saved: Saved,
        controls: Controls,
        cost_s: float,
    ) -> None:
        self.item, self.cost_s = item, cost_s
        self._number, self._fields, self._stages, self._saved = number, fields, stages, saved
        self._controls = controls

    def is_held_with(self, amount: int) -> bool:
        """Whether it is held with another amount: scored anew. Raises `AssertionError` where that differs from
        what the flow computes of the amount's own.
        """
        cents = amount if self._fields["amount_eur_cents"] is not None else None
        changed = self._fields | {"amount": amount, "amount_eur_cents": cents}
        again = self._stages.again(made(self._number, changed), self._saved)
        rebuilt = at_amount(self.item, amount, self._stages.model.model)
        assert (again.features, again.score) == (rebuilt.features, rebuilt.score), (self._number, amount)
        return decide(again, self._controls).outcome in HELD

    def is_right(self) -> bool:
        """Whether it passes with the amount that it names, and not with one minor unit more."""
        named, amount = self.item.counterfactual, self.item.payment.amount
        if named is None:
            return True
        is_below = 0 < named.amount < amount and named.currency == self.item.payment.currency
        return is_below and not self.is_held_with(named.amount) and self.is_held_with(named.amount + 1)

    def hides_one(self) -> bool:
        """Whether it names no amount though it would pass with a lower one, of three that are tried."""
        amount = self.item.payment.amount
        tried = {max(1, amount // 10), max(1, amount // 3), max(1, 2 * amount // 3)}
        return self.item.counterfactual is None and not all(map(self.is_held_with, tried))


@click.command()
@click.option("--held", default=HELD_PAYMENTS, help="Payments that are held, of some more.")
@click.option("--seed", default=SEED)
def main(held: int, seed: int) -> None:
    """Score them again; half a minute."""
    figures = proved(held, seed)
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    raise SystemExit(bool(figures.wrong))


def proved(count: int, seed: int = SEED) -> CounterfactualFigures:
    """The figures of so many held payments."""
    met: Counter[str] = Counter()
    costs, named, wrong, hidden = [], 0, 0, 0
    for held in held_payments(count, seed):
        costs.append(held.cost_s * 1e6)
        wrong += not held.is_right()
        hidden += held.hides_one()
        if held.item.counterfactual and held.item.decision:
            named += 1
            met.update(held.item.decision.rules_met)
    cost = round(median(costs)), round(max(costs))
    return CounterfactualFigures(count, named, wrong, hidden, cost, dict(met.most_common()))


def held_payments(count: int, seed: int) -> Iterator[HeldPayment]:
    """The first so many that the shop's rules hold; to be asked again at once, as the model goes on learning."""
    chance, stages, controls = random.Random(seed), Stages(), Controls(RULES)
    number = 0
    while count:
        fields = drawn(number, chance)
        item = made(number, fields)
        saved = stages.save(item)
        stages.process(item)
        began = process_time()
        judge(item, stages.model.model, controls)
        cost_s = process_time() - began
        assert item.decision
        if item.decision.outcome in HELD:
            yield HeldPayment(item, number, fields, stages, saved, controls, cost_s)
            count -= 1
        _learn(item, stages, chance)
        number += 1


def drawn(number: int, chance: random.Random) -> dict[str, Any]:
    """The fields of a payment: some cards are new, some currencies without a rate."""
    card = chance.choice([chance.randrange(60), 1000 + number // 3, 1000 + number])
    amount = round(chance.choice([300, 2500, 9000]) * chance.lognormvariate(0, 0.7)) + 1
    currency = "EUR" if chance.random() < 0.8 else "JPY"
    return {
        "stream_key": f"fp_{card}",
        "amount": amount,
        "currency": currency,
        "amount_eur_cents": amount if currency == "EUR" else None,
        "customer": f"acc_c{card // 4 % 40}",
        "merchant": f"acc_{chance.randrange(8)}",
        "method": Method("card", brand="visa", bin=f"41111{card % 3}"),
        "ip_hash": f"ip_{card % 25}",
        "ip_network_hash": f"net_{card % 5}",
        "device_hash": f"dev_{card % 30}" if card % 2 else None,
        "occurred_at": BEGAN + timedelta(minutes=7 * number),
    }


def made(number: int, fields: dict[str, Any]) -> StreamedPayment:
    """A payment as the stages get it."""
    at = fields["occurred_at"]
    paid = Payment(
        id=f"pay_{number}",
        state="processing",
        status="pending",
        amount_captured=0,
        amount_refunded=0,
        capture="automatic",
        created_at=at,
        updated_at=at,
        **fields,
    )
    return streamed_payment(f"evt_{number:04}", None, paid, JUDGED_AT, 0, number)


def _learn(item: StreamedPayment, stages: Stages, chance: random.Random) -> None:
    assert item.input
    paid = chance.random() < 0.85
    stages.process(outcome_of(item.input, paid))
    if chance.random() < 0.5:
        fraud = not paid or item.input.amount > 12_000
        stages.process(label_of(item.input, fraud, item.features, item.score or 0.0))


if __name__ == "__main__":
    main()
