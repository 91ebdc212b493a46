"""The ledger: its cursor, what survives a kill -9, and what never stands in any file."""

import asyncio
import sqlite3
from pathlib import Path

import aiohttp
import pytest

from connectors.sandbox import ledger
from connectors.sandbox.magic import VISA_CARDS
from connectors.sandbox.sandbox import open_database
from schemas.cards import check_digit
from schemas.ids import new_id
from schemas.money import Money
from tests.conftest import contents
from tests.connectors.sandbox.conftest import Eventually
from tests.connectors.sandbox.process import SandboxProcess
from tests.connectors.sandbox.wires import Control, Visa, Wires

ROW = {"id", "processor", "operation", "reference", "request_id", "amount", "currency", "status", "at"}
CSC = "9731"


async def test_a_row_has_the_promised_fields(visa: Visa, control: Control, reference: str) -> None:
    sale = await visa.pay(reference)
    await visa.follow(f"payments/{sale['id']}/voids", reference)
    first, second = await control.rows(reference)
    assert set(first) == ROW
    assert set(second) == ROW | {"of"}
    assert first["at"].endswith("Z")


async def test_the_cursor_walks_over_every_row_once(visa: Visa, control: Control, reference: str) -> None:
    for _ in range(5):
        await visa.pay(reference)
    all_rows = await control.ledger()
    assert [row["id"] for row in all_rows] == sorted({row["id"] for row in all_rows})
    assert await control.ledger(limit=2) == all_rows
    last = all_rows[-1]["id"]
    assert dict(await control.get(f"/ledger?after={last}")) == {"data": [], "next_cursor": None}
    page = await control.get(f"/ledger?after={last - 2}&limit=2")
    assert (len(page["data"]), page["next_cursor"]) == (2, None)  # null at the end, full page or not


@pytest.mark.parametrize("query", ["after=x", "after=-1", "limit=0", "limit=5001", "after=9223372036854775808"])
async def test_a_cursor_that_is_none_is_refused(control: Control, query: str) -> None:
    answer = await control.get(f"/ledger?{query}")
    assert (answer.status, answer["code"]) == (422, "invalid_request")
    assert answer["errors"][0]["path"] == query.split("=")[0]


def test_the_ledger_is_never_changed(tmp_path: Path) -> None:
    conn = open_database(tmp_path / "sandbox.sqlite3")
    money = Money(100, "EUR")
    first = ledger.append(conn, "visa", "sale", reference="r", request_id="q", money=money)
    ledger.append(conn, "visa", "void", reference="r", request_id="v", money=money, parent_id=first)
    with pytest.raises(sqlite3.IntegrityError):  # taken back once
        ledger.append(conn, "visa", "reversal", reference="r", request_id="w", money=money, parent_id=first)
    for statement in ("UPDATE ledger SET amount = 1", "DELETE FROM ledger"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            conn.execute(statement)
    assert [row.operation for row in ledger.rows_after(conn, 0, 10)] == ["sale", "void"]
    conn.close()


async def test_what_was_answered_survives_kill_9(
    own_sandbox: SandboxProcess, own_wires: Wires, eventually: Eventually
) -> None:
    answered: list[str] = []

    async def pay_on() -> None:
        while True:
            reference = new_id("att")
            await own_wires.visa.pay(reference)
            answered.append(reference)

    shoppers = [asyncio.create_task(pay_on()) for _ in range(8)]

    async def enough() -> bool:
        return len(answered) >= 200

    await eventually(enough)
    own_sandbox.kill()
    await asyncio.gather(*shoppers, return_exceptions=True)
    own_sandbox.start()
    references = [row["reference"] for row in await own_wires.control.ledger()]
    assert set(answered) <= set(references)
    assert len(references) == len(set(references)) <= len(answered) + len(shoppers)
    found = await own_wires.visa.search(f"clientReferenceInformation.code:{answered[-1]}")
    assert len(found) == 1


async def test_what_was_answered_before_a_restart_is_answered_again_after_it(
    own_sandbox: SandboxProcess, own_wires: Wires, reference: str
) -> None:
    order = await own_wires.paypal.approved(reference)
    path = f"/v2/checkout/orders/{order}/authorize"
    first = await own_wires.paypal.call("POST", path, {}, "same")
    paid = await own_wires.mastercard.pay(reference, id="same")
    own_sandbox.kill()
    own_sandbox.start()
    assert dict(await own_wires.paypal.call("POST", path, {}, "same")) == dict(first)  # by the old token, too
    assert dict(await own_wires.mastercard.pay(reference, id="same")) == dict(paid)
    assert len(await own_wires.control.rows(reference)) == 2


async def test_it_stops_when_told_to_with_a_call_held(
    own_sandbox: SandboxProcess, own_wires: Wires, eventually: Eventually
) -> None:
    await own_wires.control.fault(processor="visa", fault="silence", times=1)
    held = asyncio.create_task(own_wires.visa.pay(new_id("att")))

    async def met() -> bool:
        return (await own_wires.control.get("/faults"))["data"] == []

    await eventually(met)
    assert own_sandbox.stop() == 0
    with pytest.raises(aiohttp.ClientError):
        await held


async def test_no_card_number_and_no_security_code_stands_in_any_file(
    own_sandbox: SandboxProcess, own_wires: Wires
) -> None:
    numbers = [*VISA_CARDS, *(f"5123450{n:08}" + check_digit(f"5123450{n:08}") for n in range(9))]
    for number in numbers:
        await own_wires.visa.pay(new_id("att"), number=number, cvn=CSC)
        await own_wires.visa.pay(new_id("att"), number=number, amount="wrong")
        await own_wires.mastercard.pay(new_id("att"), number=number, csc=CSC)
        await own_wires.mastercard.pay(new_id("att"), number=number, expiry="99/99")
    assert len(await own_wires.control.ledger()) > len(numbers)
    assert found_in(own_sandbox.data, [*numbers, f'"{CSC}"']) == []
    with sqlite3.connect(own_sandbox.data / "sandbox.sqlite3") as conn:
        conn.execute("UPDATE documents SET body = ? WHERE number = 1", (f'{{"number":"{numbers[0]}"}}'.encode(),))
    conn.close()
    assert found_in(own_sandbox.data, numbers) == [numbers[0]]


def found_in(directory: Path, texts: list[str]) -> list[str]:
    """Which of the texts stand in clear in any file of the directory."""
    files = list(contents(directory))
    assert {"log", "sandbox.sqlite3", "sandbox.sqlite3-wal"} <= {path.name for path, _ in files}
    return [text for text in texts if any(text.encode() in content for _, content in files)]
