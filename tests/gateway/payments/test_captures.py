"""What follows an authorization: captures, voids, reviews, and PayPal's payer coming back."""

import asyncio

from connectors.processors.contract import Answer, CallResult
from gateway.books.idempotency import KeyedRequest
from gateway.books.operations import Operation, select_operations
from gateway.payments.captures import begin_capture, begin_void
from gateway.payments.commit import Committed, apply
from gateway.payments.processor_calls import query_of
from tests.gateway.payments.conftest import Shop


async def test_manual_capture_waits_for_the_merchant(shop: Shop) -> None:
    held = await shop.pay(1000, capture="manual")
    assert (held.status, held.json["state"], held.json["status"]) == (201, "authorized", "pending")
    taken = await shop.post(f"/v1/payments/{held.json['id']}/capture", {"amount": 400}, who="merchant")
    assert (taken.status, taken.json["state"], taken.json["amount_captured"]) == (200, "captured", 400)
    assert taken.json["amount_capturable"] == 0
    assert await shop.balance() == {"due:visa": 400, f"due:{await shop.account('merchant')}": -400}


async def test_no_more_is_captured_than_was_authorized(shop: Shop) -> None:
    held = (await shop.pay(1000, capture="manual")).json["id"]
    answer = await shop.post(f"/v1/payments/{held}/capture", {"amount": 1001}, who="merchant")
    assert (answer.status, answer.code) == (422, "amount_too_large")
    assert await shop.state(held) == "authorized"


async def test_a_capture_is_repeated_byte_for_byte(shop: Shop) -> None:
    held = (await shop.pay(capture="manual")).json["id"]
    first = await shop.post(f"/v1/payments/{held}/capture", {}, who="merchant", key="take")
    again = await shop.post(f"/v1/payments/{held}/capture", {}, who="merchant", key="take")
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert len(shop.ledger("capture")) == 1


async def test_void_releases_and_ends(shop: Shop) -> None:
    held = (await shop.pay(capture="manual")).json["id"]
    assert (await shop.post(f"/v1/payments/{held}/void", {}, who="merchant")).json["state"] == "voided"
    late = await shop.post(f"/v1/payments/{held}/capture", {}, who="merchant")
    assert (late.status, late.code) == (409, "wrong_state")
    assert await shop.balance() == {}


async def test_captures_and_voids_cannot_race(shop: Shop) -> None:
    held = (await shop.pay(capture="manual")).json["id"]
    answers = await asyncio.gather(
        *[shop.post(f"/v1/payments/{held}/{what}", {}, who="merchant") for what in ("capture", "void") * 4]
    )
    assert sorted(a.status for a in answers)[0] == 200
    assert [a.status for a in answers].count(200) == 1
    assert {a.code for a in answers if a.status == 409} <= {"operation_in_progress", "wrong_state"}
    assert len(shop.ledger("capture")) + len(shop.ledger("void")) + len(shop.ledger("reversal")) == 1


async def test_a_void_in_work_is_not_answered_by_a_capture_found_late(shop: Shop) -> None:
    held = (await shop.pay(capture="manual", processor="visa")).json["id"]
    runtime, merchant = shop.gateway.runtime, await shop.account("merchant")

    def asked(key: str) -> KeyedRequest:
        return KeyedRequest(merchant, key, b"same", "merchant")

    async def say(operation: Operation | None, result: CallResult) -> Committed:
        assert operation is not None
        return await runtime.books.write(apply, runtime.policy, operation.id, Answer(result, "their-reference"))

    taking = await runtime.books.write(begin_capture, runtime.policy, asked("capture"), held, None, final=True)
    assert isinstance(taking, Committed)
    await say(taking.to_send, "unknown")
    await say((await say(taking.to_send, "not_found")).to_send, "failed")  # done anew, and refused
    voiding = await runtime.books.write(begin_void, runtime.policy, asked("void"), held, as_payer=False)
    assert isinstance(voiding, Committed)
    back = await say(taking.to_send, "succeeded")
    assert back.to_send is not None
    assert back.to_send.kind == "reversal"
    assert (await say(back.to_send, "succeeded")).answers == {}
    done = await say(voiding.to_send, "succeeded")
    reply = done.answer_to(asked("void"))
    assert reply is not None
    assert (reply.status, done.payment.state) == (200, "voided")
    assert await shop.balance() == {}


async def test_who_may_capture_and_void(shop: Shop) -> None:
    held = (await shop.pay(capture="manual")).json["id"]
    assert (await shop.post(f"/v1/payments/{held}/capture", {}, who="customer")).status == 403
    assert (await shop.post(f"/v1/payments/{held}/void", {}, who="customer")).code == "wrong_state"
    for step in ("capture", "void", "refunds"):
        assert (await shop.post(f"/v1/payments/{held}/{step}", {}, who="analyst")).status == 403
    assert (await shop.post(f"/v1/payments/{held}/void", {}, who="replay")).status == 404
    assert (await shop.post(f"/v1/payments/{held}/capture", {}, who="admin")).status == 200


async def test_a_merchant_that_pays_may_not_void_what_another_merchant_holds(shop: Shop) -> None:
    body = {"name": "Another shop"}
    other = (await shop.gateway.ask("POST", "/v1/merchants", body, "admin")).json["id"]
    mine = {"type": "card", "card": await shop.card(who="merchant")}
    held = await shop.pay(who="merchant", merchant=other, capture="manual", payment_method=mine)
    assert held.json["state"] == "authorized"
    path = f"/v1/payments/{held.json['id']}"
    assert (await shop.post(f"{path}/void", {}, who="merchant")).code == "wrong_state"
    assert (await shop.post(f"{path}/capture", {}, who="merchant")).status == 403
    assert (await shop.post(f"{path}/void", {}, who="admin")).json["state"] == "voided"


async def test_an_approved_review_is_captured(shop: Shop) -> None:
    held = (await shop.pay(60_000)).json["id"]
    review = await _review(shop, held)
    path = f"/v1/reviews/{review}/decision"
    decision = {"decision": "approve", "reason": "known customer"}
    answer = await shop.post(path, decision, who="analyst")
    assert (answer.status, answer.json["decision"]) == (200, "approve")
    assert await shop.state(held) == "captured"
    second = await shop.post(path, {"decision": "reject", "reason": "late"}, who="analyst")
    assert (second.status, second.code) == (409, "wrong_state")
    events = (await shop.get(f"/v1/payments/{held}/events"))["data"]
    assert [event["type"] for event in events] == [
        "payment.initiated",
        "payment.in_review",
        "transaction_completed",
        "payment.authorized",
        "payment.captured",
        "transaction_completed",
    ]


async def test_an_approved_review_of_a_manual_capture_is_left_to_the_merchant(shop: Shop) -> None:
    held = (await shop.pay(60_000, capture="manual")).json["id"]
    decision = {"decision": "approve", "reason": "fine"}
    answer = await shop.post(f"/v1/reviews/{await _review(shop, held)}/decision", decision, who="analyst")
    assert answer.status == 200
    assert await shop.state(held) == "authorized"


async def test_a_rejected_review_is_voided(shop: Shop) -> None:
    held = (await shop.pay(60_000)).json["id"]
    early = await shop.post(f"/v1/payments/{held}/capture", {}, who="merchant")
    assert (early.status, early.code) == (409, "wrong_state")
    decision = {"decision": "reject", "reason": "stolen"}
    answer = await shop.post(f"/v1/reviews/{await _review(shop, held)}/decision", decision, who="analyst")
    assert answer.status == 200
    assert await shop.state(held) == "voided"
    assert await shop.balance() == {}


async def test_a_rejected_review_behind_a_silent_processor_is_voided_in_the_end(shop: Shop) -> None:
    held = (await shop.pay(60_000, processor="visa")).json["id"]
    shop.fault("visa", "silence", times=1)
    decision = {"decision": "reject", "reason": "stolen"}
    answer = await shop.post(f"/v1/reviews/{await _review(shop, held)}/decision", decision, who="analyst")
    assert answer.status == 202
    assert await shop.state(held) == "in_review"
    await shop.expire()
    assert await shop.state(held) == "voided"


async def test_an_approved_review_whose_capture_is_refused_is_declined(shop: Shop) -> None:
    held = (await shop.pay(60_000, processor="visa")).json["id"]
    runtime = shop.gateway.runtime
    (authorization,) = await runtime.books.read(select_operations, held)
    gone = await runtime.processors["visa"].reverse("op_elsewhere", query_of(authorization))
    assert gone.result == "succeeded"
    decision = {"decision": "approve", "reason": "fine"}
    answer = await shop.post(f"/v1/reviews/{await _review(shop, held)}/decision", decision, who="analyst")
    assert answer.status == 200
    shown = await shop.get(f"/v1/payments/{held}")
    assert (shown["state"], shown["decline_code"]) == ("declined", shown["last_refusal"]["decline_code"])
    assert shown["last_refusal"]["kind"] == "capture"
    assert await shop.balance() == {}


async def test_open_reviews_come_first_and_page(shop: Shop) -> None:
    held = [(await shop.pay(60_000 + n)).json["id"] for n in range(3)]
    newest = await _review(shop, held[2])
    await shop.post(f"/v1/reviews/{newest}/decision", {"decision": "reject", "reason": "x"}, who="analyst")
    seen, cursor = [], ""
    while True:
        page = await shop.get(f"/v1/reviews?limit=1{cursor}", "analyst")
        seen += [review["payment"] for review in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [held[1], held[0], held[2]]


async def test_a_customer_cancels_what_waits_for_them(shop: Shop) -> None:
    asked = (await shop.pay(500, payment_method={"type": "paypal"})).json["id"]
    answer = await shop.post(f"/v1/payments/{asked}/void", {}, who="customer")
    assert (answer.status, answer.json["state"]) == (200, "voided")


async def test_a_customers_cancellation_is_repeated_byte_for_byte(shop: Shop) -> None:
    asked = (await shop.pay(500, payment_method={"type": "paypal"})).json["id"]
    first = await shop.post(f"/v1/payments/{asked}/void", {}, who="customer", key="cancel")
    again = await shop.post(f"/v1/payments/{asked}/void", {}, who="customer", key="cancel")
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"


async def _review(shop: Shop, payment: str) -> str:
    found = (await shop.get("/v1/reviews?limit=100", "analyst"))["data"]
    return str(next(review["id"] for review in found if review["payment"] == payment))
