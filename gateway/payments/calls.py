"""Calls to processors: an operation of the books becomes one request, and nothing else is decided here."""

import asyncio
from time import monotonic
from typing import cast

from connectors.processors.contract import (
    Answer,
    CardDetails,
    Charge,
    FollowUp,
    Processor,
    Query,
    RedirectProcessor,
)
from gateway.books.operations import Operation
from gateway.books.payments import PaymentRow
from gateway.parts import Parts
from gateway.vault.client import CardUnknown, VaultAway
from schemas.money import Money

VAULT_PAUSE_S = 0.1


async def send(
    parts: Parts, payment: PaymentRow, operation: Operation, of: Operation | None, cvc: str | None
) -> Answer:
    """Send an operation to its processor; `of` is the one it follows or takes back."""
    processor = parts.processors[operation.processor]
    if operation.kind == "order":
        return await _create_order(parts, cast(RedirectProcessor, processor), payment, operation)
    if operation.kind in ("authorize", "sale"):
        return await _authorize(parts, processor, payment, operation, cvc)
    assert of is not None, "a capture, void or reversal names the operation it is about"
    if operation.kind == "reversal":
        return await processor.reverse(operation.id, query_of(of))
    if operation.kind == "capture":
        return await processor.capture(_follow_up(operation, of))
    return await processor.void(_follow_up(operation, of))


def query_of(operation: Operation) -> Query:
    """What `lookup` and `reverse` are asked about an operation."""
    assert operation.kind != "order", "an order moves no money: it is asked for by its own id"
    begins = operation.kind in ("authorize", "sale")
    return Query(
        operation.id,
        operation.attempt,
        operation.kind,
        Money(operation.amount, operation.currency),
        order_reference=operation.of_reference if begins else None,
        parent_reference=None if begins else operation.of_reference,
    )


async def _create_order(
    parts: Parts, processor: RedirectProcessor, payment: PaymentRow, operation: Operation
) -> Answer:
    back = f"{parts.settings.public_url}/v1/return/{payment.id}/{payment.return_nonce}"
    return await processor.create_order(_charge(operation, None), back, f"{back}?cancelled")


async def _authorize(
    parts: Parts, processor: Processor, payment: PaymentRow, operation: Operation, cvc: str | None
) -> Answer:
    card = None
    if payment.card is not None:
        try:
            opened = await _open(parts, payment.card, payment.customer)
        except (VaultAway, CardUnknown) as error:
            return Answer("failed", detail=type(error).__name__, sent=False)
        card = CardDetails(opened.number, opened.exp_month, opened.exp_year, cvc)
    return await processor.authorize(_charge(operation, card), capture=operation.kind == "sale")


async def _open(parts: Parts, card: str, owner: str) -> CardDetails:
    """The number behind a token; a vault that restarts is waited for. Raises `VaultAway`, `CardUnknown`.

    Nothing was sent yet, and the lease outlasts the call that follows: half of what it does so by is waited, the
    other half covers the vault's own timeout.
    """
    give_up = monotonic() + (parts.settings.lease_s - parts.settings.call_timeout_s) / 2
    while True:
        try:
            return await parts.vault.open(card, owner)
        except VaultAway:
            if monotonic() > give_up:
                raise
        await asyncio.sleep(VAULT_PAUSE_S)


def _charge(operation: Operation, card: CardDetails | None) -> Charge:
    money = Money(operation.amount, operation.currency)
    return Charge(operation.id, operation.attempt, money, card, order_reference=operation.of_reference)


def _follow_up(operation: Operation, of: Operation) -> FollowUp:
    return FollowUp(
        operation.id,
        operation.attempt,
        Money(operation.amount, operation.currency),
        of.processor_reference or "",
        of.id,
        parent_is_sale=of.kind == "sale",
    )
