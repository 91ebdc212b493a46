"""What happened to a payment at its processors, as staff see it."""

from tests.gateway.payments.conftest import MASTERCARD, Shop


async def test_staff_see_each_call_to_a_processor(shop: Shop) -> None:
    held = (await shop.pay(1000, capture="manual")).json["id"]
    await shop.post(f"/v1/payments/{held}/capture", {"amount": 400}, who="merchant")
    authorize, capture, release = (await shop.get(f"/v1/payments/{held}/operations", "analyst"))["data"]
    ledger = shop.ledger()
    assert [authorize["id"], capture["id"], release["id"]] == [row.request_id for row in ledger]
    assert (authorize["kind"], authorize["status"], authorize["amount"]) == ("authorize", "succeeded", 1000)
    assert (authorize["processor"], authorize["attempt"]) == ("visa", 1)
    assert authorize["routing_reason"] == "first_choice"
    assert (capture["kind"], capture["parent"], capture["amount"]) == ("capture", authorize["id"], 400)
    assert (release["kind"], release["parent"], release["amount"]) == ("void", authorize["id"], 600)
    merchant = await shop.account("merchant")
    assert [o["requested_by"] for o in (authorize, capture, release)] == [None, merchant, None]
    for operation in (authorize, capture, release):
        assert operation["processor_reference"]
        assert 0 < operation["milliseconds"] < 60_000
        assert operation["created_at"] <= operation["finished_at"]


async def test_an_operation_says_why_its_processor_was_chosen(shop: Shop) -> None:
    shop.fault("visa", "refuse")
    moved = (await shop.pay()).json["id"]
    shop.fault("mastercard", "refuse")
    named = (await shop.pay(processor="mastercard")).json["id"]
    assert await _reasons(shop, moved) == [
        ("visa", "first_choice", "failed"),
        ("mastercard", "failover", "succeeded"),
    ]
    assert await _reasons(shop, named) == [("mastercard", "named", "failed")]


async def test_a_decline_says_why_and_an_open_operation_has_no_end(shop: Shop) -> None:
    card = {"type": "card", "card": await shop.card(MASTERCARD, exp=(5, 2039))}
    declined = (await shop.pay(payment_method=card)).json
    (operation,) = (await shop.get(f"/v1/payments/{declined['id']}/operations"))["data"]
    assert (operation["status"], operation["decline_code"]) == ("declined", declined["decline_code"])
    shop.fault("visa", "silence", times=1)
    silent = (await shop.pay(processor="visa")).json["id"]
    (operation,) = (await shop.get(f"/v1/payments/{silent}/operations"))["data"]
    assert (operation["status"], operation["milliseconds"], operation["finished_at"]) == ("unknown", None, None)


async def test_operations_are_for_staff_alone(shop: Shop) -> None:
    paid = (await shop.pay()).json["id"]
    for who, status in (("customer", 403), ("merchant", 403), ("analyst", 200), ("admin", 200)):
        assert (await shop.gateway.ask("GET", f"/v1/payments/{paid}/operations", who=who)).status == status
    assert (await shop.gateway.ask("GET", "/v1/payments/pay_none/operations", who="admin")).code == "not_found"


async def test_calls_to_processors_are_measured_by_kind_and_result(shop: Shop) -> None:
    held = (await shop.pay(capture="manual")).json["id"]
    await shop.post(f"/v1/payments/{held}/void", {}, who="merchant")
    text = (await shop.gateway.ask("GET", "/metrics")).body.decode()
    for kind in ("authorize", "void"):
        labels = f'kind="{kind}",processor="visa",result="succeeded"'
        assert f"sluice_processor_seconds_count{{{labels}}} 1.0" in text


async def test_payments_and_their_verdicts_are_measured(shop: Shop) -> None:
    await shop.pay()
    shop.fault("visa", "silence")
    await shop.pay(payment_method={"type": "card", "card": await shop.card(), "cvc": "100"})
    text = (await shop.gateway.ask("GET", "/metrics")).body.decode()
    wanted = (
        'sluice_events_total{type="payment.captured"} 1.0',
        'sluice_events_total{type="payment.initiated"} 2.0',
        'sluice_verdict_wait_seconds_count{judge="stand_in"} 2.0',
        'sluice_vault_seconds_count{kind="open",result="done"} 2.0',
        'sluice_operations_unknown{processor="visa"} 1.0',
        'sluice_operations_unknown{processor="paypal"} 0.0',
        "sluice_tasks_open 0.0",
    )
    assert [line for line in wanted if line not in text] == []


async def _reasons(shop: Shop, payment_id: str) -> list[tuple[str, str, str]]:
    found = (await shop.get(f"/v1/payments/{payment_id}/operations"))["data"]
    return [(operation["processor"], operation["routing_reason"], operation["status"]) for operation in found]
