"""Releases that a processor refuses: tried ever more seldom, ended by what it says, else by a person."""

from typing import Any, cast

import pytest

from connectors.processors.contract import Answer, FollowUp, Processor, Query
from gateway.books.operations import Operation
from gateway.books.reviews import select_review
from gateway.payments.commit import Committed, apply
from gateway.payments.reviews import Decision, begin_decision
from schemas.money import Money
from schemas.payments import ProcessorName
from schemas.times import steady_micros
from tests.gateway.payments.conftest import MASTERCARD, Shop
from tests.gateway.payments.test_captures_in_parts import capture, void
from tests.gateway.payments.test_refunds import operations_of, paid
from tests.patience import eventually

REFUSES_VOIDS = {"visa": ("4000000000000606", (1, 2039)), "mastercard": (MASTERCARD, (3, 2039))}
PROCESSORS = ["visa", "mastercard", "paypal"]
PENDING = Answer("unknown", doubt="pending", pending_reason="PENDING_REVIEW")
HELD = 60_000  # past the stand-in's cap: a person decides


async def held(shop: Shop, processor: str) -> str:
    """A payment that is held for a person, whose processor releases it."""
    return await paid(shop, processor, HELD)


async def stuck(shop: Shop, processor: str = "visa") -> str:
    """A payment that was rejected, and whose processor refuses to release it."""
    number, exp = REFUSES_VOIDS[processor]
    method = {"type": "card", "card": await shop.card(number, exp=exp)}
    payment = str((await shop.pay(HELD, payment_method=method, processor=processor)).json["id"])
    assert (await reject(shop, payment)).status == 202

    async def is_refused() -> bool:
        return (await voids(shop, payment))[-1].checks == 1

    await eventually(is_refused)
    return payment


async def reject(shop: Shop, payment: str) -> Any:
    reviews = (await shop.get("/v1/reviews?limit=100", "analyst"))["data"]
    (review,) = [r["id"] for r in reviews if r["payment"] == payment]
    body = {"decision": "reject", "reason": "stolen"}
    return await shop.post(f"/v1/reviews/{review}/decision", body, who="analyst")


async def release_by_hand(shop: Shop, payment: str) -> None:
    """As somebody does at the processor's own desk."""
    authorization = next(o for o in await operations_of(shop, payment) if o.kind == "authorize")
    reference, money = authorization.processor_reference or "", Money(authorization.amount, "EUR")
    call = FollowUp("op_by_hand", authorization.attempt_id, money, reference, authorization.id)
    assert (await shop.gateway.runtime.processors[authorization.processor].void(call)).result == "succeeded"


async def voids(shop: Shop, payment: str) -> list[Operation]:
    return [o for o in await operations_of(shop, payment) if o.kind == "void"]


async def give_up(shop: Shop) -> None:
    """Let it be tried as often as it is."""
    for _ in range(len(shop.gateway.runtime.policy.release_us) + 1):
        await shop.expire()


async def tasks(shop: Shop, query: str = "", who: str = "analyst") -> list[Any]:
    return list((await shop.get(f"/v1/tasks{query}", who))["data"])


async def resolve(shop: Shop, task: str, outcome: str, who: str = "analyst", key: str = "") -> Any:
    body = {"outcome": outcome, "reason": "asked their support"}
    return await shop.post(f"/v1/tasks/{task}/resolve", body, who=who, key=key)


@pytest.mark.parametrize("processor", PROCESSORS)
async def test_what_was_released_by_hand_is_released(shop: Shop, processor: ProcessorName) -> None:
    payment = await held(shop, processor)
    await release_by_hand(shop, payment)
    assert (await reject(shop, payment)).status == 200
    assert await shop.state(payment) == "voided"
    assert await shop.balance() == {}
    assert await tasks(shop) == []


@pytest.mark.parametrize("processor", REFUSES_VOIDS)
async def test_a_refused_release_is_tried_ever_more_seldom_and_then_a_task(shop: Shop, processor: str) -> None:
    payment, pauses = await stuck(shop, processor), shop.gateway.runtime.policy.release_us
    for number, pause in enumerate(pauses, start=1):
        last = (await voids(shop, payment))[-1]
        assert (last.status, last.checks, last.lease_until is not None) == ("unknown", number, True)
        assert (last.lease_until or 0) - steady_micros() <= pause
        assert await tasks(shop) == []
        await shop.expire()
    made = await voids(shop, payment)
    assert len({o.id for o in made}) == len(pauses) + 1
    assert [o.status for o in made] == ["failed"] * len(pauses) + ["declined"]
    (task,) = await tasks(shop)
    assert task["id"].startswith("tsk_")
    assert {name: value for name, value in task.items() if name not in ("id", "opened_at")} == {
        "kind": "void_refused",
        "payment": payment,
        "operation": made[-1].id,
        "tried": len(pauses) + 1,
    }
    await shop.expire()  # nothing is asked for any more
    assert len(await voids(shop, payment)) == len(made)
    assert await shop.state(payment) == "in_review"


async def test_a_release_that_was_made_meanwhile_ends_it(shop: Shop) -> None:
    payment = await held(shop, "mastercard")
    runtime = shop.gateway.runtime
    (review,) = (await shop.get("/v1/reviews", "analyst"))["data"]
    row = await runtime.books.read(select_review, review["id"])
    assert row is not None
    rejected = Decision(row, "reject", "stolen", "acc", b"{}")
    begun = await runtime.books.write(begin_decision, runtime.policy, None, rejected)
    assert isinstance(begun, Committed)
    assert begun.to_send is not None
    await runtime.books.write(apply, runtime.policy, begun.to_send.id, Answer("failed", detail="refused"))
    await release_by_hand(shop, payment)
    await shop.expire()
    assert [(o.status, o.detail) for o in await voids(shop, payment)] == [("succeeded", "released elsewhere: ")]
    assert await shop.state(payment) == "voided"
    assert await shop.balance() == {}


async def test_a_release_that_is_pending_is_asked_about_and_not_done_anew(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment, processors = await held(shop, "visa"), shop.gateway.runtime.processors
    with monkeypatch.context() as patch:
        patch.setitem(processors, "visa", cast(Processor, Undecided(processors["visa"])))
        assert (await reject(shop, payment)).status == 202
        await give_up(shop)
        (waiting,) = await voids(shop, payment)
    assert (waiting.status, waiting.pending_reason) == ("unknown", "PENDING_REVIEW")
    await shop.expire()  # it knows of none after all
    assert [o.status for o in await voids(shop, payment)] == ["failed", "succeeded"]
    assert await shop.balance() == {}


class Undecided:
    """A processor that has not decided any void yet."""

    def __init__(self, real: Processor) -> None:
        self._real = real

    async def void(self, call: FollowUp) -> Answer:
        return PENDING

    async def lookup(self, query: Query) -> Answer:
        return PENDING if query.kind == "void" else await self._real.lookup(query)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


async def test_a_merchants_own_void_that_is_refused_ends_there(shop: Shop) -> None:
    for processor, (number, exp) in REFUSES_VOIDS.items():
        method = {"type": "card", "card": await shop.card(number, exp=exp)}
        payment = (await shop.pay(1000, payment_method=method, processor=processor, capture="manual")).json["id"]
        assert (await void(shop, payment)).status == 402
        await give_up(shop)
        assert [o.status for o in await voids(shop, payment)] == ["declined"]
        assert (await capture(shop, payment)).status == 200
    assert await tasks(shop) == []


@pytest.mark.each_on_postgres
@pytest.mark.parametrize("outcome", ["released", "lapsed"])
async def test_a_person_says_that_it_is_gone(shop: Shop, outcome: str) -> None:
    payment = await stuck(shop)
    await give_up(shop)
    (task,) = await tasks(shop)
    answer = await resolve(shop, task["id"], outcome, key="once")
    assert (answer.status, answer.json["outcome"], answer.json["reason"]) == (200, outcome, "asked their support")
    assert answer.json["resolved_by"] == await shop.account("analyst")
    assert (await resolve(shop, task["id"], outcome, key="once")).body == answer.body
    assert (await resolve(shop, task["id"], outcome)).code == "wrong_state"
    assert await shop.state(payment) == "voided"
    assert await shop.balance() == {}
    assert await tasks(shop) == []
    assert await tasks(shop, "?status=resolved") == [answer.json]
    assert (await voids(shop, payment))[-1].detail == f"{outcome}: {task['id']}"
    (told,) = (await shop.get(f"/v1/audit?subject={task['id']}", "admin"))["data"]
    assert (told["kind"], told["actor"]) == ("task_decided", answer.json["resolved_by"])


async def test_a_person_has_it_tried_again(shop: Shop) -> None:
    payment = await stuck(shop)
    await give_up(shop)
    (task,) = await tasks(shop)
    before = len(await voids(shop, payment))
    assert (await resolve(shop, task["id"], "retry", who="admin")).status == 200
    await shop.expire()
    assert len(await voids(shop, payment)) == before + 1
    await give_up(shop)
    (again,) = await tasks(shop)
    assert again["id"] != task["id"]


async def test_a_late_hold_whose_reversal_is_refused_for_good_is_a_task(shop: Shop) -> None:
    number, exp = REFUSES_VOIDS["mastercard"]
    shop.fault("mastercard", "slow", operation="authorize", seconds=600, times=1)
    method = {"type": "card", "card": await shop.card(number, exp=exp)}
    asked = await shop.pay(payment_method=method, processor="mastercard", capture="manual")
    payment = asked.json["id"]
    await shop.expire()
    assert await shop.state(payment) == "failed"
    await shop.sandbox.clear()  # lets it land now
    await eventually(lambda: shop.ledger())
    await shop.expire()  # the watch
    await give_up(shop)
    (task,) = await tasks(shop)
    made = await operations_of(shop, payment)
    assert (task["kind"], task["operation"]) == ("reversal_refused", made[-1].id)
    assert [(o.kind, o.status) for o in made] == [("authorize", "succeeded"), ("reversal", "failed")]
    assert await shop.state(payment) == "failed"
    assert (await shop.balance())["hold:mastercard"] == 1000  # as it is there
    assert (await resolve(shop, task["id"], "lapsed")).status == 200
    assert await shop.balance() == {}


async def test_tasks_are_paged_the_newest_first(shop: Shop) -> None:
    payments = [await stuck(shop) for _ in range(3)]
    await give_up(shop)
    seen, cursor = [], ""
    while cursor is not None:
        page = await shop.get(f"/v1/tasks?limit=1&cursor={cursor}", "analyst")
        seen += [task["payment"] for task in page["data"]]
        cursor = page["next_cursor"]
    assert sorted(seen) == sorted(payments)
    assert seen == [task["payment"] for task in await tasks(shop)]


async def test_tasks_are_for_staff_alone(shop: Shop) -> None:
    for who in ("customer", "merchant"):
        assert (await shop.gateway.ask("GET", "/v1/tasks", who=who)).status == 403
        assert (await resolve(shop, "tsk_none", "released", who=who)).status == 403
    assert (await resolve(shop, "tsk_none", "released")).code == "not_found"
    assert (await resolve(shop, "tsk_none", "forgotten")).code == "invalid_request"
