"""The gateway's JSON as the pages ask for it, without a gateway: for the looks of pages, and for what is refused.

That the real one answers in these shapes is shown by `test_login.py`, which runs it.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

AT = "2026-11-27T07:00:00Z"
NO_ANSWER = 0  # as a status: the connection is dropped


def account(role: str, **changes: Any) -> dict[str, Any]:
    """An account that the token `<role>` belongs to."""
    name = {"admin": "Ada Admin", "analyst": "Ana Analyst"}.get(role, "Casey Customer")
    made = {"id": f"acc_{role}", "role": role, "name": name, "email": f"{role}@example.com", "created_at": AT}
    return made | {"email_confirmed": True, "scopes": ["payments:read", "reviews:write"], **changes}


def review(number: int, **changes: Any) -> dict[str, Any]:
    """An open case."""
    made = {"id": f"rev_{number}", "kind": "held", "payment": f"pay_{number}", "amount": 28344 + number}
    return made | {"currency": "GBP", "reasons": ["card_testing", "new_device"], "opened_at": AT, **changes}


def held(number: int, by: str = "acc_analyst", **changes: Any) -> dict[str, Any]:
    """An open case that an account has taken, for long."""
    return review(number, assigned_to=by, assigned_until="2099-01-01T00:00:00Z", **changes)


def payment(number: int, **changes: Any) -> dict[str, Any]:
    """Its payment."""
    risk: dict[str, Any] = {
        "outcome": "review",
        "source": "model",
        "score": 0.58,
        "reasons": ["card_testing"],
        "model": "m1",
    }
    risk["counterfactual"] = {"amount": 123_999, "currency": "GBP"}
    made = {"id": f"pay_{number}", "status": "pending", "state": "in_review", "amount": 28344 + number}
    made |= {"currency": "GBP", "customer": "acc_casey", "merchant": "acc_shop", "capture": "automatic"}
    made |= {"payment_method": {"type": "card", "brand": "visa", "last4": "4242", "bin": "411111"}}
    made |= {"processor": "visa", "created_at": AT, "updated_at": AT}
    return made | {"attempts": 1, "risk": risk, **changes}


def called(status: str, kind: str = "refund", **changes: Any) -> dict[str, Any]:
    """A call to a processor of its payment."""
    made = {"id": "op_1", "kind": kind, "processor": "visa", "status": status, "amount": 500, "currency": "EUR"}
    ended = {} if status == "unknown" else {"finished_at": AT, "milliseconds": 38.0}
    return made | {"created_at": AT, "refund": "ref_1", "processor_reference": "vis_77"} | ended | changes


def seller(role: str) -> str:
    """The token of who acts as `role` for the merchant `acc_shop`, formed as access tokens are."""
    return f"eyJ{role}.{'x' * 24}.y"


class Lines:
    """An answer of lines of JSON, each sent as it comes."""

    def __init__(self, steps: Iterable[Any]) -> None:
        self.steps = steps


class GatewayDouble:
    """What it answers by method and path, what it was asked, and under which keys.

    A token is a role's name, or a `seller`'s.
    """

    def __init__(self) -> None:
        self.url = ""
        self.forget()

    def forget(self) -> None:
        """Be as at first: it knows people alone."""
        self.accounts = {role: account(role) for role in ("customer", "analyst", "admin")}
        for role in ("owner", "operator", "viewer"):
            own = {"id": "acc_shop", "name": "Merle's Shop", "role": role}
            self.accounts[seller(role)] = account("merchant", id=f"acc_{role}", name=role.title(), merchant=own)
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.does: dict[tuple[str, str], Callable[[Any], tuple[int, Any]]] = {}  # what changes the answers
        self.asked: list[tuple[str, str, Any]] = []
        self.keys: list[str] = []

    def say(self, method: str, path: str, body: Any, status: int = 200) -> None:
        """Answer this from now on; a list is a page of one."""
        self.answers[method, path] = (
            status,
            {"data": body, "next_cursor": None} if isinstance(body, list) else body,
        )

    def refuse(self, method: str, path: str, status: int, code: str, **more: Any) -> None:
        """Answer with a problem from now on."""
        self.say(method, path, {"code": code, **more}, status)

    def open_case(self, number: int = 1) -> None:
        """A case in the queue, with all that the page asks about it."""
        self.say("GET", "/v1/reviews", [review(number)])
        self.say("GET", f"/v1/reviews/rev_{number}", review(number))
        self.say("PUT", f"/v1/reviews/rev_{number}/assignment", held(number))
        self.say("DELETE", f"/v1/reviews/rev_{number}/assignment", None, 204)
        self.say("GET", f"/v1/payments/pay_{number}", payment(number))
        self.say("GET", f"/v1/payments/pay_{number}/events", [])
        self.say("GET", f"/v1/payments/pay_{number}/operations", [])
        self.say("GET", "/v1/payments", [payment(number)])

    def open_queue(self, count: int) -> None:
        """So many cases, which leave the queue as they are decided, one by one or together."""
        waiting = dict.fromkeys(range(1, count + 1))

        def show() -> None:
            self.say("GET", "/v1/reviews", [review(number) for number in waiting])

        def decide(number: int, body: Any) -> tuple[int, Any]:
            waiting.pop(number, None)
            decided = review(number, decision=body["decision"], reason=body["reason"], decided_by="acc_analyst")
            self.say("GET", f"/v1/reviews/rev_{number}", decided)
            show()
            return 200, decided

        def decide_all(body: Any) -> tuple[int, Any]:
            for review_id in body["ids"]:
                decide(int(review_id.removeprefix("rev_")), body)
            return 200, {"data": [{"id": review_id, "status": 200} for review_id in body["ids"]]}

        for number in waiting:
            self.open_case(number)
            self.does["POST", f"/v1/reviews/rev_{number}/decision"] = partial(decide, number)
        self.does["POST", "/v1/reviews/decisions"] = decide_all
        show()

    def show_payment(
        self, number: int = 1, calls: tuple[Any, ...] = (), refunds: tuple[Any, ...] = (), **changes: Any
    ) -> None:
        """A payment with all that its page asks about it."""
        event = {"type": "payment.captured", "state": "captured", "status": "succeeded", "recorded_at": AT}
        self.say("GET", f"/v1/payments/pay_{number}", payment(number, **changes))
        self.say("GET", f"/v1/payments/pay_{number}/events", [event])
        self.say("GET", f"/v1/payments/pay_{number}/operations", [*calls])
        self.say("GET", "/v1/refunds", [*refunds])

    def answer(self, method: str, target: str, token: str, body: Any) -> tuple[int, Any]:
        """The status and the body."""
        at = urlsplit(target)
        self.asked.append((method, at.path, body if body is not None else dict(parse_qsl(at.query))))
        if at.path == "/.well-known/openid-configuration":
            return 200, {}
        if token not in self.accounts:
            return 401, {"code": "unauthenticated"}
        if at.path == "/v1/me":
            return 200, self.accounts[token]
        if (method, at.path) in self.does:
            return self.does[method, at.path](body)
        return self.answers.get((method, at.path), (404, {"code": "not_found"}))

    def acts(self) -> list[tuple[str, str, Any]]:
        """What it was asked to do, without what it was asked to show."""
        return [asked for asked in self.asked if asked[0] != "GET"]


def _handler(double: GatewayDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _reply(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if key := self.headers.get("Idempotency-Key"):
                double.keys.append(key)
            is_file = self.headers.get("Content-Type") == "text/csv"
            given = sent.decode() if is_file else json.loads(sent) if sent else None
            status, body = double.answer(self.command, self.path, token, given)
            if isinstance(body, Lines):
                self._send_lines(body)
                return
            if status == NO_ANSWER:
                self.close_connection = True
                return
            written = b"" if status == 204 else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(written)))
            self.end_headers()
            self.wfile.write(written)

        def _send_lines(self, lines: Lines) -> None:
            """Until the end of the connection, which tells that there are no more."""
            self.close_connection = True
            self.send_response(200)
            self.end_headers()
            with suppress(ConnectionError):  # who hung up
                for step in lines.steps:
                    self.wfile.write(json.dumps(step).encode() + b"\n")

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _reply  # noqa: N815 - the names that it looks for

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def running() -> Iterator[GatewayDouble]:
    """A double that listens."""
    double = GatewayDouble()
    server = ThreadingHTTPServer(("localhost", 0), _handler(double))
    server.daemon_threads = True
    double.url = f"http://localhost:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
