"""Many reviews decided by one request: each as if it were sent alone, and all of it once."""

from typing import Any

from gateway.payments.bulk_decisions import MOST
from tests.gateway.conftest import Answer
from tests.gateway.payments.conftest import Shop
from tests.gateway.payments.test_assignments import colleague, decide, held, take


async def decide_all(
    shop: Shop, ids: list[str], decision: str = "reject", key: str = "", who: str = "analyst"
) -> Answer:
    body = {"ids": ids, "decision": decision, "reason": "seen together"}
    return await shop.post("/v1/reviews/decisions", body, who=who, key=key)


def ended(answer: Answer) -> list[tuple[int, Any]]:
    return [(one["status"], one.get("code")) for one in answer.json["data"]]


async def test_each_is_answered_as_if_it_were_sent_alone(shop: Shop) -> None:
    free, decided, taken = [await held(shop) for _ in range(3)]
    await decide(shop, decided, "admin")
    await take(shop, taken, await colleague(shop))
    nowhere = "rev_" + "0" * 26
    answer = await decide_all(shop, [free, decided, taken, nowhere])
    assert ended(answer) == [(200, None), (409, "wrong_state"), (409, "assigned"), (404, "not_found")]
    assert [one["id"] for one in answer.json["data"]] == [free, decided, taken, nowhere]
    shown = await shop.get(f"/v1/reviews/{free}", "analyst")
    assert (shown["decision"], shown["reason"]) == ("reject", "seen together")
    assert shown["decided_by"] == await shop.account("analyst")
    assert (await shop.get(f"/v1/reviews/{taken}", "analyst")).get("decision") is None


async def test_a_silent_processor_leaves_its_own_pending(shop: Shop) -> None:
    first, second = await held(shop), await held(shop)
    shop.fault("visa", "silence", operation="void", times=1)
    answer = await decide_all(shop, [first, second])
    assert sorted(ended(answer)) == [(200, None), (202, None)]


async def test_a_repeat_gets_the_same_bytes_and_nothing_happens_twice(shop: Shop) -> None:
    ids = [await held(shop) for _ in range(3)]
    first = await decide_all(shop, ids, "approve", key="all")
    again = await decide_all(shop, ids, "approve", key="all")
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(shop.ledger("capture")) == 3
    other = await decide_all(shop, ids, "reject", key="all")
    assert other.code == "idempotency_key_reused"


async def test_what_is_sent_twice_to_many_or_to_nobody_is_refused(shop: Shop) -> None:
    review = "rev_" + "0" * 26
    for ids in ([], [review, review], ["pay_1"], [f"rev_{number:026d}" for number in range(MOST + 1)]):
        assert (await decide_all(shop, ids)).code == "invalid_request"
    assert (await decide_all(shop, [review], who="customer")).status == 403
