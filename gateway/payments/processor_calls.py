"""Calls to processors: an operation of the books becomes one request, and is measured. Nothing is decided here."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from secrets import token_bytes
from time import perf_counter
from typing import assert_never, cast

import msgspec

from connectors.processors.contract import (
    Answer,
    CardDetails,
    Charge,
    FollowUp,
    Processor,
    Query,
    RedirectProcessor,
)
from connectors.traces import CURRENT, TRACES
from gateway.books.operations import Operation
from gateway.books.payments import PaymentRow
from gateway.runtime import Runtime
from gateway.vault.client import CardUnknown, OpenedCard, OperationRefused, VaultAway
from schemas.money import Money
from schemas.payments import ProcessorName

VAULT_PAUSE_S = 0.1


async def send(
    runtime: Runtime, payment: PaymentRow, operation: Operation, parent: Operation | None, cvc: str | None
) -> Answer:
    """Send an operation to its processor; `parent` is the one it follows or takes back."""
    CURRENT.set(payment.traceparent)
    processor = runtime.processors[operation.processor]
    match operation.kind:
        case "order":
            return await _create_order(runtime, cast(RedirectProcessor, processor), payment, operation)
        case "authorize" | "sale":
            return await _authorize(runtime, processor, payment, operation, cvc)
        case "capture":
            calling = processor.capture(_follow_up(operation, parent))
        case "void":
            calling = processor.void(_follow_up(operation, parent))
        case "refund":
            calling = processor.refund(_follow_up(operation, parent))
        case "reversal":
            assert parent is not None, "a reversal names the operation it takes back"
            calling = processor.reverse(operation.id, query_of(parent))
        case _:
            assert_never(operation.kind)
    return await _measured(runtime, operation.processor, operation.kind, calling)


async def look_up(runtime: Runtime, operation: Operation) -> Answer:
    """Ask a processor for an operation whose answer was never read."""
    calling = runtime.processors[operation.processor].lookup(query_of(operation))
    return await _measured(runtime, operation.processor, "lookup", calling)


async def taken_back(runtime: Runtime, operation: Operation) -> Answer:
    """Ask a processor whether an authorization or a sale still holds or takes anything."""
    calling = runtime.processors[operation.processor].taken_back(query_of(operation))
    return await _measured(runtime, operation.processor, "lookup", calling)


async def order_status(runtime: Runtime, order: Operation) -> Answer:
    """Ask a processor whether the payer approved an order."""
    processor = cast(RedirectProcessor, runtime.processors[order.processor])
    calling = processor.order_status(order.processor_reference or "")
    return await _measured(runtime, order.processor, "order_status", calling)


def query_of(operation: Operation) -> Query:
    """The arguments of `lookup` and `reverse` for an operation."""
    order_reference, parent_reference = None, None
    match operation.kind:
        case "order":
            raise ValueError("an order moves no money: it is asked for by its own id")
        case "authorize" | "sale":
            order_reference = operation.parent_reference
        case "capture" | "void" | "refund" | "reversal":
            parent_reference = operation.parent_reference
        case _:
            assert_never(operation.kind)
    money = Money(operation.amount, operation.currency)
    return Query(operation.id, operation.attempt_id, operation.kind, money, order_reference, parent_reference)


async def _measured(runtime: Runtime, processor: ProcessorName, kind: str, calling: Awaitable[Answer]) -> Answer:
    """Time the processor alone: what is waited for before, such as the vault, is none of its."""
    began, cause = perf_counter(), CURRENT.get()
    span = TRACES.begin(f"{processor} {kind}", "client", cause)
    CURRENT.set(span.traceparent)
    answer: Answer | None = None
    try:
        answer = await calling
    finally:
        CURRENT.set(cause)
        span.end(failed=answer is None or answer.result in ("failed", "unknown"))
    runtime.processor_metrics.observe(processor, kind, answer.result, perf_counter() - began)
    return answer


async def _create_order(
    runtime: Runtime, processor: RedirectProcessor, payment: PaymentRow, operation: Operation
) -> Answer:
    back = f"{runtime.settings.public_url}/v1/return/{payment.id}/{payment.return_nonce}"
    calling = processor.create_order(_charge(operation, None), back, f"{back}?cancelled")
    return await _measured(runtime, operation.processor, operation.kind, calling)


async def _authorize(
    runtime: Runtime, processor: Processor, payment: PaymentRow, operation: Operation, cvc: str | None
) -> Answer:
    card, audit_head = None, None
    if payment.card_id is not None:
        try:
            opened, audit_head = await _open_card(runtime, payment.card_id, payment.customer_id, operation.id)
        except (VaultAway, CardUnknown, OperationRefused) as error:
            return Answer("failed", detail=type(error).__name__, sent=False)
        card = CardDetails(opened.number, opened.exp_month, opened.exp_year, cvc)
    calling = processor.authorize(_charge(operation, card), capture=operation.kind == "sale")
    answer = await _measured(runtime, operation.processor, operation.kind, calling)
    return msgspec.structs.replace(answer, audit_head=audit_head)


async def _open_card(runtime: Runtime, card_id: str, owner_id: str, operation_id: str) -> OpenedCard:
    """The number behind a token; a vault that restarts is waited for, and asked for the same open again.

    Raises `VaultAway`, `CardUnknown`, `OperationRefused`. Nothing was sent yet, and the lease outlasts the call
    that follows: most of the difference may be waited for, also where another vault has to take over.
    """
    call = token_bytes(16)
    try:
        async with asyncio.timeout(0.9 * (runtime.settings.lease_s - runtime.settings.call_timeout_s)):
            while True:
                with suppress(VaultAway):
                    return await runtime.vault.open(card_id, owner_id, operation_id, call)
                await asyncio.sleep(VAULT_PAUSE_S)
    except TimeoutError:
        raise VaultAway from None


def _charge(operation: Operation, card: CardDetails | None) -> Charge:
    money = Money(operation.amount, operation.currency)
    return Charge(operation.id, operation.attempt_id, money, card, operation.parent_reference)


def _follow_up(operation: Operation, parent: Operation | None) -> FollowUp:
    assert parent is not None, "a capture, void or refund names the operation it is about"
    return FollowUp(
        operation.id,
        operation.attempt_id,
        Money(operation.amount, operation.currency),
        parent.processor_reference or "",
        parent.id,
        parent_is_sale=parent.kind == "sale",
        part=operation.part,
        final=operation.final,
        rest=operation.kind == "void" and operation.amount < parent.amount,
    )
