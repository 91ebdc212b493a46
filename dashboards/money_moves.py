"""Capture, void and refund of a payment: what is possible, how much, and in words what it will do. Pure."""

import re
from collections.abc import Iterator
from typing import Any, Literal, assert_never

import msgspec

from dashboards import formats
from dashboards.payment_reading import ProcessorCall, ShownPayment, WholePayment
from dashboards.wording import words
from schemas.ids import new_id
from schemas.money import Money, exponent, from_decimal

MoveKind = Literal["capture", "refund", "void"]
LABELS: dict[MoveKind, str] = {"capture": "Capture", "refund": "Refund", "void": "Void"}
PLAIN = re.compile(r"\d{1,12}(\.\d+)?")  # a comma is a decimal point to some, and none to others: never guessed
PATHS: dict[MoveKind, str] = {"capture": "/capture", "refund": "/refunds", "void": "/void"}


class NoSuchAmount(ValueError):
    """Nothing can be moved by this text; the message says to a person why."""


class MoneyMove(msgspec.Struct, frozen=True):
    """What a person is about to confirm: `amount` in minor units, sent under `key` however often it is sent.

    `asked`: it was sent, and no answer came. `before`: the payment as it stood then.
    """

    payment_id: str
    kind: MoveKind
    amount: int
    final: bool = True
    reason: str = ""
    asked: bool = False
    before: ShownPayment | None = None
    key: str = msgspec.field(default_factory=lambda: new_id("key"))

    def body(self) -> dict[str, Any]:
        """As the gateway is asked: the amount stands there also where it is all that is left, never more."""
        match self.kind:
            case "capture":
                return {"amount": self.amount, "final": self.final}
            case "refund":
                return {"amount": self.amount} | ({"reason": self.reason} if self.reason else {})
            case "void":
                return {}
            case _:
                assert_never(self.kind)


def movable(payment: ShownPayment, kind: MoveKind) -> int:
    """The most that can be moved so, in minor units; 0 where that cannot be asked for now."""
    match kind:
        case "capture":
            return payment.amount_capturable
        case "refund":
            return payment.refundable if payment.state in ("captured", "partially_captured") else 0
        case "void":
            waits = payment.state == "requires_action"
            return payment.amount if waits else payment.amount_capturable
        case _:
            assert_never(kind)


def possible(whole: WholePayment) -> list[MoveKind]:
    """What can be asked for: one thing at a time, and of a held payment nothing before its review."""
    if whole.open_call() or whole.payment.state == "in_review":
        return []
    return [kind for kind in LABELS if movable(whole.payment, kind) > 0]


def minor_units(text: str, payment: ShownPayment, most: int) -> int:
    """An amount that a person typed, in minor units. Raises `NoSuchAmount`."""
    if not PLAIN.fullmatch(text.strip()):
        raise NoSuchAmount(f"Write the amount in digits with a point, as {written(most, payment.currency)}.")
    try:
        amount = from_decimal(text.strip(), payment.currency).amount
    except ValueError:
        raise NoSuchAmount(f"{payment.currency} has {_decimals(payment.currency)}.") from None
    if amount > most:
        raise NoSuchAmount(f"There is {payment.money(most)} at most.")
    if amount < 1:
        raise NoSuchAmount("The amount must be above zero.")
    return amount


def written(minor: int, currency: str) -> str:
    """An amount as it is typed, wherever a reader is at home: digits and a point."""
    return Money(minor, currency).decimal()


def _decimals(currency: str) -> str:
    places = exponent(currency)
    return "no decimals" if places == 0 else f"{places} decimals at most"


def means(move: MoneyMove, payment: ShownPayment) -> list[str]:
    """What will happen, a sentence each."""
    return [" ".join(sentence.split()) for sentence in _means(move, payment)]


def _means(move: MoneyMove, payment: ShownPayment) -> Iterator[str]:
    money, method, by = payment.money, payment.payment_method.text(), payment.by()
    rest = movable(payment, move.kind) - move.amount
    match move.kind:
        case "capture":
            yield f"{by} captures {money(move.amount)} from {method}."
            if rest and move.final:
                yield f"The other {money(rest)} is let go, and cannot be captured later."
            else:
                yield f"The other {money(rest)} stays reserved." if rest else "Nothing stays reserved."
        case "refund":
            yield f"{by} refunds {money(move.amount)} to {method}."
            yield f"{money(rest)} stays captured." if rest else "Nothing stays captured."
            yield "What was refunded cannot be captured again."
        case "void" if payment.state == "requires_action":
            yield f"The payment of {money(move.amount)} is cancelled: its payer can approve it no more."
        case "void":
            yield f"{by} lets {money(move.amount)} go. It cannot be captured any more."
            if payment.amount_captured:
                yield f"The {money(payment.amount_captured)} that was captured stays captured."
        case _:
            assert_never(move.kind)


def done(move: MoneyMove, payment: ShownPayment) -> str:
    """How it ended, where it was done. `payment`: as it stands then."""
    amount = payment.money(move.amount)
    match move.kind:
        case "capture":
            return f"Done: {amount} was captured."
        case "refund":
            return f"Done: {amount} was refunded."
        case "void":
            return f"Done: {amount} was let go."
        case _:
            assert_never(move.kind)


def refused(move: MoneyMove, payment: ShownPayment, decline_code: str) -> str:
    """How it ended, where the processor said no."""
    reason = formats.plain(words(decline_code), 40) or "without a reason"
    return f"{payment.by()} refused the {move.kind} of {payment.money(move.amount)}: {reason}. No money was moved."


def ending(move: MoneyMove, whole: WholePayment, call: ProcessorCall) -> tuple[str, bool] | None:
    """How a move ended whose answer was still to come, and whether well; None while its `call` has no end."""
    now = next((later for later in whole.calls if later.id == call.id), call)
    refund = next((one for one in whole.refunds if one.id == call.refund), None)
    still_pending = refund is not None and refund.status == "pending"
    if now.finished_at is None or whole.open_call() or still_pending:
        return None
    if refund.status == "succeeded" if refund else now.status == "succeeded":
        amount = refund.amount if refund else move.amount
        return done(msgspec.structs.replace(move, amount=amount), whole.payment), True
    return refused(move, whole.payment, (refund.decline_code if refund else now.decline_code) or ""), False


def seen_ending(move: MoneyMove, whole: WholePayment, refund_id: str) -> tuple[str, bool] | None:
    """The same for who is told of no calls to processors: by the refund of that id, or what the payment became."""
    payment, before = whole.payment, move.before
    if move.kind == "refund":
        refund = next((one for one in whole.refunds if one.id == refund_id), None)
        if refund is None or refund.status == "pending":
            return None
        if refund.status == "failed":
            return refused(move, payment, refund.decline_code or ""), False
        return done(msgspec.structs.replace(move, amount=refund.amount), payment), True
    if before is None or payment.amount_captured > before.amount_captured or payment.state == "voided":
        return done(move, payment), True
    if payment.last_refusal and payment.last_refusal != before.last_refusal:
        return refused(move, payment, payment.last_refusal.decline_code), False
    is_let_go = move.kind == "void" and payment.amount_capturable < before.amount_capturable
    return (done(move, payment), True) if is_let_go else None
