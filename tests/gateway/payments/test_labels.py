"""Labels one by one and by file: once each, bounded by who says them, and those that contradict each other."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from gateway.books.labels import LabelRow, labels_of
from gateway.events.late_verdicts import keep_late
from gateway.payments.labels import release_due
from gateway.policy import LabelBounds
from tests.gateway.conftest import Answer
from tests.gateway.payments.conftest import Shop, verdict

NARROW = LabelBounds(per_source=1_000, per_merchant=1_000, source_burst=3, merchant_burst=2)


def bound(shop: Shop, **bounds: int) -> None:
    """Give the gateway other bounds."""
    runtime = shop.gateway.runtime
    labels = msgspec.structs.replace(NARROW, **bounds)
    runtime.policy = msgspec.structs.replace(runtime.policy, labels=labels)


async def paid(shop: Shop, count: int = 1, score: float | None = None) -> list[str]:
    """Payments, which the fraud flow gave this score."""
    ids = [str((await shop.pay(1000)).json["id"]) for _ in range(count)]
    if score is not None:
        scored = [msgspec.structs.replace(verdict(id, "allow"), score=score) for id in ids]
        await shop.gateway.runtime.books.write(keep_late, scored)
    return ids


async def label(shop: Shop, payment: str, value: str, source: str = "analyst") -> Answer:
    return await shop.post(f"/v1/payments/{payment}/labels", {"label": value, "source": source}, who="analyst")


async def send(shop: Shop, text: str, report: str = "labels") -> Answer:
    """A file of labels, as an analyst sends it."""
    path = f"/v1/labels?report={report}"
    return await shop.gateway.ask("POST", path, text.encode(), "analyst", content_type="text/csv")


async def told(shop: Shop) -> list[tuple[str, str]]:
    """What stands on `labels.v1`: label and source, in order."""
    return await shop.gateway.runtime.books.read(_told)


def _told(conn: Connection) -> list[tuple[str, str]]:
    found = conn.exec_driver_sql("SELECT value FROM outbox WHERE topic = 'labels.v1' ORDER BY id")
    return [(data["label"], data["source"]) for (value,) in found if (data := msgspec.json.decode(value))]


async def alerts(shop: Shop) -> list[Any]:
    return await shop.gateway.runtime.books.read(_alerts)


def _alerts(conn: Connection) -> list[Any]:
    found = conn.exec_driver_sql("SELECT value FROM outbox WHERE topic = 'alerts.v1' ORDER BY id")
    return [msgspec.json.decode(value) for (value,) in found]


async def test_the_same_of_one_source_counts_once(shop: Shop) -> None:
    [payment] = await paid(shop)
    file = f"payment,label,source\n{payment},fraud,analyst\n"
    assert (await label(shop, payment, "fraud")).json["status"] == "told"
    for _ in range(2):
        assert (await send(shop, file)).json["taken"] == 1
    assert await told(shop) == [("fraud", "analyst")]


async def test_what_another_source_confirms_is_not_learned_again(shop: Shop) -> None:
    [payment] = await paid(shop)
    await label(shop, payment, "fraud")
    assert (await label(shop, payment, "fraud", "bank")).json["status"] == "confirms"
    assert await told(shop) == [("fraud", "analyst")]


@pytest.mark.parametrize(
    ("first", "second", "holds"),
    [
        (("fraud", "analyst"), ("good", "partner"), True),
        (("fraud", "chargeback"), ("good", "analyst"), False),
        (("good", "review"), ("fraud", "bank"), True),
        (("good", "review"), ("fraud", "analyst"), False),
    ],
)
async def test_of_two_that_contradict_each_other_authority_decides_then_the_newer_one(
    shop: Shop, first: tuple[str, str], second: tuple[str, str], holds: bool
) -> None:
    [payment] = await paid(shop)
    await label(shop, payment, *first)
    assert (await label(shop, payment, *second)).json["status"] == ("told" if holds else "outvoted")
    assert await told(shop) == ([first, second] if holds else [first])


async def test_beyond_the_quota_of_a_source_labels_are_refused_and_an_alert_tells(shop: Shop) -> None:
    bound(shop, per_source=2)
    payments = await paid(shop, 4)
    lines = "".join(f"{payment},good,partner\n" for payment in payments)
    answer = (await send(shop, f"payment,label,source\n{lines}")).json
    assert (answer["taken"], answer["refused"]) == (
        2,
        [{"line": line, "code": "source_quota"} for line in (4, 5)],
    )
    refused = await label(shop, payments[3], "good", "partner")
    assert (refused.status, refused.code) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) > 0
    assert [(alert["kind"], alert["subject"]) for alert in await alerts(shop)] == [("label_quota", "partner")]


async def test_a_burst_of_labels_that_the_scores_deny_waits_for_a_person(shop: Shop) -> None:
    bound(shop)
    payments = await paid(shop, 5, score=0.01)
    statuses = [(await label(shop, payment, "fraud", "shop")).json["status"] for payment in payments]
    assert statuses == ["told", "told", "waiting", "waiting", "waiting"]
    merchant = await shop.account("merchant")
    assert ("label_burst", merchant) in [(alert["kind"], alert["subject"]) for alert in await alerts(shop)]
    listed = (await shop.get("/v1/labels", "analyst"))["data"]
    assert {one["payment"] for one in listed} == set(payments[2:])
    body = {"merchant": merchant, "learn": False, "reason": "made up"}
    assert (await shop.post("/v1/labels/decisions", body, who="analyst")).json == {"decided": 3}
    assert len(await told(shop)) == 2
    assert (await shop.get("/v1/labels", "analyst"))["data"] == []


async def test_labels_that_say_what_the_scores_say_wait_for_nobody(shop: Shop) -> None:
    bound(shop)
    for payment in await paid(shop, 6, score=0.01):
        assert (await label(shop, payment, "good", "shop")).json["status"] == "told"


async def test_what_waited_long_enough_is_learned_unless_the_burst_goes_on(shop: Shop) -> None:
    bound(shop, hold_us=0)
    payments = await paid(shop, 4, score=0.01)
    for payment in payments:
        await label(shop, payment, "fraud", "shop")
    books, policy = shop.gateway.runtime.books, shop.gateway.runtime.policy
    assert await books.write(release_due, policy, 10) == 2
    assert len(await told(shop)) == 2, "there are as many today as before"
    bound(shop, hold_us=0, merchant_burst=50, source_burst=50)
    await books.write(release_due, shop.gateway.runtime.policy, 10)
    assert len(await told(shop)) == 4
    rows: list[LabelRow] = await books.read(labels_of, payments[3])
    assert [row.state for row in rows] == ["told"]


async def test_each_line_that_is_no_label_is_named_with_its_code(shop: Shop) -> None:
    [payment] = await paid(shop)
    lines = [
        "payment,label,source",
        f"{payment},good,partner",
        f"{payment},maybe,partner",
        "pay_nobody,good,partner",
        f"{payment},good,",
        f"{payment},good,4111 1111 1111 1111",
        f"{payment},good",
        "",
        f'"{payment}","GOOD","other"',
    ]
    answer = (await send(shop, "\r\n".join(lines))).json
    assert answer["taken"] == 2
    assert [(each["line"], each["code"]) for each in answer["refused"]] == [
        (3, "label_unknown"),
        (4, "payment_unknown"),
        (5, "source_invalid"),
        (6, "source_invalid"),
        (7, "malformed"),
    ]


async def test_a_processors_report_is_matched_by_its_own_reference(shop: Shop) -> None:
    payments = await paid(shop, 3)
    shown = [(await shop.get(f"/v1/payments/{id}/operations", "analyst"))["data"][0] for id in payments]
    report = "\n".join(
        [
            "Chargeback Detail Report,1.0,2026-11-27",
            "RequestID,MerchantReferenceNumber,ChargebackReasonCode,ChargebackAmount",
            f"{shown[0]['processor_reference']},,10.4,10.00",
            f"{shown[1]['processor_reference']},,13.1,10.00",
            f"7001,{shown[2]['id']},4837,10.00",
            "7002,,10.4,10.00",
        ]
    )
    answer = (await send(shop, report + "\n", "visa")).json
    assert (answer["taken"], answer["refused"]) == (
        2,
        [{"line": 4, "code": "not_fraud"}, {"line": 6, "code": "payment_unknown"}],
    )
    assert await told(shop) == [("fraud", "visa"), ("fraud", "visa")]
    assert [act["detail"] for act in (await shop.get("/v1/audit?kind=labels_imported"))["data"]] == [
        {"report": "visa", "taken": "2", "refused": "2"}
    ]


@pytest.mark.parametrize("text", ["", "payment,label\n", "\xff\n", "a" * 10_000])
async def test_a_file_without_its_columns_is_refused_whole(shop: Shop, text: str) -> None:
    answer = await send(shop, text)
    assert (answer.status, answer.code) == (422, "invalid_request")
