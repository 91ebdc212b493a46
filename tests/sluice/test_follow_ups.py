"""What follows a replayed payment: the same on each run, all of it sent, and refusals counted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.gateway import GatewayClient, GatewayRefused
from sluice import follow_ups
from sluice.follow_ups import FollowUps, Plan, Shares, plan_of

ALL = Shares(1.0, 1.0)
amounts = st.integers(1, 10**12)


@given(st.text(max_size=8), st.integers(0, 10**9), amounts)
def test_a_plan_takes_no_more_than_there_is_and_gives_back_no_more_than_was_taken(
    run: str, tx_id: int, amount: int
) -> None:
    plan = plan_of(run, tx_id, amount, ALL)
    assert plan == plan_of(run, tx_id, amount, ALL)
    assert min(plan.captures + plan.refunds) >= 1
    assert sum(plan.refunds) <= sum(plan.captures) <= amount
    assert 1 <= len(plan.captures) <= 3
    assert not (plan.voids_rest and sum(plan.captures) == amount), "there is a rest to void"


def test_each_way_to_end_a_payment_is_planned() -> None:
    plans = [plan_of("run", tx_id, 5000, ALL) for tx_id in range(200)]
    assert {len(plan.captures) for plan in plans} == {2, 3}
    assert {len(plan.refunds) for plan in plans} == {1, 2}
    ends = {(sum(plan.captures) == 5000, plan.voids_rest) for plan in plans}
    assert ends == {(True, False), (False, False), (False, True)}
    assert {sum(plan.refunds) == sum(plan.captures) for plan in plans} == {True, False}


def test_shares_are_kept_and_another_run_plans_otherwise() -> None:
    plans = [plan_of("a", tx_id, 5000, Shares(0.2, 0.1)) for tx_id in range(2000)]
    assert 300 < sum(bool(plan.captures) for plan in plans) < 500
    assert 140 < sum(bool(plan.refunds) for plan in plans) < 260
    assert plans != [plan_of("b", tx_id, 5000, Shares(0.2, 0.1)) for tx_id in range(2000)]
    assert {plan_of("a", tx_id, 5000, Shares()) == Plan() for tx_id in range(99)} == {True}


async def carry_out(client: GatewayClient, plan: Plan, state: str = "authorized") -> tuple[FollowUps, Any]:
    work = FollowUps(client, client)
    payment = {"id": "pay_1", "state": state, "amount_capturable": 50 if state == "authorized" else 0}
    return work, await work.carry_out(plan, payment, "run-7")


async def test_captures_void_and_refunds_go_out_in_order_under_keys_of_their_own(till: Any, client: Any) -> None:
    till.script = {"capture": ["authorized", "operation_in_progress", "operation_in_progress", "captured"]}
    work, payment = await carry_out(client, Plan([30, 20], refunds=[40, 5]))
    assert till.asked == [
        ("capture", {"amount": 30, "final": False}, "run-7-capture-1"),
        *[("capture", {"amount": 20, "final": True}, "run-7-capture-2")] * 3,
        ("refunds", {"amount": 40}, "run-7-refund-0"),
        ("refunds", {"amount": 5}, "run-7-refund-1"),
    ]
    assert (work.done, work.refused) == ({"capture": 2, "refunds": 2}, {})
    assert payment["state"] == "captured"


async def test_a_rest_is_voided_where_that_is_planned(till: Any, client: Any) -> None:
    till.script = {"capture": ["partially_captured"] * 2, "void": ["captured"]}
    work, payment = await carry_out(client, Plan([30, 20], voids_rest=True))
    assert [body["final"] for body in till.bodies("capture")] == [False, False]
    assert till.verbs() == ["capture", "capture", "void"]
    assert (payment["state"], work.done["void"]) == ("captured", 1)


async def test_a_refusal_is_counted_and_no_hold_is_left(till: Any, client: Any) -> None:
    till.script = {
        "capture": ["invalid_request", "processor_declined"],
        "void": ["processor_declined", "voided"],
        "refunds": ["amount_too_large", "wrong_state"],
    }
    till.states, till.operations = ["authorized"] * 2, ["declined"] * 2
    work, payment = await carry_out(client, Plan([30, 20], refunds=[9, 9]))
    assert till.verbs() == ["capture", "capture", "void", "void", "refunds", "refunds"]
    assert len({key for *_, key in till.asked}) == 6, "a new try has a new key"
    refusals = {"invalid_request": 1, "processor_declined": 2, "amount_too_large": 1, "wrong_state": 1}
    assert work.refused == refusals
    assert (payment["state"], work.done) == ("voided", {"void": 1})


async def test_a_key_that_was_used_for_another_request_ends_the_run(till: Any, client: Any) -> None:
    till.script = {"refunds": ["idempotency_key_reused"]}
    with pytest.raises(GatewayRefused, match="idempotency_key_reused"):
        await carry_out(client, Plan(refunds=[9]), "captured")


@pytest.mark.parametrize("state", ["declined", "in_review", "voided", "failed", "requires_action"])
async def test_what_took_no_money_has_no_follow_up(till: Any, client: Any, state: str) -> None:
    work, payment = await carry_out(client, Plan([30], refunds=[9]), state)
    assert (till.asked, work.done, payment["state"]) == ([], {}, state)


async def test_a_payment_in_doubt_is_waited_for(till: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_ups, "POLL_S", 0)
    till.states = ["unknown", "captured"]
    await carry_out(client, Plan(refunds=[9]), "unknown")
    assert (till.verbs(), till.states) == (["refunds"], [])


@pytest.mark.parametrize(("end", "voids"), [("captured", []), ("authorized", ["void"])])
async def test_a_capture_that_is_pending_is_waited_for_and_its_hold_released_if_it_fails(
    till: Any, client: Any, monkeypatch: pytest.MonkeyPatch, end: str, voids: list[str]
) -> None:
    monkeypatch.setattr(follow_ups, "POLL_S", 0)
    till.script = {"capture": ["authorized"], "void": ["voided"]}  # as a 202 shows it
    till.operations, till.states = ["sending", "unknown", "failed"], [end]
    await carry_out(client, Plan([50]))
    assert till.verbs() == ["capture", *voids]
    assert till.operations == []


async def test_a_payment_without_a_plan_is_left_alone(till: Any, client: Any) -> None:
    _, payment = await carry_out(client, Plan(), "unknown")
    assert (till.asked, payment["state"]) == ([], "unknown")
