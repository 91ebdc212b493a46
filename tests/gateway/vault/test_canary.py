"""Card numbers leave no trace outside the vault's ciphertext: in no file, log line, reply or key."""

import asyncio
import base64
import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from gateway.vault.client import VaultError
from tests.conftest import contents

Numbers = Callable[[int], str]


def disguises(number: str) -> dict[str, bytes]:
    """The encodings in which a number could stand in a file."""
    spaced = " ".join(number[i : i + 4] for i in range(0, len(number), 4))
    value = int(number)
    forms = {
        "text": number.encode(),
        "utf-16": number.encode("utf-16-le"),
        "spaced": spaced.encode(),
        "dashed": spaced.replace(" ", "-").encode(),
        "hex of text": number.encode().hex().encode(),
        "packed digits": bytes.fromhex(number),
        "big endian": value.to_bytes(7, "big"),
        "little endian": value.to_bytes(7, "little"),
        "hex of value": f"{value:x}".encode(),
        "reversed": number[::-1].encode(),
        "without its bin": number[6:].encode(),
    }
    for offset in range(3):  # base64 of a longer text that holds it, wherever it begins
        coded = base64.b64encode(b"\0" * offset + number.encode())
        forms[f"base64 at {offset}"] = coded[4 if offset else 0 : -4]
    return forms


def found(numbers: list[str], directory: Path) -> list[tuple[str, str]]:
    """File and disguise of every hit below `directory`."""
    files = list(contents(directory))
    return [
        (path.name, name)
        for number in numbers
        for name, form in disguises(number).items()
        for path, content in files
        if form in content
    ]


async def test_no_number_stands_in_any_file(vault: Any, client: Any, number: Numbers, tmp_path: Path) -> None:
    numbers = [number(i + 777_000) for i in range(60)]
    cards = [(await client.store("acc_a", each, 12, 2031, f"Name {each}")).card_id for each in numbers]
    await asyncio.gather(*(client.see(card_id, "acc_a") for card_id in cards))
    await client.digest(f'{{"number": "{numbers[0]}", "cvc": "987"}}'.encode())
    # A caller that mixes up its arguments:
    for card_id, owner_id in ((numbers[0], "acc_a"), (cards[0], numbers[0])):
        with suppress(VaultError):
            await client.see(card_id, owner_id)
    for operation_id in (numbers[0], f"op_{numbers[0]}", "987"):
        with suppress(VaultError):
            await client.open(cards[0], "acc_a", operation_id)
    with suppress(VaultError):
        await client.store("acc_a", numbers[0][:-1] + "0", 1, 2031)
    await client.rotate()
    for card_id in cards[::2]:
        await client.delete(card_id, "acc_a")
    assert len(vault.audit()) > 150
    assert (vault.data / "vault.sqlite3-wal").exists()
    assert found(numbers, tmp_path) == []


async def test_a_planted_number_is_found_in_each_disguise(
    vault: Any, client: Any, number: Numbers, tmp_path: Path
) -> None:
    for name, form in disguises(number(5)).items():
        planted = tmp_path / "data" / "planted"
        planted.write_bytes(b"before " + form + b" after")
        assert ("planted", name) in found([number(5)], tmp_path)
        planted.unlink()


async def test_a_number_planted_in_the_books_of_the_vault_is_found(
    vault: Any, client: Any, number: Numbers, tmp_path: Path
) -> None:
    await client.store("acc_a", number(6), 1, 2039)
    with closing(sqlite3.connect(vault.file, isolation_level=None)) as conn:
        conn.execute("UPDATE cards SET owner = ?", (number(7),))  # it stands in the write-ahead log only
        hits = found([number(6), number(7)], tmp_path)
    assert ("vault.sqlite3-wal", "text") in hits
    assert {name for name, _ in hits} <= {"vault.sqlite3", "vault.sqlite3-wal"}


async def test_no_column_gives_the_number_to_somebody_without_the_keys(
    vault: Any, client: Any, number: Numbers
) -> None:
    """All numbers of a BIN can be tried: none may match by a hash that needs no key (PCI DSS 3.5.1.1)."""
    await client.store("acc_a", number(8), 1, 2039)
    with closing(sqlite3.connect(vault.file)) as conn:
        [(card_id, fingerprint)] = conn.execute("SELECT card, fingerprint FROM cards")
    letters = str.maketrans("0123456789abcdef", "abcdefghjkmnprst")
    for tried in (number(8), "acc_a" + number(8), number(8) + "acc_a"):
        for name in hashlib.algorithms_guaranteed - {"shake_128", "shake_256"}:
            digest = hashlib.new(name, tried.encode()).hexdigest()
            for value in (card_id[5:17], fingerprint[3:15]):
                assert value not in digest
                assert value not in digest.translate(letters)
