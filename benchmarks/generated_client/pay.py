"""Pays with the generated client, in whose environment it runs: `python pay.py URL PASSWORD`; prints JSON."""

import json
import sys
from secrets import token_hex
from typing import Any

import sluice_client as api  # type: ignore[import-not-found]  # made by the generator

# A password of this run alone.
PASSWORD = token_hex(16)


def main(url: str, merchants_password: str) -> None:
    """Register, add a card, pay, refuse what is wrong, and print what was answered."""
    with api.ApiClient(api.Configuration(host=url)) as anonymous:
        email = f"generated-{token_hex(4)}@example.com"
        person = api.NewAccount(email=email, password=PASSWORD, name="Gena Rated")
        account = api.AccountsApi(anonymous).accounts_create_account(person)
        customer = _log_in(anonymous, email, PASSWORD)
        merchant = _log_in(anonymous, "merchant@example.com", merchants_password)
    with api.ApiClient(api.Configuration(host=url, access_token=merchant)) as client:
        merchant_id = api.MeApi(client).me_read_me().id
    with api.ApiClient(api.Configuration(host=url, access_token=customer)) as client:
        shown = _pay(client, merchant_id)
    print(json.dumps({"registered": account.email == email, **shown}, indent=2))
    sys.exit(shown["state"] != "captured" or shown["no_card_code"] != "not_found")


def _log_in(client: Any, email: str, password: str) -> str:
    answered = api.LoginApi(client).login_login(api.LoginRequest(email=email, password=password))
    return str(answered.access_token)


def _pay(client: Any, merchant_id: str) -> dict[str, Any]:
    cards, payments = api.CardsApi(client), api.PaymentsApi(client)
    card = cards.cards_create_card(api.NewCard(number="4111111111111111", exp_month=12, exp_year=2030))
    key = token_hex(8)
    paid = payments.payments_create_payment(key, _payment(merchant_id, card.id))
    again = payments.payments_create_payment(key, _payment(merchant_id, card.id))
    listed = payments.payments_list_all(limit=1)
    try:
        payments.payments_create_payment(token_hex(8), _payment(merchant_id, "card_of_nobody"))
        code = ""
    except api.ApiException as refused:
        code = json.loads(refused.body)["code"]
    return {
        "state": paid.state,
        "amount": paid.amount,
        "replayed": again.id == paid.id,
        "listed": [payment.id for payment in listed.data] == [paid.id],
        "no_card_code": code,
    }


def _payment(merchant_id: str, card_id: str) -> Any:
    by_card = api.ByCard(type="card", card=card_id)
    method = api.NewPaymentPaymentMethod(actual_instance=by_card)
    return api.NewPayment(amount=1250, currency="EUR", merchant=merchant_id, payment_method=method)


if __name__ == "__main__":
    main(*sys.argv[1:])
