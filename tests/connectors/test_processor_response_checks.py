"""Nothing that may not be stored survives `scrub`."""

import json

import pytest

from connectors.processors.response_checks import DETAIL_MAX, scrub

NUMBER = "4111111111111111"
TRANSCRIPTS = [
    json.dumps(
        {"card": {"number": NUMBER, "securityCode": "987", "expirationMonth": "11", "expirationYear": "2031"}}
    ),
    json.dumps(json.dumps({"card": {"number": NUMBER, "securityCode": "987", "expirationYear": "2031"}})),
    '{"number":4111111111111111,"securityCode":987,"expiry":{"month":"11","year":"2031"}}',
    'Authorization: Basic bWVyY2hhbnQ6c2VjcmV0\r\nSignature: keyid="k", signature="bWVyY2hhbnQ6c2VjcmV0"',
    "Authorization: Bearer A21AAbWVyY2hhbnQ6c2VjcmV0",
    '{"access_token": "A21AAbWVyY2hhbnQ6c2VjcmV0", "scope": "all"}',
    '{"payer": {"email_address": "someone@example.com", "name": {"given_name": "Ada", "surname": "Lovelace"}}}',
    "Account 4111 1111 1111 1111 of someone@example.com is closed",
]
FORBIDDEN = [NUMBER, "4111 1111 1111 1111", "987", "2031", "bWVyY2hhbnQ6c2VjcmV0", "someone@", "Ada", "Lovelace"]


@pytest.mark.parametrize("text", TRANSCRIPTS)
def test_no_secret_survives(text: str) -> None:
    assert any(word in text for word in FORBIDDEN)
    assert not [word for word in FORBIDDEN if word in scrub(text)]


def test_what_may_be_read_stays() -> None:
    assert scrub("DECLINED INSUFFICIENT_FUND The card has insufficient funds") == (
        "DECLINED INSUFFICIENT_FUND The card has insufficient funds"
    )
    assert "att_01k9" in scrub("order.id is 'att_01k9' instead of 'att_01ka'")


def test_it_is_short() -> None:
    assert len(scrub("x" * 10_000)) == DETAIL_MAX
