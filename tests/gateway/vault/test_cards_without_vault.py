"""Cards while the vault is killed, away or frozen: a 503 that may be repeated, and nothing half done."""

import asyncio
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from gateway.books.tables import metadata
from tests.conftest import contents

CARD = {"number": "4111111111111111", "exp_month": 1, "exp_year": 2039}


@pytest.fixture
def gateway_settings(gateway_settings: Any, vault: Any) -> Any:
    """A gateway whose vault is this test's own."""
    secret = vault.data / "secrets" / "vault.client"
    return msgspec.structs.replace(gateway_settings, vault=str(vault.socket), vault_client=secret)


def is_away(answer: Any) -> bool:
    """Whether the client was told to come back, and when."""
    return (answer.status, answer.code) == (503, "unavailable") and int(answer.headers["Retry-After"]) >= 1


async def test_without_the_vault_nothing_is_stored_or_deleted_and_everything_can_be_asked_again(
    gateway: Any, vault: Any
) -> None:
    card = (await gateway.ask("POST", "/v1/cards", CARD, who="customer")).json
    path = f"/v1/cards/{card['id']}"
    other = CARD | {"number": "5555555555554444"}
    vault.kill()
    assert is_away(await gateway.ask("POST", "/v1/cards", other, who="customer"))
    assert is_away(await gateway.ask("POST", "/v1/cards", other, who="customer", idempotency_key="k1"))
    assert is_away(await gateway.ask("DELETE", path, who="customer"))
    assert (await gateway.ask("GET", "/v1/cards", who="customer")).json["data"] == [card]  # the books know it
    assert (await gateway.ask("GET", path, who="customer")).json == card
    vault.start()
    made = await gateway.ask("POST", "/v1/cards", other, who="customer", idempotency_key="k1")
    assert (made.status, made.json["last4"]) == (201, "4444")
    assert (await gateway.ask("DELETE", path, who="customer")).status == 204


async def test_a_vault_killed_in_the_middle_loses_no_card_that_was_answered_and_doubles_none(
    gateway: Any, vault: Any, number: Callable[[int], str], until: Any
) -> None:
    bodies = [CARD | {"number": number(i)} for i in range(200)]
    await gateway.token("customer")

    async def ask(i: int) -> Any:
        return await gateway.ask("POST", "/v1/cards", bodies[i], who="customer", idempotency_key=f"k{i}")

    async def ask_each(first: int) -> list[Any]:
        return [await ask(i) for i in range(first, len(bodies), 8)]

    asked = [asyncio.create_task(ask_each(first)) for first in range(8)]
    await until(lambda: len(vault.audit("card.store")) >= 20)
    vault.kill()
    answers = [answer for answers in await asyncio.gather(*asked) for answer in answers]
    made = {answer.json["id"] for answer in answers if answer.status == 201}
    assert all(answer.status == 201 or is_away(answer) for answer in answers)
    assert 0 < len(made) < len(bodies)
    vault.start()
    again = [await ask(i) for i in range(len(bodies))]  # with the same keys
    assert {answer.status for answer in again} == {201}
    tokens = {answer.json["id"] for answer in again}
    assert len(tokens) == len(bodies)
    assert made <= tokens
    assert in_vault(vault.file) == tokens


async def test_a_frozen_vault_is_a_503_too(gateway: Any, vault: Any) -> None:
    await gateway.ask("POST", "/v1/cards", CARD, who="customer")
    gateway.runtime.vault._timeout_s = 0.3
    vault.process.send_signal(signal.SIGSTOP)
    assert is_away(await gateway.ask("POST", "/v1/cards", CARD, who="customer"))
    vault.process.send_signal(signal.SIGCONT)
    gateway.runtime.vault._timeout_s = 60
    assert (await gateway.ask("POST", "/v1/cards", CARD, who="customer")).status == 201


async def test_no_number_reaches_a_file_of_the_gateway(
    gateway: Any, gateway_settings: Any, number: Callable[[int], str], capfd: pytest.CaptureFixture[str]
) -> None:
    numbers = [number(i + 888_000) for i in range(6)]
    await gateway.ask("POST", "/v1/cards", CARD | {"number": numbers[0]}, who="customer", idempotency_key="a")
    await gateway.ask("POST", "/v1/cards", CARD | {"number": numbers[1], "exp_month": 13}, who="customer")
    await gateway.ask("POST", "/v1/cards", CARD | {"number": numbers[2], "cvc": "9876"}, who="customer")
    await gateway.ask("GET", f"/v1/cards/{numbers[3]}", who="customer")
    await gateway.ask("GET", f"/v1/cards?cursor={numbers[4]}", who="customer")
    await gateway.ask("POST", "/v1/cards", f'{{"number": "{numbers[5]}"'.encode(), who="customer")
    written = b"".join(content for _, content in contents(gateway_settings.data))
    written += "".join(capfd.readouterr()).encode() + await gateway.runtime.books.read(all_rows)
    assert [each for each in numbers if each.encode() in written] == []
    assert b'"9876"' not in written
    assert number(1)[:6].encode() in written  # the look itself finds what is there: the BIN of the books


def all_rows(conn: Connection) -> bytes:
    """Every row of the books as text, wherever their database keeps them."""
    return repr([conn.execute(table.select()).all() for table in metadata.sorted_tables]).encode()


def in_vault(file: Path) -> set[str]:
    """The tokens that a vault's file holds."""
    with closing(sqlite3.connect(file)) as conn:
        return {card for (card,) in conn.execute("SELECT card FROM cards")}
