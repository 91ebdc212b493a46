"""Somebody with an account and an authenticator app, whose phone's clock a test moves by whole steps."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection

from gateway.books.persons import lookup
from gateway.identity.totp import STEP_US, code_at, unseal
from gateway.rate_limits import LIMITS, RateLimit
from schemas.times import now_micros
from tests.gateway.conftest import PASSWORD, Answer, Gateway
from tests.patience import eventually

HOME, ELSEWHERE = "198.51.100.1", "203.0.113.9"
WRONG = "000000"


class PhoneClock:
    """The clock that codes go by. It stands still, in the middle of a step."""

    def __init__(self) -> None:
        self.step = now_micros() // STEP_US

    def micros(self) -> int:
        return self.step * STEP_US + STEP_US // 2


def stop_clock(monkeypatch: pytest.MonkeyPatch) -> PhoneClock:
    """The phone's clock and the gateway's, where it reads codes."""
    clock = PhoneClock()
    monkeypatch.setattr("gateway.identity.second_factors.now_micros", clock.micros)
    return clock


def free_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """No limit of requests is in the way: what is counted is wrong passwords and codes."""
    for kind in ("login", "login_email", "login_known", "strangers", "accounts"):
        monkeypatch.setitem(LIMITS, kind, RateLimit(10_000, 10_000))


class Holder:
    """An account; `token` is of its newest login, `device` the cookie of it."""

    def __init__(self, gateway: Gateway, clock: PhoneClock) -> None:
        self.gateway, self.clock = gateway, clock
        self.email, self.token, self.device = f"{uuid4().hex}@example.com", "", ""
        self.secret, self.recovery_codes = b"", list[str]()

    async def sign_up(self, role: str = "customer") -> "Holder":
        """Have an account, with a second factor that is confirmed by the code of the step before."""
        body = {"email": self.email, "password": PASSWORD, "name": "Somebody"}
        assert (await self.gateway.ask("POST", "/v1/accounts", body)).status == 201
        await self.gateway.runtime.books.write(_appoint, self.email, role)
        self.taken(await self.log_in(ip=HOME))
        await self.set_up()
        assert (await self.confirm(self.code(-1))).status == 204
        return self

    async def set_up(self, **body: str) -> Answer:
        """Ask for a second factor, and put it into the app."""
        answer = await self.gateway.ask("POST", "/v1/me/totp", body, self.token)
        if answer.status == 200:
            self.recovery_codes = answer.json["recovery_codes"]
            account_id, sealed = await self.gateway.runtime.books.read(_sealed, self.email)
            self.secret = unseal(self.gateway.runtime.key, account_id, sealed) or b""
        return answer

    async def confirm(self, otp: str) -> Answer:
        return await self.gateway.ask("POST", "/v1/me/totp/confirm", {"otp": otp}, self.token)

    def code(self, off: int = 0) -> str:
        """What the app shows, or showed or will show so many steps away."""
        return code_at(self.secret, self.clock.step + off)

    async def log_in(
        self, otp: str | None = None, *, password: str = PASSWORD, ip: str = ELSEWHERE, device: str = ""
    ) -> Answer:
        body = {"email": self.email, "password": password, "otp": otp}
        more: dict[str, Any] = {"cookie": f"sluice_device={device}"} if device else {}
        return await self.gateway.ask("POST", "/v1/login", body, ip=ip, **more)

    def taken(self, answer: Answer) -> None:
        """Go on with the session that a login began."""
        assert answer.status == 200, answer.body
        self.token = answer.json["access_token"]
        self.device = answer.headers["Set-Cookie"].partition(";")[0].removeprefix("sluice_device=")

    async def guess(self, times: int, ip: str = ELSEWHERE, device: str = "") -> None:
        """Wrong codes, one after the other, counted on return."""
        for _ in range(times):
            assert (await self.log_in(WRONG, ip=ip, device=device)).code == "otp_required"
        await self.counted()

    async def counted(self) -> None:
        """Wait until everything is in the books: no answer waits for that."""
        await eventually(lambda: not self.gateway.runtime.running)

    async def status(self, path: str = "/v1/me") -> int:
        """What the session is answered."""
        return (await self.gateway.ask("GET", path, who=self.token)).status


def _appoint(conn: Connection, email: str, role: str) -> None:
    conn.exec_driver_sql(
        f"UPDATE accounts SET role = '{role}', email_confirmed_at = 1 WHERE email_key = '{lookup(conn, email)}'"
    )


def _sealed(conn: Connection, email: str) -> tuple[str, bytes]:
    of = f"(SELECT id FROM accounts WHERE email_key = '{lookup(conn, email)}')"
    row = conn.exec_driver_sql(f"SELECT account_id, sealed FROM second_factors WHERE account_id = {of}").one()
    return row.account_id, bytes(row.sealed)
