"""Merchants under attack: stolen cards are tested among honest customers, and issuers answer a little later.

Pure: the stages, the default rules and chance with a seed; no engine and no clock.
"""

import random
from collections import Counter, deque
from collections.abc import Iterator

import msgspec

from flows.fraud.inputs import DAY, OutcomeInput, PaymentInput, about_one_euro
from flows.fraud.pipeline import ScoringPipeline, outcome_of
from flows.fraud.rule_values import scored_values
from flows.fraud.rules import Controls
from flows.fraud.scoring import ScoredPayment
from flows.fraud.settings import KEYS_MAX
from schemas.controls import DEFAULTS

BEGAN = 1.8e9  # seconds since 1970 UTC
BIN = "45717360"
BINS = tuple(f"5{number:07}" for number in range(12))
ANSWER_S = 1.0  # an issuer and the topics take so long


class Attack(msgspec.Struct, frozen=True):
    """1,000 cards of one BIN by ten accounts at five merchants within half an hour, unless it says otherwise.

    `alive`: the share of the stolen cards that pay. `addresses`: how many the attackers have. `lowest`, `highest`:
    minor units of `currency`.
    """

    cards: int = 1_000
    accounts: int = 10
    merchants: int = 5
    addresses: int = 3
    hours: float = 0.5
    lowest: int = 100
    highest: int = 600
    alive: float = 0.3
    currency: str = "EUR"
    account_by_account: bool = False


class Crowd(msgspec.Struct, frozen=True):
    """The honest: `newcomers` pay a small amount by a first card, `regulars` what they will by one they have.

    `same_bin`: the share of newcomers whose card is of the attacked BIN. `address`: all pay from that one.
    `retries`: the share whose first card is declined, and who then pay by another.
    """

    newcomers: int = 100
    regulars: int = 100
    same_bin: float = 0.1
    address: str | None = None
    retries: float = 0.0
    merchants: int = 5


class Told(msgspec.Struct, frozen=True):
    """`reached`: stolen cards an issuer was asked about. Of the honest, how many were `refused` and `held`."""

    reached: int
    refused: int
    held: int


def run(attack: Attack, crowd: Crowd, seed: int) -> Told:
    """Let it happen."""
    chance = random.Random(seed)
    world = World()
    for payment in regular_past(crowd, chance):
        world.pay(payment, "past", alive=True)
    stolen = [(payment, "stolen") for payment in stolen_of(attack, chance)]
    honest = [(payment, "honest") for payment in honest_of(crowd, attack.hours, chance)]
    for payment, who in sorted(stolen + honest, key=lambda pair: pair[0].at):
        dead = payment.payment_id.endswith("dead") or (who == "stolen" and chance.random() > attack.alive)
        world.pay(payment, who, alive=not dead)
    told = world.told
    return Told(told["stolen", "sent"], told["honest", "block"], told["honest", "held"])


class World:
    """The fraud flow and the issuers, who answer `ANSWER_S` later."""

    def __init__(self) -> None:
        self._pipeline, self._controls = ScoringPipeline(KEYS_MAX, min_labels=500), Controls(DEFAULTS)
        self._answers: deque[OutcomeInput] = deque()
        self.told = Counter[tuple[str, str]]()

    def pay(self, payment: PaymentInput, who: str, alive: bool) -> None:
        """Judge a payment; its issuer is asked unless it is blocked, or held before that."""
        while self._answers and self._answers[0].at + ANSWER_S <= payment.at:
            self._pipeline.process(self._answers.popleft())
        item = ScoredPayment(payment.payment_id, payment)
        assert self._pipeline.process(item)
        rules = self._controls.met(scored_values(item)).live
        outcome = rules[0].outcome if rules else "allow"
        held = outcome == "review"
        sent = not (outcome == "block" or (held and any(rule.hold == "unsent" for rule in rules)))
        self.told[who, "sent" if sent else outcome] += 1
        self.told[who, "held"] += held
        if sent:
            self._answers.append(outcome_of(payment, paid=alive))


def stolen_of(attack: Attack, chance: random.Random) -> Iterator[PaymentInput]:
    """The payments by which the cards are tested, in no order."""
    step = attack.hours * 3600 / max(attack.cards, 1)
    for number in range(attack.cards):
        share = attack.cards // attack.accounts
        account = number // share if attack.account_by_account else number % attack.accounts
        yield PaymentInput(
            f"pay_stolen_{number}",
            f"fp_stolen_{number}",
            f"acc_merchant_{chance.randrange(attack.merchants)}",
            chance.randint(attack.lowest, attack.highest),
            attack.currency,
            about_one_euro(attack.currency),
            BEGAN + number * step + chance.random(),
            customer_id=f"acc_thief_{account}",
            address_id=f"ip_thief_{number % attack.addresses}",
            bin_id=BIN,
        )


def honest_of(crowd: Crowd, hours: float, chance: random.Random) -> Iterator[PaymentInput]:
    """The payments of newcomers, spread over the attack, and of regulars."""
    for number in range(crowd.newcomers):
        at = BEGAN + chance.uniform(0, hours * 3600)
        again = chance.random() < crowd.retries
        bin_id = BIN if chance.random() < crowd.same_bin else chance.choice(BINS)
        first = _honest(f"new_{number}", crowd, chance.randint(100, 600), at, bin_id, chance)
        yield msgspec.structs.replace(first, payment_id=first.payment_id + "dead") if again else first
        if again:
            second = {"payment_id": f"{first.payment_id}_b", "instrument_id": f"{first.instrument_id}_b"}
            yield msgspec.structs.replace(first, at=at + 40, **second)
    for number in range(crowd.regulars):
        at = BEGAN + chance.uniform(0, hours * 3600)
        yield _honest(f"regular_{number}", crowd, chance.randint(100, 9000), at, chance.choice(BINS), chance)


def regular_past(crowd: Crowd, chance: random.Random) -> Iterator[PaymentInput]:
    """What the regulars paid in the month before, day by day."""
    for day in range(30, 2, -3):
        for number in range(crowd.regulars):
            paid = _honest(
                f"regular_{number}", crowd, chance.randint(500, 9000), BEGAN - day * DAY, BINS[0], chance
            )
            yield msgspec.structs.replace(paid, payment_id=f"{paid.payment_id}_{day}")


def _honest(name: str, crowd: Crowd, amount: int, at: float, bin_id: str, chance: random.Random) -> PaymentInput:
    merchant = f"acc_merchant_{chance.randrange(crowd.merchants)}"
    address = crowd.address or f"ip_{name}"
    return PaymentInput(
        f"pay_{name}",
        f"fp_{name}",
        merchant,
        amount,
        "EUR",
        100,
        at,
        customer_id=f"acc_{name}",
        address_id=address,
        bin_id=bin_id,
    )
