"""Payments by one card that succeed and fail, and its number typed into fields where it does not belong."""

from typing import Any
from urllib.parse import quote
from uuid import uuid4

from tests.end_to_end.shop import Answer, Shop

EMAIL, PHONE = "mallory.canary@example.com", "+4915112345678"
WHO = "mallory.canary"


def join(shop: Shop) -> None:
    """Open an account with its own e-mail address and phone number."""
    shop.passwords[WHO] = "a password of nobody else"
    body = {"email": EMAIL, "password": shop.passwords[WHO], "name": "Mallory", "phone": PHONE}
    assert shop.ask("POST", "/v1/accounts", body).status in (201, 409)


def pay_in_every_way(shop: Shop, card: str, code: str) -> None:
    """Pay, hold, capture, void; and pay at processors that answer garbage, half an answer, or nothing."""
    assert _pay(shop, card, code).json["state"] == "captured"
    for end in ("capture", "void"):
        held = _pay(shop, card, code, capture="manual").json["id"]
        assert shop.ask("POST", f"/v1/payments/{held}/{end}", {}, "merchant", uuid4().hex).status == 200
    for fault in ("garbage", "half_body", "apply_then_500", "apply_then_reset"):
        for processor in ("visa", "mastercard"):
            shop.fault(processor, fault, operation="authorize", times=1)
        assert _pay(shop, card, code).status == 202
        shop.clear_faults()


def send_to_wrong_places(shop: Shop, card: str, code: str) -> None:
    """Put the number into every field, path, query and header that takes text."""
    spaced = " ".join(card[at : at + 4] for at in range(0, 16, 4))
    for text in (card, spaced):
        for path in (f"/v1/payments/{quote(text)}", f"/v1/payments?cursor={quote(text)}", f"/{quote(text)}"):
            shop.ask("GET", path, who=WHO)
        shop.ask("POST", "/v1/login", {"email": text, "password": text})
        shop.ask("POST", f"/webhooks/visa?{quote(text)}", {"number": text})
        _misuse_accounts(shop, text)
        _misuse_cards(shop, text, code)
        _misuse_payments(shop, card, text, code)
    shop.stack.says("sql", f"SELECT '{card}' || no_such_column")


def _pay(shop: Shop, card: str, code: str, **fields: Any) -> Answer:
    body = shop.order(card, who=WHO, cvc=code, **fields)
    answer = shop.ask("POST", "/v1/payments", body, WHO, uuid4().hex)
    assert answer.status in (201, 202), answer
    return answer


def _misuse_accounts(shop: Shop, text: str) -> None:
    new = {"email": f"{uuid4().hex}@example.com", "password": "a long password", "name": text}
    for odd in ({}, {"name": "M", "email": f"{text}@example.com"}, {"name": "M", "locale": f"en-x-{text}"}):
        shop.ask("POST", "/v1/accounts", new | odd)
    for field in ("name", "locale", "phone", "time_zone"):
        shop.ask("PATCH", "/v1/me", {field: text}, WHO)
    shop.ask("PUT", "/v1/me/notifications", {"preferences": {text: ["email"]}, "time_zone": text}, WHO)
    shop.ask("POST", "/v1/merchants", {"name": text}, "admin")


def _misuse_cards(shop: Shop, text: str, code: str) -> None:
    card = {"number": text, "exp_month": 1, "exp_year": 2039}
    for wrong in ({"name": text}, {"exp_month": text}, {"exp_year": 2001}, {"cvc": code}, {text: text}):
        shop.ask("POST", "/v1/cards", card | wrong, WHO, uuid4().hex)
    shop.ask("POST", "/v1/cards", f'{{"number": "{text}", "cvc": "{code}"'.encode(), WHO)


def _misuse_payments(shop: Shop, card: str, text: str, code: str) -> None:
    order = shop.order(card, who=WHO)
    for field in ("description", "merchant", "currency", "return_url", "processor", "amount", text):
        shop.ask("POST", "/v1/payments", order | {field: text}, WHO, uuid4().hex)
    for wrong in (
        {"metadata": {"note": text}},
        {"metadata": {text: "note"}},
        {"metadata": {"cvc": code}},
        {"description": f"{text.replace(' ', '.')}, cvc {code}"},
        {"device": {"id": text, "ip": text}},
    ):
        shop.ask("POST", "/v1/payments", order | wrong, WHO, uuid4().hex)
    shop.ask("POST", "/v1/payments", order, WHO, f"order-{text.replace(' ', '-')}-7")
    paid = shop.ask("GET", "/v1/payments?limit=1", who=WHO).json["data"][0]["id"]
    for label in ({"label": "good", "source": text}, {"label": text, "source": "phone"}):
        shop.ask("POST", f"/v1/payments/{paid}/labels", label, "analyst", uuid4().hex)
