"""Visa's twin over HTTP: captures, at once or in parts, what they leave, refunds, and what an issuer refuses."""

import pytest

from connectors.sandbox.magic import VISA_FOLLOW_UPS
from schemas.ids import new_id
from tests.connectors.sandbox.wires import Control, Visa


async def test_an_authorization_is_captured_in_parts_and_no_further(
    visa: Visa, control: Control, reference: str
) -> None:
    payment = await visa.pay(reference, "10.00", capture=False)
    path = f"payments/{payment['id']}/captures"
    first = await visa.follow(path, reference, "4.00", part=(1, 2))
    assert (first.status, first["status"]) == (201, "PENDING")
    assert (await visa.follow(path, reference, "6.01", part=(2, 3)))["reason"] == "EXCEEDS_AUTH_AMOUNT"
    assert (await visa.follow(path, reference, "6.00", part=(2, 3)))["status"] == "PENDING"
    assert (await visa.follow(path, reference, "0.01", part=(3, 3)))["reason"] == "EXCEEDS_AUTH_AMOUNT"
    rows = await control.rows(reference)
    assert [(row["operation"], row["amount"]) for row in rows] == [
        ("authorize", 1000),
        ("capture", 400),
        ("capture", 600),
    ]
    assert rows[1]["of"] == rows[2]["of"] == rows[0]["id"]


@pytest.mark.parametrize("part", [None, (1, 1), (2, 2)])
async def test_after_the_final_capture_there_is_no_other_until_it_is_voided(
    visa: Visa, reference: str, part: tuple[int, int] | None
) -> None:
    payment = await visa.pay(reference, capture=False)
    path = f"payments/{payment['id']}/captures"
    last = await visa.follow(path, reference, "4.00", part=part)
    assert last["status"] == "PENDING"
    assert (await visa.follow(path, reference, "1.00", part=(3, 4)))["reason"] == "MISSING_AUTH"
    assert (await visa.follow(f"captures/{last['id']}/voids", reference))["status"] == "VOIDED"
    assert (await visa.follow(path, reference, "1.00", part=(3, 4)))["status"] == "PENDING"


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (99, 100), (-1, 2)], ids=str)
async def test_a_part_that_cannot_be_is_refused(visa: Visa, reference: str, part: tuple[int, int]) -> None:
    payment = await visa.pay(reference, capture=False)
    answer = await visa.follow(f"payments/{payment['id']}/captures", reference, "1.00", part=part)
    assert (answer.status, answer["reason"]) == (400, "INVALID_DATA")


async def test_what_captures_left_is_reversed_once_and_exactly(
    visa: Visa, control: Control, reference: str
) -> None:
    payment = await visa.pay(reference, capture=False)
    captures, path = f"payments/{payment['id']}/captures", f"payments/{payment['id']}/reversals"
    await visa.follow(captures, reference, "4.00", part=(1, 2))
    await visa.follow(captures, reference, "1.00", part=(2, 3))
    for wrong in ("10.00", "6.00", "4.99", ""):
        assert (await visa.follow(path, reference, wrong))["reason"] == "INVALID_AMOUNT"
    answer = await visa.follow(path, reference, "5.00")
    assert (answer["status"], answer["reversalAmountDetails"]["reversedAmount"]) == ("REVERSED", "5.00")
    assert (await visa.follow(path, reference, "5.00"))["reason"] == "AUTH_ALREADY_REVERSED"
    late = await visa.follow(captures, reference, "1.00", part=(3, 4))
    assert late["reason"] == "AUTH_ALREADY_REVERSED"
    assert [move[:2] for move in await control.moves(reference)] == [
        ("authorize", 1000),
        ("capture", 400),
        ("capture", 100),
        ("reversal", 500),
    ]


async def test_a_timeout_reversal_releases_what_a_capture_left(
    visa: Visa, control: Control, reference: str
) -> None:
    id = new_id("op")
    payment = await visa.pay(reference, capture=False, id=id)
    await visa.follow(f"payments/{payment['id']}/captures", reference, "4.00")
    assert (await visa.follow("reversals", reference, "10.00", id=id))["reason"] == "INVALID_AMOUNT"
    assert (await visa.follow("reversals", reference, "6.00", id=id))["status"] == "REVERSED"
    assert (await control.moves(reference))[-1] == ("reversal", 600, "applied")


async def test_a_timeout_void_takes_back_the_part_it_names(visa: Visa, control: Control, reference: str) -> None:
    ids = [new_id("op") for _ in range(4)]
    payment = await visa.pay(reference, capture=False)
    for number, id in enumerate(ids[:2], 1):
        capture = await visa.follow(f"payments/{payment['id']}/captures", reference, "3.00", id, (number, 3))
    for id in ids[2:]:
        await visa.follow(f"captures/{capture['id']}/refunds", reference, "1.00", id)
    rows = {row["request_id"]: row["id"] for row in await control.rows(reference)}
    for id in (ids[0], ids[3]):
        assert (await visa.follow("voids", reference, id=id))["status"] == "VOIDED"
        assert (await control.rows(reference))[-1]["of"] == rows[id]
    assert (await visa.follow("voids", reference, id=ids[1]))["reason"] == "NOT_VOIDABLE"  # refunded in part


@pytest.mark.parametrize("number", VISA_FOLLOW_UPS)
async def test_a_later_call_is_refused_by_a_magic_cards_issuer_and_kept(
    visa: Visa, control: Control, reference: str, number: str
) -> None:
    refused, id, sale = VISA_FOLLOW_UPS[number], new_id("op"), VISA_FOLLOW_UPS[number] == "refund"
    payment = await visa.pay(reference, capture=sale, number=number)
    assert payment["status"] == "AUTHORIZED"
    way = {"capture": "captures", "void": "reversals", "refund": "refunds"}[refused]
    answer = await visa.follow(f"payments/{payment['id']}/{way}", reference, "10.00", id)
    said = (answer.status, answer["status"], answer["errorInformation"]["reason"])
    assert said == (201, "DECLINED", "PROCESSOR_DECLINED")
    [found] = await visa.search(f"clientReferenceInformation.transactionId:{id}")
    [application] = found["applicationInformation"]["applications"]
    assert (application["rCode"], application["reasonCode"]) == ("0", "233")
    assert [move[2] for move in await control.moves(reference)] == ["applied", "declined"]
    way = "voids" if sale else "reversals"
    taken_back = await visa.follow(way, reference, id=payment["clientReferenceInformation"]["transactionId"])
    assert taken_back.status == 201


async def test_a_capture_in_another_currency_is_refused(visa: Visa, reference: str) -> None:
    payment = await visa.pay(reference, capture=False, currency="USD")
    answer = await visa.follow(f"payments/{payment['id']}/captures", reference, "4.00")
    assert (answer.status, answer["reason"]) == (400, "INVALID_DATA")


async def test_a_declined_payment_cannot_be_captured(visa: Visa, reference: str) -> None:
    payment = await visa.pay(reference, capture=False, number="4000000000000002")
    answer = await visa.follow(f"payments/{payment['id']}/captures", reference, "1.00")
    assert answer["reason"] == "MISSING_AUTH"


async def test_a_voided_capture_can_be_captured_anew(visa: Visa, reference: str) -> None:
    payment = await visa.pay(reference, capture=False)
    capture = await visa.follow(f"payments/{payment['id']}/captures", reference, "10.00")
    assert (await visa.follow(f"captures/{capture['id']}/voids", reference))["status"] == "VOIDED"
    refund = await visa.follow(f"captures/{capture['id']}/refunds", reference, "1.00")
    assert refund["reason"] == "CAPTURE_ALREADY_VOIDED"
    assert (await visa.follow(f"payments/{payment['id']}/captures", reference, "10.00"))["status"] == "PENDING"


async def test_refunds_never_exceed_what_was_captured(visa: Visa, control: Control, reference: str) -> None:
    payment = await visa.pay(reference, capture=False)
    capture = await visa.follow(f"payments/{payment['id']}/captures", reference, "7.00")
    path = f"captures/{capture['id']}/refunds"
    answer = await visa.follow(path, reference, "5.00")
    assert (answer["status"], answer["refundAmountDetails"]["refundAmount"]) == ("PENDING", "5.00")
    assert (await visa.follow(path, reference, "2.01"))["reason"] == "INVALID_AMOUNT"
    assert (await visa.follow(path, reference, "2.00")).status == 201
    assert [move[1] for move in await control.moves(reference)] == [1000, 700, 500, 200]


async def test_an_authorization_cannot_be_refunded(visa: Visa, reference: str) -> None:
    payment = await visa.pay(reference, capture=False)
    answer = await visa.follow(f"payments/{payment['id']}/refunds", reference, "1.00")
    assert (answer.status, answer["reason"]) == (400, "INVALID_DATA")
