"""Accounts that nobody confirmed go after a week; the address is free again."""

from functools import partial

import msgspec
import pytest

from gateway.books import accounts
from gateway.books.audit_list import AuditFilter, list_audit
from gateway.books.payments import insert_payment
from gateway.identity import unconfirmed
from gateway.identity.erasure import erase_account
from gateway.identity.unconfirmed import prune_unconfirmed
from schemas.times import now_micros
from tests.gateway.conftest import Gateway
from tests.gateway.payments import situations


async def pruned(gateway: Gateway) -> int:
    made = gateway.runtime
    erase = partial(erase_account, made.books, made.vault, made.key_ring, actor_id="")
    return await prune_unconfirmed(made.books, erase)


async def test_who_neither_confirmed_nor_paid_in_a_week_goes(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unconfirmed, "AT_ONCE", 2)
    books = gateway.runtime.books
    tokens = {
        name: await gateway.sign_up(f"{name}@example.com") for name in ("one", "two", "paid", "kept", "three")
    }
    ids = {name: (await gateway.ask("GET", "/v1/me", who=token)).json["id"] for name, token in tokens.items()}
    paid = msgspec.structs.replace(situations.payment("captured"), customer_id=ids["paid"])
    await books.write(insert_payment, paid)
    await books.write(accounts.confirm_email, ids["kept"], "kept@example.com", "kept@example.com", now_micros())
    assert await pruned(gateway) == 0  # a week is not over
    monkeypatch.setattr(unconfirmed, "KEPT_US", -1_000_000)
    assert await pruned(gateway) == 3
    acts = await books.browse(list_audit, None, 9, AuditFilter(kind="account_erased"))
    assert [(row.actor_id, row.subject_id in ids.values()) for row in acts.rows] == [("", True)] * 3
    alive = {name: (await gateway.ask("GET", "/v1/me", who=token)).status for name, token in tokens.items()}
    assert alive == {"one": 401, "two": 401, "paid": 200, "kept": 200, "three": 401}
    await gateway.sign_up("one@example.com")
