"""Customers, a merchant and staff who send plain requests to a running stack, each on its own connection."""

import http.client
import json
import socket
from typing import Any
from uuid import uuid4

import msgspec

from schemas.cards import check_digit
from tests.end_to_end.stack import Stack

PASSWORD = "sluice-demo-only"
TIMEOUT_S = 60


class Answer(msgspec.Struct):
    """The answer to a request."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body) if self.body else None


class Shop:
    """Accounts are named by the first part of their e-mail address; `customer` pays unless told otherwise."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.passwords: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._cards: dict[tuple[str, str], str] = {}

    def ask(
        self, method: str, path: str, body: Any = None, who: str = "", key: str = "", port: str = "gateway"
    ) -> Answer:
        """One request on a connection of its own; a `body` that is not bytes goes as JSON."""
        line = http.client.HTTPConnection("localhost", self.stack.settings.port(port), timeout=TIMEOUT_S)
        try:
            line.request(method, path, encoded(body), self.headers(who, key))
            answer = line.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            line.close()

    def headers(self, who: str, key: str) -> dict[str, str]:
        """The headers of a request of `who`, with a key where one is given."""
        sent = {"Content-Type": "application/json"}
        if who:
            sent["Authorization"] = f"Bearer {self._token(who)}"
        return sent | ({"Idempotency-Key": key} if key else {})

    def order(
        self, card: str, amount: int = 1000, *, who: str = "customer", cvc: str = "100", **fields: Any
    ) -> dict[str, Any]:
        """The body of a payment by a card (its number) of `who` to the demo's merchant."""
        method = {"type": "card", "card": self.card(card, who), "cvc": cvc}
        merchant = self.account("merchant")
        return {"amount": amount, "currency": "EUR", "merchant": merchant, "payment_method": method} | fields

    def pay(self, card: str, amount: int = 1000, *, key: str = "", **fields: Any) -> Answer:
        """Pay by a card, given by its number."""
        body = self.order(card, amount, **fields)
        return self.ask("POST", "/v1/payments", body, "customer", key or uuid4().hex)

    def card(self, number: str, who: str = "customer") -> str:
        """The token of a card."""
        if (number, who) not in self._cards:
            body = {"number": number, "exp_month": 1, "exp_year": 2039}
            answer = self.ask("POST", "/v1/cards", body, who)
            assert answer.status == 201, answer
            self._cards[number, who] = answer.json["id"]
        return self._cards[number, who]

    def account(self, who: str) -> str:
        """The id of an account."""
        return str(self.ask("GET", "/v1/me", who=who).json["id"])

    def payment(self, id: str) -> dict[str, Any]:
        """A payment as an admin sees it."""
        found: dict[str, Any] = self.ask("GET", f"/v1/payments/{id}", who="admin").json
        return found

    def fault(self, processor: str, fault: str, **settings: Any) -> None:
        """Order a fault of a processor."""
        body = {"processor": processor, "fault": fault, **settings}
        answer = self.ask("POST", "/_sandbox/faults", body, port="sandbox")
        assert answer.status < 300, answer

    def faults(self) -> list[dict[str, Any]]:
        """The faults that no call has met yet."""
        found: list[dict[str, Any]] = self.ask("GET", "/_sandbox/faults", port="sandbox").json["data"]
        return found

    def clear_faults(self) -> None:
        """Remove all faults."""
        self.ask("DELETE", "/_sandbox/faults", port="sandbox")

    def ledger(self) -> list[dict[str, Any]]:
        """The rows of the processors' own records that they applied."""
        rows, after = [], ""
        while True:
            page = self.ask("GET", f"/_sandbox/ledger?after={after}", port="sandbox").json
            rows += [row for row in page["data"] if row["status"] == "applied"]
            if page["next_cursor"] is None:
                return rows
            after = page["next_cursor"]

    def mails(self) -> list[dict[str, Any]]:
        """The messages that the catcher received."""
        found: list[dict[str, Any]] = self.ask("GET", "/messages", port="catcher").json["data"]
        return found

    def hang_up_on(self, body: dict[str, Any], key: str) -> socket.socket:
        """Send a payment and return the connection, to be closed before the answer."""
        line = socket.create_connection(("localhost", self.stack.settings.port("gateway")), timeout=TIMEOUT_S)
        content = json.dumps(body).encode()
        headers = self.headers("customer", key) | {"Host": "localhost", "Content-Length": str(len(content))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        line.sendall(f"POST /v1/payments HTTP/1.1\r\n{head}\r\n".encode() + content)
        return line

    def _token(self, who: str) -> str:
        if who not in self._tokens:
            credentials = {"email": f"{who}@example.com", "password": self.passwords.get(who, PASSWORD)}
            self._tokens[who] = self.ask("POST", "/v1/login", credentials).json["access_token"]
        return self._tokens[who]


def encoded(body: Any) -> bytes | None:
    """A body as it goes over the wire."""
    return body if isinstance(body, bytes | None) else msgspec.json.encode(body)


def number(brand: str, last: int) -> str:
    """A card number of a test BIN that no magic declines and nobody else uses."""
    payload = {"visa": "411111", "mastercard": "555555"}[brand] + f"{last:09d}"
    return payload + check_digit(payload)
