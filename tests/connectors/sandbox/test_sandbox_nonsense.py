"""Whatever a client sends, a twin answers in its vendor's own error shape, moves nothing and repeats nothing."""

import base64
import io
import json
from typing import Any

import aiohttp
import pytest

from tests.connectors.sandbox.process import SandboxProcess
from tests.connectors.sandbox.wires import Control, PayPal, Visa

NUMBER = "4111111111111111"
BODIES = [
    b"",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b"{",
    b"\xff\xfe",
    b'{"a":"\xff"}',
    b"[" * 100_000,
    json.dumps({"number": NUMBER, NUMBER: [NUMBER]}).encode(),
    json.dumps({"apiOperation": NUMBER, "intent": NUMBER, "clientReferenceInformation": NUMBER}).encode(),
    json.dumps({"purchase_units": [{"amount": {"value": NUMBER}}], "amount": NUMBER}).encode(),
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:30]))
async def test_nonsense_is_refused(
    visa: Visa,
    paypal: PayPal,
    control: Control,
    sandbox: SandboxProcess,
    http: aiohttp.ClientSession,
    body: bytes,
) -> None:
    before = len(await control.ledger())
    token = (await paypal.token())["access_token"]
    basic = "Basic " + base64.b64encode(b"merchant.SLUICE:sandbox").decode()
    path = "/pts/v2/payments"
    mastercard = f"{sandbox.url('mastercard')}/api/rest/version/100/merchant/SLUICE/order/a/transaction/b"
    calls: list[tuple[str, str, dict[str, str]]] = [
        ("POST", f"http://{visa.host}{path}", visa.headers("POST", path, body)),
        ("PUT", mastercard, {"Authorization": basic}),
        ("POST", f"{paypal.base}/v2/checkout/orders", {"Authorization": f"Bearer {token}"}),
        ("POST", f"{paypal.base}/v1/oauth2/token", {}),
        ("POST", f"{sandbox.url('sandbox')}/_sandbox/faults", {}),
    ]
    for method, url, headers in calls:
        async with http.request(method, url, data=body, headers=headers) as answer:
            said: Any = await answer.json(content_type=None)
            assert 400 <= answer.status < 500, url
            assert NUMBER not in json.dumps(said)
    assert len(await control.ledger()) == before


async def test_a_body_of_two_megabytes_is_too_large(visa: Visa, http: aiohttp.ClientSession) -> None:
    async with http.post(f"http://{visa.host}/pts/v2/payments", data=io.BytesIO(b" " * 2_000_000)) as answer:
        assert answer.status == 413
