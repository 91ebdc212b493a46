"""Every route that takes an Idempotency-Key, killed at each of its awaits: the same key gets the answer of what
happened, and nothing happens twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any, cast
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import Connection

from benchmarks.machine.death import Died, task_factory, until_death
from connectors.kafka import producer
from connectors.records import Out, Record, dead_letter
from gateway.books import second_factors
from gateway.books.idempotency import (
    Claimed,
    IdempotentAnswer,
    KeyedRequest,
    RequestRunning,
    claim,
    run_once,
    select_answer,
    store_answer,
)
from gateway.books.labels import LabelRow, insert_label
from gateway.books.reviews import select_review
from gateway.books.tables import FOR_EVER
from gateway.books.tasks import TaskRow, open_task
from gateway.identity.second_factors import new_second_factor, set_up
from gateway.identity.totp import STEP_US, code_at
from gateway.payments.commit import Committed
from gateway.payments.lifecycle import execute
from gateway.payments.reviews import Decision, begin_decision
from gateway.policy import SECOND_US
from gateway.web.call import Call, Reply, identify
from schemas.cards import check_digit
from schemas.ids import new_id
from schemas.times import now_micros
from tests.gateway.payments.conftest import Shop

# POSTs of a logged-in caller that take no key: what ends a session, and what answers a secret (`api.md`).
KEYLESS = {
    *("login.logout", "passwords.change_own_password", "second_factor.set_up_second_factor"),
    *("clients.create_client", "clients.rotate_client"),
    *("sql_tokens.create_sql_token", "sql_tokens.check_sql_token"),
    "labels.import_file",  # each line of it counts once by itself
    *("rules.check_expression", "backtests.run_backtest"),  # which change nothing
}
NUMBERS = count()
TRIES = 6  # of a client that comes back; recovery asks processors in between


class Asked(msgspec.Struct, frozen=True):
    """A request of `who`, and a query that counts what it brings about."""

    who: str
    body: Any
    effects: str
    path: tuple[str, ...] = ()


Prepare = Callable[[Shop], Awaitable[Asked]]


async def a_card(shop: Shop) -> Asked:
    digits = f"411111{next(NUMBERS):09d}"
    body = {"number": digits + check_digit(digits), "exp_month": 1, "exp_year": 2039}
    return Asked("customer", body, "SELECT count(*) FROM cards")


async def a_merchant(shop: Shop) -> Asked:
    return Asked("admin", {"name": "Shop"}, "SELECT count(*) FROM accounts")


async def a_stop(shop: Shop) -> Asked:
    """Of a merchant of its own: a second stop on the same one would be none."""
    merchant = await shop.gateway.ask("POST", "/v1/merchants", {"name": "Shop"}, "admin")
    body = {"merchant": merchant.json["id"], "reason": "a test"}
    return Asked("admin", body, "SELECT count(*) FROM stops")


async def an_entry(shop: Shop) -> Asked:
    """Of a device of its own: a second entry of the same one would renew it. Others' entries come by the topic."""
    reason = f"test {next(NUMBERS)}"
    body = {"list": "block", "kind": "device", "value": f"phone of {reason}", "reason": reason}
    return Asked("analyst", body, f"SELECT count(*) FROM list_entries WHERE reason = '{reason}'")


async def a_person(shop: Shop) -> Asked:
    body = {"email": f"person-{next(NUMBERS)}@example.com", "role": "viewer"}
    return Asked("merchant", body, "SELECT count(*) FROM merchant_people", (await shop.account("merchant"),))


async def a_payment(shop: Shop) -> Asked:
    by_card = {"type": "card", "card": await shop.card()}
    body = {
        "amount": 100,
        "currency": "EUR",
        "merchant": await shop.account("merchant"),
        "payment_method": by_card,
    }
    return Asked("customer", body, "SELECT count(*) FROM payments")


async def paid(shop: Shop, amount: int = 100, **fields: Any) -> str:
    """The id of a payment."""
    return str((await shop.pay(amount, **fields)).json["id"])


async def a_capture(shop: Shop) -> Asked:
    payment = await paid(shop, capture="manual")
    done = f"SELECT count(*) FROM payments WHERE id = '{payment}' AND amount_captured = 100"
    return Asked("merchant", {}, done, (payment,))


async def a_void(shop: Shop) -> Asked:
    payment = await paid(shop, capture="manual")
    return Asked(
        "merchant", {}, f"SELECT count(*) FROM payments WHERE id = '{payment}' AND state = 'voided'", (payment,)
    )


async def a_refund(shop: Shop) -> Asked:
    payment = await paid(shop)
    return Asked(
        "merchant", {"amount": 60}, f"SELECT count(*) FROM refunds WHERE payment_id = '{payment}'", (payment,)
    )


async def a_label(shop: Shop) -> Asked:
    payment = await paid(shop)
    labels = f"SELECT count(*) FROM outbox WHERE type = 'label.recorded' AND subject_id = '{payment}'"
    return Asked("analyst", {"label": "fraud", "source": "chargeback"}, labels, (payment,))


async def label_decisions(shop: Shop) -> Asked:
    row = LabelRow(
        id=new_id("lbl"),
        payment_id=await paid(shop),
        merchant_id=await shop.account("merchant"),
        label="fraud",
        source=f"partner {next(NUMBERS)}",
        state="waiting",
        waits_for="source",
        due_at=FOR_EVER,
        recorded_at=0,
    )
    await shop.gateway.runtime.books.write(insert_label, row)
    dropped = f"SELECT count(*) FROM labels WHERE id = '{row.id}' AND state = 'dropped'"
    return Asked("analyst", {"source": row.source, "learn": False, "reason": "made up"}, dropped)


async def a_decision(shop: Shop) -> Asked:
    payment = await paid(shop, 6_000, payment_method={"type": "card", "card": await new_card(shop)})
    review = (await shop.get("/v1/reviews", "analyst"))["data"][0]
    assert review["payment"] == payment
    captured = f"SELECT count(*) FROM payments WHERE id = '{payment}' AND state = 'captured'"
    return Asked("analyst", {"decision": "approve", "reason": "known"}, captured, (review["id"],))


async def decisions(shop: Shop) -> Asked:
    one, two = await a_decision(shop), await a_decision(shop)
    captured = f"{one.effects} AND EXISTS ({two.effects.replace('count(*)', '1')})"
    body = {"ids": [one.path[0], two.path[0]], "decision": "approve", "reason": "known"}
    return Asked("analyst", body, captured)


async def new_card(shop: Shop) -> str:
    """The token of a card that never paid: the stand-in holds much on such a one for a person."""
    return await shop.card((await a_card(shop)).body["number"])


async def a_resolution(shop: Shop) -> Asked:
    payment, task_id = await paid(shop), new_id("tsk")
    (sale, *_) = (await shop.get(f"/v1/payments/{payment}/operations"))["data"]
    task = TaskRow(
        id=task_id,
        kind="refund_refused",
        payment_id=payment,
        operation_id=sale["id"],
        about_id=sale["id"],
        tried=1,
        opened_at=now_micros(),
    )
    await shop.gateway.runtime.books.write(open_task, task)
    resolved = f"SELECT count(*) FROM tasks WHERE id = '{task_id}' AND outcome = 'lapsed'"
    return Asked("analyst", {"outcome": "lapsed", "reason": "too late"}, resolved, (task_id,))


async def a_replay(shop: Shop) -> Asked:
    """Of a record that is not there: nothing is sent, and that is the answer."""
    number = 1_000_000 + next(NUMBERS)
    written = dead_letter(Record("labels.v1", 0, number, b"k", [], None, 0), "no value", "/flows/test")
    letter_id = sent(shop.gateway.runtime.settings.bootstrap(), written)
    recorded = f"SELECT count(*) FROM audit WHERE kind = 'dead_letter_replayed' AND subject_id = '{letter_id}'"
    return Asked("admin", None, recorded, (letter_id,))


def sent(bootstrap: str, letter: Out) -> str:
    """Write a dead letter; its id."""
    places: list[str] = []
    writer = producer(bootstrap)
    writer.produce(
        letter.topic,
        letter.value,
        letter.key,
        headers=[*letter.headers],
        on_delivery=lambda _error, message: places.append(f"dl_{message.partition()}_{message.offset()}"),
    )
    assert writer.flush(30) == 0
    return places[0]


async def new_phone(shop: Shop) -> None:
    """Have the customer enter a phone, which is to be confirmed."""
    await shop.gateway.ask("PATCH", "/v1/me", {"phone": f"+4915112{next(NUMBERS):06d}"}, "customer")


async def a_confirmed_phone(shop: Shop) -> Asked:
    await new_phone(shop)
    account_id = await shop.account("customer")
    seed = await shop.gateway.runtime.books.read(
        _value, f"SELECT seed FROM confirmations WHERE account_id = '{account_id}'"
    )
    confirmed = f"SELECT count(*) FROM accounts WHERE id = '{account_id}' AND phone_confirmed_at IS NOT NULL"
    return Asked("customer", {"code": shop.gateway.runtime.confirmation_rules.code(bytes(seed))}, confirmed)


async def a_confirmation(shop: Shop) -> Asked:
    await new_phone(shop)
    asked_for = "SELECT sum(1 + length(recent) - length(replace(recent, ',', ''))) FROM recipients"
    return Asked("customer", {"channel": "sms"}, asked_for)


async def a_second_factor(shop: Shop) -> Asked:
    runtime, account_id = shop.gateway.runtime, await shop.account("customer")
    new = new_second_factor()
    await runtime.books.write(second_factors.forget, account_id)
    await runtime.books.write(set_up, runtime.key, account_id, new)
    code = code_at(new.secret, now_micros() // STEP_US)
    confirmed = (
        f"SELECT count(*) FROM second_factors WHERE account_id = '{account_id}' AND confirmed_at IS NOT NULL"
    )
    return Asked("customer", {"otp": code}, confirmed)


async def a_rule(shop: Shop) -> Asked:
    rule_id = f"mine_{next(NUMBERS)}"
    body = {"id": rule_id, "expression": "amount < 0.5", "outcome": "flag", "reason": "a test", "mode": "shadow"}
    return Asked("analyst", body, f"SELECT count(*) FROM controls WHERE id = '{rule_id}'")


KEYED: dict[str, Prepare] = {
    "cards.create_card": a_card,
    "confirmations.confirm_phone": a_confirmed_phone,
    "confirmations.send_confirmation": a_confirmation,
    "dead_letters.replay_letter": a_replay,
    "merchants.create_merchant": a_merchant,
    "merchant_people.add_person": a_person,
    "payments.create_payment": a_payment,
    "follow_ups.capture_payment": a_capture,
    "follow_ups.void_payment": a_void,
    "refunds.refund_payment": a_refund,
    "labels.create_label": a_label,
    "labels.decide_labels": label_decisions,
    "reviews.decide_review": a_decision,
    "bulk_decisions.decide_reviews": decisions,
    "rules.create_rule": a_rule,
    "second_factor.confirm_second_factor": a_second_factor,
    "lists.create_entry": an_entry,
    "stops.create_stop": a_stop,
    "tasks.resolve_task": a_resolution,
}


def rules_by_name(shop: Shop) -> dict[str, Any]:
    """What each POST route declared."""
    app = shop.gateway.app
    posts = {rule.endpoint for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    return {name: cast(Any, app.view_functions[name]).rules for name in posts}


async def test_every_post_of_a_logged_in_caller_takes_a_key_and_dies_below(shop: Shop) -> None:
    found = rules_by_name(shop)
    logged_in = {name for name, rules in found.items() if rules.scope is not None}
    keyed = {name for name, rules in found.items() if rules.idempotency != "none"}
    assert logged_in - keyed == KEYLESS
    assert keyed == set(KEYED), "a route that takes a key is killed below"


async def handler_of(shop: Shop, name: str, asked: Asked) -> Callable[[], Awaitable[Reply]]:
    """What runs under a key of its own, as often as it is called."""
    runtime, view = shop.gateway.runtime, cast(Any, shop.gateway.app.view_functions[name])
    cast(Any, runtime).shielded = lambda work: work  # whose client hangs up goes on; a process that dies does not
    caller = await identify(runtime, await shop.gateway.token(asked.who))
    body = msgspec.convert(asked.body, view.rules.body)
    call = Call(runtime, caller, body, None, uuid4().hex, b"same", "127.0.0.1", "", "/")
    return lambda: view.__wrapped__(call, *asked.path)


@pytest.mark.each_on_postgres
@pytest.mark.parametrize("name", KEYED)
async def test_a_worker_that_dies_anywhere_has_done_it_once_and_its_key_is_answered(shop: Shop, name: str) -> None:
    asyncio.get_running_loop().set_task_factory(task_factory)  # what it does at once dies with it
    for dies_at in count(1):
        asked = await KEYED[name](shop)
        handle = await handler_of(shop, name, asked)
        before = await effects(shop, asked)
        try:
            await until_death(cast(Any, handle()), dies_at)
        except Died:
            await outlived(shop)
        else:
            assert dies_at > 1
            return
        answer = await come_back(shop, handle)
        assert answer.status in (200, 201, 202, 204), (name, dies_at, answer.body)
        again = await handle()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert (again.status, again.encoded()) == (answer.status, answer.encoded())
        for _ in range(TRIES):  # 202, of all or of one: the processor is still to be asked
            if await effects(shop, asked) == before:
                await shop.expire()
        assert await effects(shop, asked) == before + 1, (name, dies_at)


async def outlived(shop: Shop) -> None:
    """Wait for transactions whose callers have died: PostgreSQL's books finish them on their own."""
    if running := getattr(shop.gateway.runtime.books._books, "_running", None):
        await asyncio.wait(running)


async def come_back(shop: Shop, handle: Callable[[], Awaitable[Reply]]) -> Reply:
    """The answer that a client gets who asks again until there is one."""
    for _ in range(TRIES):
        await shop.expire()
        with suppress(RequestRunning):
            return await handle()
    raise AssertionError("it was never answered")


async def effects(shop: Shop, asked: Asked) -> int:
    """How often what was asked for happened."""
    counted: int = await shop.gateway.runtime.books.read(_value, asked.effects)
    return counted


def _value(conn: Connection, query: str) -> Any:
    return conn.exec_driver_sql(query).scalar()


async def test_a_worker_that_was_paused_meanwhile_overwrites_no_answer(shop: Shop) -> None:
    runtime, asked = shop.gateway.runtime, await a_decision(shop)
    review = await runtime.books.read(select_review, asked.path[0])
    assert review is not None
    request = KeyedRequest(await shop.account("analyst"), "paused", b"same", "analyst")
    approved = Decision(review, "approve", "known", request.account_id, b'{"shown":1}')
    begun = await runtime.books.write(begin_decision, runtime.policy, request, approved)
    assert isinstance(begun, Committed)
    first = None
    while first is None:  # it is paused here; its lease runs out, and recovery ends what it began
        await shop.expire()
        first = await runtime.books.read(select_answer, request)
    assert (first.status, first.body) == (202, b'{"shown":1}')
    done = await execute(runtime, begun)
    assert done.answer_to(request) is None
    assert await runtime.books.read(select_answer, request) == first
    assert await runtime.books.write(begin_decision, runtime.policy, request, approved) == first


def test_a_key_in_use_is_worth_asking_for_when_its_lease_has_ended(conn: Connection) -> None:
    request = KeyedRequest("acc", "long", b"same", "admin")
    claim(conn, request, 0, 15 * SECOND_US, "pay_1")
    with pytest.raises(RequestRunning) as running:
        claim(conn, request, 5 * SECOND_US, 20 * SECOND_US, "pay_2")
    assert running.value.retry_after_s == 10
    assert claim(conn, request, 15 * SECOND_US, 30 * SECOND_US, "pay_2") == Claimed("pay_1")


def test_what_is_answered_once_is_answered_the_same_and_an_error_leaves_no_claim(conn: Connection) -> None:
    request = KeyedRequest("acc", "key", b"same", "admin")
    effects = iter(IdempotentAnswer(201, body, "application/json") for body in (b"1", b"2"))
    first = run_once(conn, request, 0, lambda _: next(effects))
    assert (first.answer.body, first.replayed) == (b"1", False)
    again = run_once(conn, request, 0, lambda _: next(effects))
    assert (again.answer.body, again.replayed) == (b"1", True)
    assert not store_answer(conn, request, IdempotentAnswer(201, b"3", "application/json"))
    assert select_answer(conn, request) == first.answer
    assert run_once(conn, None, 0, lambda _: next(effects)).answer.body == b"2"
