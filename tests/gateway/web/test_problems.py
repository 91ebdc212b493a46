"""Whatever is sent, the answer is a problem with a code, safe headers, and no word of what was sent."""

import asyncio
import json
import logging
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from gateway.books.engine import Outdated
from gateway.books.sessions import granted
from gateway.refusals import Refusal
from gateway.web.errors import CODE_OF
from gateway.web.raw_http import HEADERS
from tests.gateway.conftest import PASSWORD, Gateway

NUMBER = "4111111111111111"


async def test_unknown_path_and_method_are_problems(gateway: Gateway) -> None:
    missing = await gateway.ask("GET", "/v1/nothing")
    assert (missing.status, missing.code) == (404, "not_found")
    for method in ("PUT", "OPTIONS", "TRACE", "DELETE"):
        wrong = await gateway.ask(method, "/v1/accounts")
        assert (wrong.status, wrong.code) == (405, "method_not_allowed")
        assert set(wrong.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}


async def test_no_answer_sends_a_client_where_its_host_header_says(gateway: Gateway) -> None:
    answer = await gateway.ask("GET", "/v1//me", host="evil.example")
    assert (answer.status, answer.code) == (404, "not_found")
    assert b"evil" not in answer.body


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/me", None),
        ("POST", "/v1/login", {"email": "a@example.com", "password": "wrong"}),
        ("POST", "/v1/login/refresh", {"refresh_token": "wrong"}),
    ],
)
async def test_every_401_says_how_to_do_better(gateway: Gateway, method: str, path: str, body: Any) -> None:
    answer = await gateway.ask(method, path, body)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_a_problem_has_every_member_of_the_contract(gateway: Gateway) -> None:
    answer = await gateway.ask("POST", "/v1/accounts", {"email": 1})
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json.keys() == {"type", "title", "status", "detail", "code", "errors", "request_id"}
    assert answer.json["errors"] == [{"path": "$.email", "message": "Expected `str`, got `int`"}]


async def test_every_answer_has_the_security_headers(gateway: Gateway) -> None:
    for path in ("/healthz", "/v1/nothing", "/v1/me", "/openapi.json"):
        answer = await gateway.ask("GET", path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert "Server" not in answer.headers


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"email": NaN}',
        b'{"email": Infinity}',
        b'{"email": "a@example.com", "email": "b@example.com"}',
        b'\xff\xfe{"email": 1}',
        b'\xef\xbb\xbf{"email": "a"}',
        b'{"email": "\xff"}',
        b'{"email": "\\ud800"}',
        b'{"email": ' + b"[" * 17 + b"]" * 17 + b"}",
        b"[" * 30_000,
        b'{"a":' * 10_000,
        b'{"email": ' + b"9" * 5_000 + b"}",
        b'{"email": "a"} x',
        json.dumps({"email": "a"}).encode("utf-16"),
    ],
)
async def test_what_is_not_json_is_invalid_json(gateway: Gateway, raw: bytes) -> None:
    answer = await gateway.ask("POST", "/v1/accounts", raw)
    assert (answer.status, answer.code) == (400, "invalid_json")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"email": True}, "$.email"),
        ({"email": None}, "$.email"),
        ({"email": "nobody"}, "$.email"),
        ({"password": "too short"}, "$.password"),
        ({"password": "x" * 129}, "$.password"),
        ({"name": "  "}, "$.name"),
        ({"name": f"pay me: {NUMBER}"}, "$.name"),
        ({"phone": "12"}, "$.phone"),
        ({"locale": "english"}, "$.locale"),
        ({"email": f"{NUMBER}@example.com"}, "$.email"),
        ({"locale": "en-x-41111111-11111111"}, "$.locale"),
        ({"role": "owner"}, "$.role"),
        ({"rank": "admin"}, "$.rank"),
        ({NUMBER: "x"}, "$"),
    ],
)
async def test_a_wrong_field_is_named_and_never_echoed(
    gateway: Gateway, change: dict[str, Any], path: str
) -> None:
    body = {"email": "new@example.com", "password": PASSWORD, "name": "New"} | change
    answer = await gateway.ask("POST", "/v1/accounts", body)
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert [error["path"] for error in answer.json["errors"]] == [path]
    assert NUMBER not in answer.body.decode()
    assert "too short" not in answer.body.decode()


async def test_a_missing_field_is_named(gateway: Gateway) -> None:
    answer = await gateway.ask("POST", "/v1/accounts", {"email": "a@example.com"})
    assert answer.json["errors"] == [{"path": "$.name", "message": "Required, but missing."}]


async def test_a_body_over_64_kib_is_too_large(gateway: Gateway) -> None:
    answer = await gateway.ask("POST", "/v1/accounts", b'{"email": "' + b"x" * 65_536 + b'"}')
    assert (answer.status, answer.code) == (413, "body_too_large")


async def test_a_body_that_never_ends_is_a_408(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gateway.app.config, "BODY_TIMEOUT", 0.05)
    request = gateway.app.test_client().request("/v1/accounts", method="POST")
    async with request as connection:
        await connection.send(b'{"email":')
    response = await request.as_response()
    problem = json.loads(await response.get_data())
    assert (response.status_code, problem["code"]) == (408, "body_timeout")


async def test_a_bug_says_nothing_about_itself(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(gateway.runtime.rate_limits, "spend", broken)
    with caplog.at_level(logging.CRITICAL):
        answer = await gateway.ask("GET", "/openapi.json")
    assert (answer.status, answer.code) == (500, "internal")
    assert b"secret" not in answer.body


async def test_the_books_away_are_a_503_to_try_again(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await gateway.token("customer")

    async def full(*_: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(gateway.runtime.books, "read", full)
    with capture_logs() as logged:
        for _ in range(3):
            answer = await gateway.ask("GET", "/v1/me", who=token)
            assert (answer.status, answer.code) == (503, "unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
    said = [line["kind"] for line in logged if line["event"] == "dependency.unavailable"]  # the sweeps' too
    assert said == ["OperationalError"]


async def test_who_met_others_at_each_try_is_told_to_try_again(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, read = await gateway.token("customer"), gateway.runtime.books.read

    async def beaten(fn: Any, *args: Any) -> Any:
        if fn is granted:  # what the request asks first; what lasts beside it goes on
            raise Outdated("pay_1")
        return await read(fn, *args)

    monkeypatch.setattr(gateway.runtime.books, "read", beaten)
    answer = await gateway.ask("GET", "/v1/me", who=token)
    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


async def test_the_access_log_names_the_rule_and_nothing_that_was_sent(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await gateway.ask("GET", f"/v1/cards/{NUMBER}?number={NUMBER}", who="customer", traceparent=parent)
    await gateway.ask("GET", f"/{NUMBER}")
    written = ""
    async with asyncio.timeout(60):
        while '"unmatched"' not in written:  # lines are written together, a moment later
            await asyncio.sleep(0.01)
            written += capsys.readouterr().out
    lines = [json.loads(line) for line in written.splitlines() if '"request.answered"' in line]
    known, unknown = lines[-2:]
    assert (known["rule"], known["status"], known["trace"]) == ("/v1/cards/<card>", 404, parent[3:35])
    assert (unknown["rule"], unknown["method"]) == ("unmatched", "any")
    assert NUMBER not in str(lines)


async def test_a_trace_that_spells_a_card_number_is_replaced(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[Any] = []
    monkeypatch.setattr(gateway.runtime.log_lines, "add", lines.append)
    for trace, span in (
        (f"{NUMBER:0>32}", "1" * 16),
        (f"{NUMBER:0<32}", "1" * 16),
        (f"abc{NUMBER:7<29}", "1" * 16),
        ("1" * 32, NUMBER),
        ("1" * 24 + NUMBER[:8], NUMBER[8:] + "1" * 8),  # events keep both, with a dash between
    ):
        await gateway.ask("GET", "/healthz", traceparent=f"00-{trace}-{span}-01", tracestate=f"a={NUMBER}")
    assert len(lines) == 5
    assert NUMBER not in str(lines)
    assert "1" * 24 not in str(lines)


async def test_a_request_id_names_one_answer_in_header_problem_and_log(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [await gateway.ask("GET", path) for path in ("/healthz", "/v1/nothing", "/v1/me")]
    ids = [answer.headers["Request-Id"] for answer in answers]
    assert len(set(ids)) == 3
    assert [answer.json.get("request_id") for answer in answers] == [None, *ids[1:]]
    gateway.runtime.log_lines.write()
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "request_id" in line]
    assert [line["request_id"] for line in logged][-3:] == ids


async def test_every_refusal_of_the_domain_has_a_code() -> None:
    def below(kind: type[Refusal]) -> set[type[Refusal]]:
        return {deeper for child in kind.__subclasses__() for deeper in ({child} | below(child))}

    assert below(Refusal) == CODE_OF.keys()
