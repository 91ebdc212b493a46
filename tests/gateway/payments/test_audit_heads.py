"""Each card is opened once for its operation, which keeps the head of the vault's audit."""

from pathlib import Path
from typing import Any

import pytest

from gateway.books.operations import Operation, list_audit_heads, select_operations
from gateway.payments.commit import receive
from gateway.payments.lifecycle import judge
from gateway.payments.processor_calls import send
from gateway.vault.audit_chain import AuditEntry, Head, entry_of, files, head_of
from gateway.vault.client import OpenedCard, VaultAway
from tests.gateway.payments.conftest import RequestOf, Shop


def entries(shop: Shop) -> dict[Head, AuditEntry]:
    """The vault's audit by its heads."""
    found = {}
    for path in files(Path(shop.gateway.runtime.settings.vault).parent / "audit"):
        for line in path.read_bytes().splitlines():
            entry, digest = entry_of(line)
            found[Head(entry.n, digest)] = entry
    return found


async def operations(shop: Shop, payment_id: str) -> list[Operation]:
    found: list[Operation] = await shop.gateway.runtime.books.read(select_operations, payment_id)
    return found


async def test_the_operation_that_a_card_was_opened_for_keeps_the_head_and_others_none(shop: Shop) -> None:
    paid = await shop.pay(capture="manual")
    await shop.post(f"/v1/payments/{paid.json['id']}/capture", {}, who="merchant")
    authorize, capture = await operations(shop, paid.json["id"])
    assert authorize.audit_head is not None
    entry = entries(shop)[head_of(authorize.audit_head)]
    assert (entry.event, entry.result, entry.operation_id) == ("card.open", "ok", authorize.id)
    assert capture.audit_head is None
    heads = await shop.gateway.runtime.books.read(list_audit_heads, "", 100)
    assert (authorize.id, authorize.audit_head) in heads
    assert capture.id not in dict(heads), "a card that is opened for a capture is opened for nothing"


async def judged(shop: Shop, request_of: RequestOf) -> Any:
    """A payment whose operation is about to be sent."""
    request, row = await request_of()
    runtime = shop.gateway.runtime
    await runtime.books.write(receive, runtime.policy, request, row)
    return await runtime.books.write(judge, runtime.policy, row.id, None, 0.0)


async def test_an_operation_that_has_opened_its_card_is_not_sent_again(shop: Shop, request_of: RequestOf) -> None:
    runtime, step = shop.gateway.runtime, await judged(shop, request_of)
    assert (await send(runtime, step.payment, step.to_send, None, None)).result == "succeeded"
    again = await send(runtime, step.payment, step.to_send, None, None)
    assert (again.result, again.detail, again.sent) == ("failed", "OperationRefused", False)
    assert len(shop.ledger()) == 1


async def test_a_reply_of_the_vault_that_was_lost_is_asked_for_again(
    shop: Shop, request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, step = shop.gateway.runtime, await judged(shop, request_of)
    open_card, lost = runtime.vault.open, []

    async def open_and_lose(*asked: Any) -> OpenedCard:
        opened = await open_card(*asked)
        if not lost:
            lost.append(opened)
            raise VaultAway
        return opened

    monkeypatch.setattr(runtime.vault, "open", open_and_lose)
    answer = await send(runtime, step.payment, step.to_send, None, None)
    assert answer.result == "succeeded"
    assert answer.audit_head not in (None, lost[0].audit_head)
    assert entries(shop)[head_of(answer.audit_head)].result == "repeated"
