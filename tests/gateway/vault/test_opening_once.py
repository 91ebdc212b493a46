"""An operation opens one card, once, and no more are opened in a second than payments need; an entry for each."""

import errno
import os
import resource
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from gateway.vault.audit import Audit, AuditError
from gateway.vault.audit_chain import CheckedChain, files
from gateway.vault.audit_trail import AuditTrail, OpenRefused
from gateway.vault.client import OperationRefused, TooFast, VaultAway
from gateway.vault.isolation import Peer
from gateway.vault.opens import Opening
from schemas.times import now

NUMBER = "4111111111111111"
CALL = bytes(range(16))
PEER = Peer(1, 2)


def results(vault: Any) -> list[str]:
    """What became of each open, by the audit."""
    return [entry.result for entry in vault.audit("card.open")]


async def test_an_operation_opens_one_card_once_across_restarts(
    vault: Any, client: Any, number: Callable[[int], str]
) -> None:
    card_id = (await client.store("acc_a", number(1), 1, 2039)).card_id
    other_id = (await client.store("acc_a", number(2), 1, 2039)).card_id
    assert (await client.open(card_id, "acc_a", "op_1")).details.number == number(1)
    for lost in ((), ("opens.sqlite3",), ("opens.sqlite3", "opens.sqlite3-wal", "opens.sqlite3-shm")):
        for refused_id in (card_id, other_id):
            with pytest.raises(OperationRefused):
                await client.open(refused_id, "acc_a", "op_1")
        vault.kill()
        for name in lost:  # it is made again from the audit
            (vault.data / "audit" / name).unlink(missing_ok=True)
        vault.start()
    with pytest.raises(OperationRefused):
        await client.open(card_id, "acc_a", "op_1")
    assert results(vault) == ["ok", *["spent", "other_card"] * 3, "spent"]
    assert (await client.open(card_id, "acc_a", "op_2")).details.number == number(1)  # failover is another one


@pytest.mark.parametrize("lost", [(), ("opens.sqlite3", "opens.sqlite3-wal", "opens.sqlite3-shm")])
async def test_a_caller_that_never_got_the_reply_may_ask_for_it_again(
    vault: Any, client: Any, lost: tuple[str, ...]
) -> None:
    """Also where the vault was killed between its entry and what finds it."""
    card_id = (await client.store("acc_a", NUMBER, 1, 2039)).card_id
    first = await client.open(card_id, "acc_a", "op_1", CALL)
    vault.kill()
    for name in lost:
        (vault.data / "audit" / name).unlink(missing_ok=True)
    vault.start()
    again = await client.open(card_id, "acc_a", "op_1", CALL)
    assert again.details.number == NUMBER
    assert again.audit_head != first.audit_head
    with pytest.raises(OperationRefused):
        await client.open(card_id, "acc_a", "op_1", CALL[::-1])
    assert results(vault) == ["ok", "repeated", "spent"]


@pytest.mark.parametrize(
    "operation_id", ["", "op", "op_", "pay_1", "op_A", "op_1\n", "op_4111111111111111", "op_ß"]
)
async def test_what_is_no_operation_opens_nothing(vault: Any, client: Any, operation_id: str) -> None:
    card_id = (await client.store("acc_a", NUMBER, 1, 2039)).card_id
    with pytest.raises(OperationRefused):
        await client.open(card_id, "acc_a", operation_id)
    assert results(vault) == ["malformed"]


async def test_no_more_cards_are_opened_in_a_second_than_payments_need(new_vault: Any, new_client: Any) -> None:
    began = monotonic()  # what its clock counts from is a little later
    vault = new_vault(SLUICE_VAULT_OPENS_PER_S="5").start()
    client, opened = new_client(vault), 0
    card_id = (await client.store("acc_a", NUMBER, 1, 2039)).card_id
    for i in range(60):
        if i == 30:
            vault.kill()
            vault.start()  # which gives nobody more
        with suppress(TooFast):
            await client.open(card_id, "acc_a", f"op_{i}")
            opened += 1
    assert opened == results(vault).count("ok")
    assert results(vault).count("too_fast") == 60 - opened
    assert opened <= 5 * (monotonic() - began) + 1


@pytest.fixture
def trail(tmp_path: Path) -> AuditTrail:
    """A trail of one's own."""
    return AuditTrail(tmp_path / "audit", timedelta(days=400), 1_000_000)


async def test_a_full_disk_refuses_to_open_cards_rather_than_opens_them_without_an_entry(
    trail: AuditTrail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit, write = Audit(trail), os.write

    def half(file: int, data: bytes) -> int:
        write(file, data[:40])
        raise OSError(errno.ENOSPC, "No space left on device")

    await audit.open_card(Opening("op_1", "card_a", "acc_a", CALL), PEER)
    monkeypatch.setattr(os, "write", half)
    for name in ("op_2", "op_2"):
        with pytest.raises(AuditError):
            await audit.open_card(Opening(name, "card_a", "acc_a", CALL), PEER)
    monkeypatch.undo()
    await audit.open_card(Opening("op_2", "card_a", "acc_a", CALL), PEER)
    with pytest.raises(OpenRefused):
        await audit.open_card(Opening("op_1", "card_a", "acc_a", b""), PEER)
    await audit.close()
    assert [entry.operation_id for entry in whole(tmp_path / "audit")] == ["op_1", "op_2"]


async def test_an_entry_is_on_disk_before_the_card_is_answered(
    trail: AuditTrail, tmp_path: Path, synced: list[str]
) -> None:
    audit = Audit(trail)
    synced.clear()
    await audit.open_card(Opening("op_1", "card_a", "acc_a", CALL), PEER)
    assert str(files(tmp_path / "audit")[0]) in synced
    await audit.close()


def whole(directory: Path) -> list[Any]:
    """The opens of a chain without a fault."""
    chain = CheckedChain()
    opened = [entry for path in files(directory) for entry in chain.read(path, timedelta(days=400), now())]
    assert chain.faults == []
    return opened


async def test_the_vault_opens_nothing_while_it_cannot_write_its_audit(vault: Any, client: Any) -> None:
    card_id = (await client.store("acc_a", NUMBER, 1, 2039)).card_id
    most = resource.prlimit(vault.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(vault.process.pid, resource.RLIMIT_FSIZE, (100, most[1]))  # bytes of a file, as a disk's end
    for _ in range(2):
        with pytest.raises(VaultAway):
            await client.open(card_id, "acc_a", "op_1")
    resource.prlimit(vault.process.pid, resource.RLIMIT_FSIZE, most)
    assert (await client.open(card_id, "acc_a", "op_1")).details.number == NUMBER
    assert results(vault) == ["ok"]
    whole(vault.data / "audit")
