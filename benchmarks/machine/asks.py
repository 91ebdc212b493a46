"""What the machine asks of the gateway: the use cases, called as the routes call them."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import aiohttp
from sqlalchemy import Connection, select

from benchmarks.machine.audit import open_tasks
from benchmarks.machine.model import PaymentModel, RefusedReply, Reply, Request, Verb
from benchmarks.machine.world import VERDICT, World
from gateway.books.idempotency import IdempotentAnswer, KeyedRequest, idempotency_keys, select_answer
from gateway.books.operations import select_operations
from gateway.books.payments import existing_payment
from gateway.books.reviews import Review, reviews, select_review
from gateway.books.tasks import Resolution
from gateway.payments.captures import begin_capture, begin_void
from gateway.payments.commit import Committed, apply
from gateway.payments.create import ByCard, ByPaypal, NewPayment, Payer, create
from gateway.payments.lifecycle import execute
from gateway.payments.orders import payer_returned
from gateway.payments.processor_calls import look_up
from gateway.payments.refunds import begin_refund
from gateway.payments.reviews import Decision, begin_decision
from gateway.payments.tasks import resolve
from gateway.refusals import Refusal

CURRENCY = "EUR"


def new_request(world: World, verb: Verb, **asked: Any) -> Request:
    """A request under a key of its own, of whoever may ask that."""
    account_id, role = (world.customer, "customer") if verb == "create" else (world.merchant, "merchant")
    key = uuid4().hex
    fingerprint = hashlib.blake2b(f"{verb} {key}".encode()).digest()
    return Request(keyed=KeyedRequest(account_id, key, fingerprint, role), verb=verb, **asked)


async def ask(world: World, payment: PaymentModel, request: Request) -> None:
    """Ask, and let the request hear the reply; a worker that dies on the way says nothing."""
    reply = await _reply(world, payment, request)
    world.replies[
        f"{request.verb} {reply.name if isinstance(reply, RefusedReply) else reply and reply.status}"
    ] += 1
    request.hear(reply)


async def _reply(world: World, payment: PaymentModel, request: Request) -> Reply:
    try:
        match request.verb:
            case "create":
                return await _create(world, payment, request)
            case "capture":
                return await _carry_out(
                    world, payment, request, begin_capture, amount=request.amount, final=request.final
                )
            case "void":
                return await _carry_out(world, payment, request, begin_void, as_payer=False)
            case "refund":
                return await _carry_out(world, payment, request, begin_refund, amount=request.amount, reason=None)
    except Refusal as error:
        return RefusedReply(type(error).__name__)


async def _create(world: World, payment: PaymentModel, request: Request) -> Reply:
    by = ByCard(world.cards[payment.card].id) if payment.card else ByPaypal()
    asked = NewPayment(
        amount=payment.amount,
        currency=CURRENCY,
        merchant=world.merchant,
        payment_method=by,
        capture="automatic" if payment.automatic else "manual",
        processor=payment.wanted,
    )
    VERDICT.set(payment.verdict)
    created = await create(world.runtime, request.keyed, asked, Payer(world.customer, None, ""))
    return created.answer or await world.runtime.books.read(select_answer, request.keyed)


async def _carry_out(
    world: World, payment: PaymentModel, request: Request, begin: Callable[..., Any], **asked: Any
) -> Reply:
    runtime = world.runtime
    begun = await runtime.books.write(begin, runtime.policy, request.keyed, payment.id, **asked)
    if isinstance(begun, IdempotentAnswer):
        return begun
    answer = (await execute(runtime, begun)).answer_to(request.keyed)
    return answer or await runtime.books.read(select_answer, request.keyed)


async def decide(world: World, payment: PaymentModel, decision: Any) -> bool:
    """Decide the review of a payment; False where it has none."""
    review = await world.runtime.books.read(_review_of, payment.id or "")
    if review is None:
        return False
    payment.decided.add(decision)
    runtime = world.runtime
    try:
        asked = Decision(review, decision, "because", world.analyst, b"{}")
        begun = await runtime.books.write(begin_decision, runtime.policy, None, asked)
    except Refusal:
        return True
    assert isinstance(begun, Committed), "no key, so no answer to an earlier request"
    await execute(runtime, begun)
    return True


async def resolve_task(world: World, payment: PaymentModel, outcome: Resolution) -> bool:
    """Resolve what a person has to end of a payment; False where there is nothing."""
    runtime = world.runtime
    found = await runtime.books.read(open_tasks, payment.id or "")
    for task in found:
        with suppress(Refusal):
            _, step = await runtime.books.write(
                resolve, runtime.policy, task.id, outcome, "because", world.analyst
            )
            await execute(runtime, step)
    return bool(found)


async def press(world: World, payment: PaymentModel, button: str) -> bool:
    """Press a button of PayPal's page, where the payer was sent there; it asks nothing of the gateway."""
    assert payment.id is not None
    row = await world.runtime.books.read(existing_payment, payment.id)
    if row.redirect_url is not None:
        with suppress(aiohttp.ClientError):  # its port may be closed
            async with aiohttp.ClientSession() as browser:
                await browser.post(row.redirect_url, data={"decision": button}, allow_redirects=False)
    return False


async def come_back(world: World, payment: PaymentModel, *, cancelled: bool) -> bool:
    """The payer comes back from PayPal; False where nobody was sent there."""
    assert payment.id is not None
    VERDICT.set(payment.verdict)
    row = await world.runtime.books.read(existing_payment, payment.id)
    await payer_returned(world.runtime, row, cancelled=cancelled)
    return row.redirect_url is not None


async def hear_late(world: World, payment: PaymentModel, which: int) -> bool:
    """A processor tells of one of the payment's calls by itself, as a webhook does: at any time, and again.

    False where it has nothing to tell.
    """
    runtime = world.runtime
    made = await runtime.books.read(select_operations, payment.id or "")
    told = [operation for operation in made if operation.kind not in ("order", "reversal")]
    if not told:
        return False
    operation = told[which % len(told)]
    answer = await look_up(runtime, operation)
    if answer.result in ("succeeded", "declined"):
        await execute(runtime, await runtime.books.write(apply, runtime.policy, operation.id, answer))
    return answer.result in ("succeeded", "declined")


async def find_id(world: World, payment: PaymentModel) -> str | None:
    """The id of a payment; None where its worker died before anything was written."""
    if payment.id is None:
        payment.id = await world.runtime.books.read(_subject_of, payment.create.keyed)
    return payment.id


def _subject_of(conn: Connection, keyed: KeyedRequest) -> str | None:
    c = idempotency_keys.c
    mine = (c.account_id == keyed.account_id) & (c.key == keyed.key)
    return conn.execute(select(c.subject_id).where(mine)).scalar()


def _review_of(conn: Connection, payment_id: str) -> Review | None:
    found = conn.execute(select(reviews.c.id).where(reviews.c.payment_id == payment_id)).scalar()
    return select_review(conn, found) if found else None
