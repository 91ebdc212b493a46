"""What a replay does to payments after they are made: captures in parts, voids of the rest, refunds."""

import asyncio
import random
from collections import Counter
from time import monotonic
from typing import Any, Literal

import msgspec

from connectors.gateway import RETRY_FOR_S, GatewayClient, GatewayRefused

POLL_S = 0.5
CAPTURABLE = ("authorized", "partially_captured", "captured")  # the last: a resumed run sends its captures again
IN_DOUBT = ("processing", "unknown")
OPEN = ("sending", "unknown")
VOIDS_MAX = 5  # a processor that refuses more often keeps its hold until that lapses
# Counted, and no error of the run. `wrong_state`: the payment went on without us, as after a late verdict.
REFUSALS = ("processor_declined", "amount_too_large", "invalid_request", "wrong_state")

Document = dict[str, Any]
Verb = Literal["capture", "void", "refunds"]


class Shares(msgspec.Struct, frozen=True):
    """How many of the payments, from 0 to 1, are captured in parts and how many are refunded."""

    parts: float = 0.0
    refunds: float = 0.0


NO_SHARES = Shares()


class Plan(msgspec.Struct, frozen=True):
    """The follow-ups of one payment, amounts in minor units; with no captures it is captured automatically.

    The last capture releases the rest, or with `voids_rest` it leaves it to a void.
    """

    captures: list[int] = []
    voids_rest: bool = False
    refunds: list[int] = []


def plan_of(run: str, tx_id: int | str, amount: int, shares: Shares) -> Plan:
    """The plan for a payment of `amount`: the same each time for the same run and transaction."""
    chance = random.Random(f"{run}-{tx_id}")  # noqa: S311  # no secret
    in_parts, is_refunded = chance.random() < shares.parts, chance.random() < shares.refunds
    captures: list[int] = []
    if in_parts:
        taken = amount if chance.random() < 0.5 else chance.randint(1, amount)
        captures = _pieces(chance, taken, chance.choice((2, 3)))
    taken = sum(captures) or amount
    refunds: list[int] = []
    if is_refunded:
        given_back = taken if chance.random() < 0.5 else chance.randint(1, taken)
        refunds = _pieces(chance, given_back, chance.choice((1, 1, 2)))
    return Plan(captures, bool(captures) and taken < amount and chance.random() < 0.5, refunds)


def _pieces(chance: random.Random, amount: int, number: int) -> list[int]:
    """`amount` cut at random into `number` pieces, or into as many as it has minor units."""
    cuts = sorted(chance.sample(range(1, amount), min(number, amount) - 1))
    return [end - begin for begin, end in zip([0, *cuts], [*cuts, amount], strict=True)]


class FollowUps:
    """Carries plans out. `done` counts what was answered with a success, also where it is still pending."""

    def __init__(self, payer: GatewayClient, admin: GatewayClient) -> None:
        self._payer, self._admin = payer, admin
        self.done: Counter[Verb] = Counter()
        self.refused: Counter[str] = Counter()

    async def carry_out(self, plan: Plan, payment: Document, key: str) -> Document:
        """Capture, void and refund as planned, under keys that begin with `key`; the payment as answered last.

        A payment that was declined or is held for a person is left alone. Raises `GatewayRefused` for any other
        refusal than those that are counted, and `GatewayUnavailable`.
        """
        if not plan.captures and not plan.refunds:
            return payment
        payment = await self._authorized(payment)
        if payment["state"] not in CAPTURABLE:
            return payment
        if plan.captures:
            payment = await self._capture(plan, payment, key)
        for number, amount in enumerate(plan.refunds):
            await self._send("refunds", payment["id"], {"amount": amount}, f"{key}-refund-{number}")
        return payment

    async def _authorized(self, payment: Document) -> Document:
        """The payment once its authorization has an outcome, or as it stands when the time for that is over."""
        give_up = monotonic() + RETRY_FOR_S
        while payment["state"] in IN_DOUBT and monotonic() < give_up:
            await asyncio.sleep(POLL_S)
            payment = await self._payer.get(f"/v1/payments/{payment['id']}")
        return payment

    async def _capture(self, plan: Plan, payment: Document, key: str) -> Document:
        """All captures, and voids: of what the plan left, and of what is held because a processor refused."""
        for number, amount in enumerate(plan.captures, 1):
            body = {"amount": amount, "final": number == len(plan.captures) and not plan.voids_rest}
            payment = await self._send("capture", payment["id"], body, f"{key}-capture-{number}") or payment
        if plan.voids_rest:
            payment = await self._send("void", payment["id"], {}, f"{key}-void") or payment
        return await self._release(payment, key)

    async def _release(self, payment: Document, key: str) -> Document:
        """The payment once it holds nothing. It shows what it holds also while a capture or void is pending."""
        for number in range(1, VOIDS_MAX + 1):
            if payment["amount_capturable"]:
                payment = await self._at_rest(payment["id"])
            if not payment["amount_capturable"]:
                break
            payment = await self._send("void", payment["id"], {}, f"{key}-void-{number}") or payment
        return payment

    async def _at_rest(self, payment_id: str) -> Document:
        """The payment once the end of each of its operations is known, or when the time for that is over."""
        give_up = monotonic() + RETRY_FOR_S
        while monotonic() < give_up:
            operations: Document = await self._admin.get(f"/v1/payments/{payment_id}/operations")
            if not any(operation["status"] in OPEN for operation in operations["data"]):
                break
            await asyncio.sleep(POLL_S)
        payment: Document = await self._admin.get(f"/v1/payments/{payment_id}")
        return payment

    async def _send(self, verb: Verb, payment_id: str, body: Document, key: str) -> Document | None:
        """The answer; None for a refusal, which is counted."""
        try:
            answer: Document = await self._admin.post(f"/v1/payments/{payment_id}/{verb}", body, key)
        except GatewayRefused as refused:
            if refused.code not in REFUSALS:
                raise
            self.refused[refused.code] += 1
            return None
        self.done[verb] += 1
        return answer
