"""Clients that speak the vendors' wires as their documents say, and one for the control port.

Nothing here uses `connectors.processors`: a twin that agrees with our own idea of a vendor proves nothing.
"""

import base64
import hashlib
import hmac
import json
import time
from email.utils import formatdate
from typing import Any

import aiohttp

from schemas.ids import new_id
from tests.connectors.sandbox.process import SandboxProcess

SECRET = base64.b64encode(b"sluice-sandbox-shared-secret!!!!").decode()
APPROVED_CARD = "4111111111111111"


class Answered(dict[str, Any]):
    """A JSON body with its HTTP status."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(json.loads(body) if body else {})
        self.status = status


class Control:
    """The control port."""

    def __init__(self, http: aiohttp.ClientSession, sandbox: SandboxProcess) -> None:
        self._http = http
        self._url = f"{sandbox.url('sandbox')}/_sandbox"

    async def decide(self, outcome: str) -> tuple[int, Any]:
        """Decide what PayPal has left pending: status and body of the answer."""
        async with self._http.post(f"{self._url}/pending", json={"outcome": outcome}) as answer:
            return answer.status, await answer.json(content_type=None)

    async def rows(self, reference: str) -> list[dict[str, Any]]:
        """The ledger's rows of one reference."""
        return [row for row in await self.ledger() if row["reference"] == reference]

    async def moves(self, reference: str) -> list[tuple[str, int, str]]:
        """Operation, amount and status of each row of one reference."""
        return [(row["operation"], row["amount"], row["status"]) for row in await self.rows(reference)]

    async def ledger(self, limit: int = 5000) -> list[dict[str, Any]]:
        """All rows, page by page."""
        rows: list[dict[str, Any]] = []
        cursor = 0
        while cursor is not None:
            page = await self.get(f"/ledger?after={cursor}&limit={limit}")
            rows += page["data"]
            cursor = page["next_cursor"]
        return rows

    async def get(self, path: str) -> Answered:
        async with self._http.get(self._url + path) as answer:
            return Answered(answer.status, await answer.read())

    async def fault(self, **fault: Any) -> Answered:
        async with self._http.post(f"{self._url}/faults", json=fault) as answer:
            return Answered(answer.status, await answer.read())

    async def clear(self) -> int:
        return (await self.cleared()).status

    async def cleared(self) -> Answered:
        async with self._http.delete(f"{self._url}/faults") as answer:
            return Answered(answer.status, await answer.read())


class Visa:
    """CyberSource's REST wire, signed as its HTTP signature's documentation says."""

    def __init__(self, http: aiohttp.ClientSession, sandbox: SandboxProcess) -> None:
        self._http = http
        self.host = f"localhost:{sandbox.port('visa')}"

    async def call(self, method: str, path: str, body: Any = None, **more: str) -> Answered:
        data = b"" if body is None else json.dumps(body).encode()
        headers = self.headers(method, path, data) | more
        async with self._http.request(method, f"http://{self.host}{path}", data=data, headers=headers) as answer:
            return Answered(answer.status, await answer.read())

    def headers(
        self,
        method: str,
        path: str,
        data: bytes,
        *,
        merchant: str = "sluice_sandbox",
        secret: str = SECRET,
        age_s: float = 0,
        signed: str = "host date request-target digest v-c-merchant-id",
    ) -> dict[str, str]:
        digest = "SHA-256=" + base64.b64encode(hashlib.sha256(data).digest()).decode()
        values = {
            "host": self.host,
            "date": formatdate(time.time() - age_s, usegmt=True),
            "request-target": f"{method.lower()} {path}",
            "digest": digest,
            "v-c-merchant-id": merchant,
        }
        names = [name for name in signed.split() if data or name != "digest"]
        text = "\n".join(f"{name}: {values[name]}" for name in names)
        mac = base64.b64encode(hmac.digest(base64.b64decode(secret), text.encode(), "sha256")).decode()
        parts = {"keyid": "sandbox-key", "algorithm": "HmacSHA256", "headers": " ".join(names), "signature": mac}
        headers = {"v-c-merchant-id": merchant, "Date": values["date"], "Content-Type": "application/json"}
        headers["Signature"] = ", ".join(f'{name}="{value}"' for name, value in parts.items())
        return headers | ({"Digest": digest} if data else {})

    async def pay(self, reference: str, amount: str = "10.00", *, capture: bool = True, **how: Any) -> Answered:
        return await self.call("POST", "/pts/v2/payments", self.payment(reference, amount, capture=capture, **how))

    def payment(
        self,
        reference: str,
        amount: str = "10.00",
        *,
        capture: bool = True,
        number: str = APPROVED_CARD,
        month: str = "01",
        year: str = "2039",
        id: str = "",
        currency: str = "EUR",
        cvn: str = "",
    ) -> dict[str, Any]:
        card = {"number": number, "expirationMonth": month, "expirationYear": year}
        return {
            "clientReferenceInformation": {"code": reference, "transactionId": id or new_id("op")},
            "processingInformation": {"commerceIndicator": "internet", "capture": capture},
            "orderInformation": {"amountDetails": {"totalAmount": amount, "currency": currency}},
            "paymentInformation": {"card": card | ({"securityCode": cvn} if cvn else {})},
        }

    async def follow(
        self,
        path: str,
        reference: str,
        amount: str = "",
        id: str = "",
        part: tuple[int, int] | None = None,
        **more: str,
    ) -> Answered:
        """`part`: the number of a capture, and how many there are."""
        body: dict[str, Any] = {
            "clientReferenceInformation": {"code": reference, "transactionId": id or new_id("op")}
        }
        if part:
            options = {"captureSequenceNumber": part[0], "totalCaptureCount": part[1]}
            body["processingInformation"] = {"captureOptions": options}
        if amount:
            body["orderInformation"] = {"amountDetails": {"totalAmount": amount, "currency": "EUR"}}
        return await self.call("POST", f"/pts/v2/{path}", body, **more)

    async def search(self, query: str) -> list[dict[str, Any]]:
        answer = await self.call("POST", "/tss/v2/searches", {"query": query, "limit": 20})
        assert answer.status == 201
        return list(answer["_embedded"]["transactionSummaries"])


class Mastercard:
    """The Mastercard Gateway's REST wire."""

    def __init__(self, http: aiohttp.ClientSession, sandbox: SandboxProcess) -> None:
        self._http = http
        self.merchant_url = f"{sandbox.url('mastercard')}/api/rest/version/100/merchant/SLUICE"

    async def call(self, method: str, path: str, body: Any = None, *, password: str = "sandbox") -> Answered:
        auth = aiohttp.encode_basic_auth("merchant.SLUICE", password)
        async with self._http.request(
            method, self.merchant_url + path, json=body, headers={"Authorization": auth}
        ) as answer:
            return Answered(answer.status, await answer.read())

    async def put(self, reference: str, id: str, operation: str, **body: Any) -> Answered:
        return await self.call("PUT", f"/order/{reference}/transaction/{id}", {"apiOperation": operation} | body)

    async def get(self, order: str, id: str) -> Answered:
        return await self.call("GET", f"/order/{order}/transaction/{id}")

    async def pay(
        self,
        order: str,
        amount: str = "10.00",
        *,
        operation: str = "PAY",
        number: str = "5123450000000008",
        expiry: str = "01/39",
        csc: str = "100",
        id: str = "",
    ) -> Answered:
        month, year = expiry.split("/")
        card = {"number": number, "expiry": {"month": month, "year": year}, "securityCode": csc}
        funds = {"type": "CARD", "provided": {"card": card}}
        money = {"amount": amount, "currency": "EUR"}
        return await self.put(order, id or new_id("op"), operation, order=money, sourceOfFunds=funds)

    async def take(self, order: str, operation: str, amount: str, id: str = "") -> Answered:
        return await self.put(
            order, id or new_id("op"), operation, transaction={"amount": amount, "currency": "EUR"}
        )

    async def void(self, order: str, target: str, id: str = "") -> Answered:
        return await self.put(order, id or new_id("op"), "VOID", transaction={"targetTransactionId": target})


class PayPal:
    """Orders v2, Payments v2 and the payer's page."""

    def __init__(self, http: aiohttp.ClientSession, sandbox: SandboxProcess) -> None:
        self._http = http
        self.base = sandbox.url("paypal")
        self._token = ""

    async def token(self, client: str = "sandbox-client", secret: str = "sandbox-secret") -> Answered:
        headers = {"Authorization": aiohttp.encode_basic_auth(client, secret)}
        form = {"grant_type": "client_credentials"}
        async with self._http.post(f"{self.base}/v1/oauth2/token", data=form, headers=headers) as answer:
            return Answered(answer.status, await answer.read())

    async def call(self, method: str, path: str, body: Any = None, id: str = "", **more: str) -> Answered:
        self._token = self._token or (await self.token())["access_token"]
        headers = {"Authorization": f"Bearer {self._token}", "PayPal-Request-Id": id or new_id("op")} | more
        async with self._http.request(method, self.base + path, json=body, headers=headers) as answer:
            return Answered(answer.status, await answer.read())

    async def create(
        self, reference: str, amount: str = "10.00", *, intent: str = "AUTHORIZE", id: str = ""
    ) -> Answered:
        unit = {"reference_id": reference, "custom_id": reference, "description": "Two <b>&</b> one"}
        unit["amount"] = {"currency_code": "EUR", "value": amount}  # type: ignore[assignment]
        experience = {
            "return_url": "http://localhost:1/back?a=1",
            "cancel_url": "http://localhost:1/back?cancelled",
        }
        body = {
            "intent": intent,
            "purchase_units": [unit],
            "payment_source": {"paypal": {"experience_context": experience}},
        }
        return await self.call("POST", "/v2/checkout/orders", body, id)

    async def page(self, order: str, decision: str = "") -> tuple[int, str, str]:
        """Status, body and `Location` of the payer's page, or of its form sent with one of its buttons."""
        method, form = ("POST", {"decision": decision}) if decision else ("GET", None)
        url = f"{self.base}/checkoutnow?token={order}"
        async with self._http.request(method, url, data=form, allow_redirects=False) as answer:
            return answer.status, await answer.text(), answer.headers.get("Location", "")

    async def approved(self, reference: str, amount: str = "10.00", intent: str = "AUTHORIZE") -> str:
        order = str((await self.create(reference, amount, intent=intent))["id"])
        await self.page(order, "approve")
        return order

    async def authorized(self, reference: str, amount: str = "10.00") -> tuple[str, str]:
        """The ids of an order and of its authorization."""
        order = await self.approved(reference, amount)
        answer = await self.call("POST", f"/v2/checkout/orders/{order}/authorize", {})
        return order, answer["purchase_units"][0]["payments"]["authorizations"][0]["id"]

    async def move(self, path: str, amount: str = "", id: str = "", **more: Any) -> Answered:
        money = {"amount": {"currency_code": "EUR", "value": amount}} if amount else {}
        return await self.call("POST", f"/v2/payments/{path}", money | more, id)


class Wires:
    """All wires of one sandbox."""

    def __init__(self, http: aiohttp.ClientSession, sandbox: SandboxProcess) -> None:
        self.control = Control(http, sandbox)
        self.visa = Visa(http, sandbox)
        self.mastercard = Mastercard(http, sandbox)
        self.paypal = PayPal(http, sandbox)
