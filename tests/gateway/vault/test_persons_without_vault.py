"""Persons' texts while the vault is away: what needs none goes on, the rest gets a 503 that may be repeated."""

from typing import Any

import msgspec
import pytest

from gateway.books.idempotency import KeyedRequest
from gateway.books.key_ring import KeyRing
from gateway.books.payments import select_payment
from gateway.books.persons import LOOKUPS, is_sealed
from gateway.payments.commit import receive
from gateway.payments.create import ByPaypal, NewPayment, Payer, row_of
from gateway.vault.client import VaultAway

PARTIES = ("merchant", "customer")


@pytest.fixture
def gateway_settings(gateway_settings: Any, vault: Any) -> Any:
    """A gateway whose vault is this test's own."""
    secret = vault.data / "secrets" / "vault.client"
    return msgspec.structs.replace(gateway_settings, vault=str(vault.socket), vault_client=secret)


def forget_all(gateway: Any) -> None:
    """A minute passes: no person's key is at hand any more."""
    ring: KeyRing = gateway.runtime.key_ring
    ring._held.clear()


def is_away(answer: Any) -> bool:
    """Whether the client was told to come back, and when."""
    return (answer.status, answer.code) == (503, "unavailable") and int(answer.headers["Retry-After"]) >= 1


async def test_cards_and_persons_keys_come_by_one_connection(gateway: Any) -> None:
    """A second client of the vault would be one that nobody closes."""
    await gateway.ask("GET", "/v1/me", who="customer")
    await gateway.runtime.vault.ping()
    assert gateway.runtime.books._fetch == gateway.runtime.vault.person_keys


async def test_logins_and_what_has_no_texts_go_on(gateway: Any, vault: Any) -> None:
    me = (await gateway.ask("GET", "/v1/me", who="customer")).json
    new = {"email": "new@example.com", "password": "correct horse battery", "name": "N"}
    vault.kill()
    assert (await gateway.ask("GET", "/v1/me", who="customer")).json == me  # the key is at hand for a minute
    forget_all(gateway)
    assert (await gateway.log_in("customer@example.com")).status == 200
    assert (await gateway.ask("GET", "/v1/payments", who="customer")).status == 200
    assert is_away(await gateway.ask("GET", "/v1/me", who="customer"))
    assert is_away(await gateway.ask("POST", "/v1/accounts", new))
    vault.start()
    assert (await gateway.ask("GET", "/v1/me", who="customer")).json == me
    assert (await gateway.ask("POST", "/v1/accounts", new)).status == 201
    assert gateway.runtime.key_ring.find(LOOKUPS, make=True)


async def test_a_payment_without_texts_needs_no_key_and_one_with_texts_is_not_written(
    gateway: Any, vault: Any
) -> None:
    runtime, by = gateway.runtime, ByPaypal()
    merchant_id, payer_id = [(await gateway.ask("GET", "/v1/me", who=who)).json["id"] for who in PARTIES]
    payer, prints = Payer(payer_id, None, "00-1-1-00"), runtime.policy.prints
    plain, told = (
        NewPayment(amount=100, currency="EUR", merchant=merchant_id, payment_method=by, description=text)
        for text in (None, "for Ada")
    )
    vault.kill()
    forget_all(gateway)
    rows = [row_of(asked, payer, None, runtime.key, prints) for asked in (plain, told)]
    requests = [KeyedRequest(payer_id, key, b"", "customer") for key in ("plain", "told")]
    await runtime.books.write(receive, runtime.policy, requests[0], rows[0])
    with pytest.raises(VaultAway):
        await runtime.books.write(receive, runtime.policy, requests[1], rows[1])
    assert await runtime.books.read(select_payment, rows[0].id)
    assert await runtime.books.read(select_payment, rows[1].id) is None
    vault.start()
    written = await runtime.books.write(receive, runtime.policy, requests[1], rows[1])
    assert is_sealed(written.description)
