"""The decorator that declares routes: its order of checks, its keys, and a client that hangs up."""

import asyncio
import json
from collections.abc import AsyncIterator

import msgspec
import pytest
from quart import Blueprint
from sqlalchemy import Connection
from werkzeug.datastructures import Headers

import gateway.app
from gateway.payments.captures import WrongState
from gateway.policy import wait_s
from gateway.rate_limits import LIMITS, RateLimit
from gateway.settings import GatewaySettings
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.idempotent import write_once
from tests.gateway.conftest import Gateway

NUMBER = "4111111111111111"


class Method(msgspec.Struct, forbid_unknown_fields=True):
    cvc: str = ""


class Question(msgspec.Struct, forbid_unknown_fields=True):
    number: int = 0
    payment_method: Method | None = None
    metadata: dict[str, str] = {}


class Counted(msgspec.Struct):
    count: int


class Bench:
    """Routes that exist for these tests, on a gateway that is otherwise the real one."""

    def __init__(self) -> None:
        self.count = 0
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.calls: list[Call[Question, None]] = []
        self.blueprint = Blueprint("bench", __name__)
        declare = self.blueprint.post
        shared = {"scope": "account", "limit": "bench", "body": Question, "answers": {201: Counted}}

        @declare("/bench/accepted")
        @endpoint(**shared, idempotency="accepted", codes=("wrong_state",))  # type: ignore[arg-type]
        async def accepted(call: Call[Question, None]) -> Reply:
            """Count."""
            return await self._answer(call)

        @declare("/bench/required")
        @endpoint(**shared, idempotency="required")  # type: ignore[arg-type]
        async def required(call: Call[Question, None]) -> Reply:
            """Count."""
            return await self._answer(call)

    async def _answer(self, call: Call[Question, None]) -> Reply:
        self.calls.append(call)
        self.begun.set()
        await self.go_on.wait()
        return await write_once(call, 201, self._effect, call.body.number)

    def _effect(self, _conn: Connection, number: int) -> Counted:
        if number < 0:
            raise WrongState
        self.count += 1
        return Counted(self.count)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    monkeypatch.setitem(LIMITS, "bench", RateLimit(per_second=1_000, burst=1_000))
    monkeypatch.setattr(gateway.app, "BLUEPRINTS", (*gateway.app.BLUEPRINTS, made.blueprint))
    return made


@pytest.fixture
async def running(bench: Bench, gateway_settings: GatewaySettings) -> AsyncIterator[Gateway]:
    app = gateway.app.create_app(gateway_settings)
    async with app.test_app():
        yield Gateway(app)


async def test_a_handler_gets_who_asks_what_and_where_it_belongs(running: Gateway, bench: Bench) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await running.ask("POST", "/bench/required", {"number": 7}, "replay", idempotency_key="k", traceparent=parent)
    (call,) = bench.calls
    assert call.caller.role == "customer"
    assert call.caller.limit_class == "import"
    assert "payments:import" in call.caller.scopes
    assert (call.body, call.key) == (Question(7), "k")
    assert (len(call.fingerprint), call.traceparent) == (32, parent)


async def test_a_required_key_must_be_there(running: Gateway) -> None:
    answer = await running.ask("POST", "/bench/required", {}, "customer")
    assert (answer.status, answer.code) == (400, "idempotency_key_missing")


async def test_an_empty_body_is_an_empty_object_where_nothing_is_required(running: Gateway) -> None:
    assert (await running.ask("POST", "/bench/accepted", b"", "customer")).status == 201


async def test_the_fingerprint_is_of_the_document_without_its_cvc(running: Gateway, bench: Bench) -> None:
    bodies = [
        b'{"number": 1, "payment_method": {"cvc": "111"}}',
        b'{"payment_method":{"cvc":"222"},"number":1}',
        b'{"number":2}',
        b'{"number": 1, "metadata": {"cvc": "pass"}}',
        b'{"number": 1, "metadata": {"cvc": "fail"}}',
    ]
    for body in bodies:
        await running.ask("POST", "/bench/required", body, "customer", idempotency_key="k")
    await running.ask("POST", "/bench/accepted", bodies[0], "customer", idempotency_key="k")
    first, same, *others = [call.fingerprint for call in bench.calls]
    assert first == same
    assert len({first, *others}) == 5


async def test_a_client_that_hangs_up_finds_the_answer_when_it_comes_back(running: Gateway, bench: Bench) -> None:
    bench.go_on.clear()
    headers = {"Authorization": f"Bearer {await running.token('customer')}", "Idempotency-Key": "gone"}
    request = running.app.test_client().request("/bench/accepted", method="POST", headers=headers)
    async with request as connection:
        await connection.send_complete()
        await bench.begun.wait()
        await connection.disconnect()
    bench.go_on.set()
    await asyncio.gather(*running.runtime.running)
    again = await running.ask("POST", "/bench/accepted", b"", "customer", idempotency_key="gone")
    assert (again.status, again.json, again.headers["Idempotent-Replayed"]) == (201, {"count": 1}, "true")


@pytest.mark.parametrize(("begun_s", "told_s"), [(0, 1), (1.9, 1), (2.1, 13), (14, 1), (14.9, 1), (20, 1)])
def test_who_asks_again_is_told_when_that_is_worth_it(begun_s: float, told_s: int) -> None:
    lease_us, now = 15_000_000, 50_000_000
    assert wait_s(now - int(begun_s * 1e6) + lease_us, now, lease_us) == told_s


async def test_what_is_no_key_is_refused_and_never_quoted(running: Gateway) -> None:
    for key in (NUMBER, f"order-{NUMBER}-7", "4111-1111-1111-1111", "cvc=123", "a b", "\u00e9", "x" * 256):
        answer = await running.ask("POST", "/bench/required", {}, "customer", idempotency_key=key)
        assert (answer.status, answer.code) == (422, "invalid_request"), key
        assert NUMBER not in answer.body.decode()


async def test_two_keys_or_two_tokens_are_none(running: Gateway) -> None:
    token = f"Bearer {await running.token('customer')}"
    for name, more, code in (
        ("Idempotency-Key", "b", "invalid_request"),
        ("Idempotency-Key", "a", "invalid_request"),
        ("Authorization", token, "unauthenticated"),
    ):
        headers = Headers({"Authorization": token, "Idempotency-Key": "a"})
        headers.add(name, more)
        client = running.app.test_client()
        answer = await client.post("/bench/required", data=b"{}", headers=headers)
        assert json.loads(await answer.get_data())["code"] == code


async def test_a_refusal_by_the_handler_is_not_stored(running: Gateway, bench: Bench) -> None:
    body = {"number": -1}
    for _ in range(2):
        answer = await running.ask("POST", "/bench/accepted", body, "customer", idempotency_key="no")
        assert answer.code == "wrong_state"
    assert len(bench.calls) == 2


async def test_two_accounts_may_use_the_same_key(running: Gateway, bench: Bench) -> None:
    for who in ("customer", "merchant"):
        answer = await running.ask("POST", "/bench/accepted", {}, who, idempotency_key="ours")
        assert "Idempotent-Replayed" not in answer.headers
    assert bench.count == 2


async def test_a_limit_is_per_account_and_its_class_wins(
    running: Gateway, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "bench", RateLimit(per_second=0.01, burst=2))
    statuses = [(await running.ask("POST", "/bench/accepted", {}, "customer")).status for _ in range(3)]
    assert statuses == [201, 201, 429]
    assert (await running.ask("POST", "/bench/accepted", {}, "merchant")).status == 201
    for _ in range(5):  # of the class `import`, whatever the route says
        assert (await running.ask("POST", "/bench/accepted", {}, "replay")).status == 201


async def test_services_and_staff_have_limits_of_their_own(
    running: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One service asks for all customers; importers and dashboards act in the name of staff."""
    for shared in ("default", "public"):
        monkeypatch.setitem(LIMITS, shared, RateLimit(per_second=0.01, burst=2))
    await asyncio.gather(*[running.ask("GET", "/oauth/jwks") for _ in range(3)])
    service = await running.service_token()
    path = "/v1/accounts/acc_x/recipient"
    assert [(await running.ask("GET", path, who=service)).status for _ in range(5)] == [404] * 5
    for who in ("analyst", "admin"):
        assert [(await running.ask("GET", "/v1/me", who=who)).status for _ in range(5)] == [200] * 5
    assert [(await running.ask("GET", "/v1/me", who="customer")).status for _ in range(3)] == [200, 200, 429]


async def test_forged_tokens_are_limited_before_their_signature_is_checked(
    running: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the /64; a token that was good before passes, for its signature is known."""
    monkeypatch.setitem(LIMITS, "refused", RateLimit(per_second=0.01, burst=3))
    token, checked = await running.token("customer"), []
    verify = running.runtime.tokens._verify_signature
    monkeypatch.setattr(running.runtime.tokens, "_verify_signature", lambda *a: checked.append(a) or verify(*a))
    here, elsewhere = "2001:db8:1:2::1", "2001:db8:1:3::1"
    assert (await running.ask("GET", "/v1/me", who=token, ip=here)).status == 200
    flood = [running.ask("GET", "/v1/me", who=forged(token, n), ip=f"2001:db8:1:2::{n}") for n in range(50)]
    statuses = [answer.status for answer in await asyncio.gather(*flood)]
    assert (statuses.count(401), statuses.count(429), len(checked)) == (3, 47, 1 + 3)
    assert (await running.ask("GET", "/v1/me", who=token, ip=here)).status == 200
    assert (await running.ask("GET", "/v1/me", who=forged(token, 99), ip=elsewhere)).status == 401


def forged(token: str, number: int) -> str:
    """The token with another signature."""
    head, claims, _ = token.split(".")
    return f"{head}.{claims}.{number:086d}"


async def test_public_routes_are_limited_by_the_64(running: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS, "public", RateLimit(per_second=0.01, burst=2))
    answers = [await running.ask("GET", "/oauth/jwks", ip=f"2001:db8::{n}:1") for n in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert (await running.ask("GET", "/oauth/jwks", ip="2001:db8:0:1::1")).status == 200


async def test_requests_without_a_good_token_are_limited_by_address(
    running: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "refused", RateLimit(per_second=0.01, burst=2))
    statuses = [(await running.ask("GET", "/v1/me", who="nonsense")).status for _ in range(3)]
    assert statuses == [401, 401, 429]
    assert (await running.ask("GET", "/v1/me", who="customer", ip="192.0.2.1")).status == 200
