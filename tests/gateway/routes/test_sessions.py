"""One's own sessions: listed, ended, and of staff over once they idle."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.books import sessions
from gateway.books.sessions import NOTED_US, SessionRow
from schemas.ids import new_id
from schemas.times import now_micros, steady_micros
from tests.gateway.conftest import PASSWORD, Gateway
from tests.patience import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def listed(gateway: Gateway, token: str) -> list[dict[str, Any]]:
    return list((await gateway.ask("GET", "/v1/me/sessions", who=token)).json["data"])


async def account_of(gateway: Gateway, token: str) -> str:
    return str((await gateway.ask("GET", "/v1/me", who=token)).json["id"])


async def test_sessions_are_told_apart_by_their_device(gateway: Gateway) -> None:
    email = f"{new_id('x')}@example.com"
    here = await gateway.sign_up(email)
    await gateway.log_in(email, PASSWORD, user_agent=FIREFOX)
    newest, mine = await listed(gateway, here)
    assert newest.keys() == {
        "id",
        "object",
        "kind",
        "device",
        "client",
        "second_factor",
        "created_at",
        "last_used_at",
        "current",
    }
    assert (newest["device"], newest["kind"], newest["client"]) == ("Firefox on Linux", "login", None)
    assert [newest["current"], mine["current"]] == [False, True]


async def test_one_that_is_ended_is_refused_from_the_next_request_on(gateway: Gateway) -> None:
    email = f"{new_id('x')}@example.com"
    here, there = [await gateway.sign_up(email), (await gateway.log_in(email, PASSWORD)).json["access_token"]]
    session_id = (await listed(gateway, there))[0]["id"]
    stranger = await gateway.sign_up()
    assert (await gateway.ask("DELETE", f"/v1/me/sessions/{session_id}", who=stranger)).code == "not_found"
    assert (await gateway.ask("GET", "/v1/me", who=there)).status == 200
    assert (await gateway.ask("DELETE", f"/v1/me/sessions/{session_id}", who=here)).status == 204
    assert (await gateway.ask("GET", "/v1/me", who=there)).code == "unauthenticated"
    assert (await gateway.ask("DELETE", f"/v1/me/sessions/{session_id}", who=here)).code == "not_found"
    assert [found["id"] for found in await listed(gateway, here)] != [session_id]


async def test_with_a_browser_the_apps_that_began_in_it_end(gateway: Gateway) -> None:
    token, books = await gateway.sign_up(), gateway.runtime.books
    account_id = await account_of(gateway, token)
    browser_id, app_id = new_id("ses"), new_id("ses")
    await books.write(begin, SessionRow(id=browser_id, account_id=account_id, created_at=1))
    app = SessionRow(
        id=app_id, account_id=account_id, created_at=1, kind="app", client_id="x", parent_id=browser_id
    )
    await books.write(begin, app)
    assert {app_id, browser_id} < {found["id"] for found in await listed(gateway, token)}
    assert (await gateway.ask("DELETE", f"/v1/me/sessions/{browser_id}", who=token)).status == 204
    assert await books.read(sessions.granted, app_id) is None


async def test_to_prove_and_to_end_the_others_goes_for_all_of_one_browser(gateway: Gateway) -> None:
    token, books = await gateway.sign_up(), gateway.runtime.books
    account_id = await account_of(gateway, token)
    one, other = [[new_id("ses") for _ in range(3)] for _ in range(2)]
    for browser_id, *apps in (one, other):
        await books.write(begin, SessionRow(id=browser_id, account_id=account_id, created_at=1))
        for app_id in apps:
            row = SessionRow(id=app_id, account_id=account_id, created_at=1, kind="app", parent_id=browser_id)
            await books.write(begin, row)
    await books.write(sessions.prove, one[1], now_micros())
    await books.write(sessions.revoke_others, account_id, one[2])
    kept = [await books.read(sessions.granted, session_id) for session_id in one]
    assert [found is not None and found.second_factor_at is not None for found in kept] == [True] * 3
    assert [await books.read(sessions.granted, session_id) for session_id in other] == [None] * 3


async def test_a_use_is_noted_once_a_minute(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, pass_time: Callable[[float], None]
) -> None:
    token, books, noted = await gateway.sign_up(), gateway.runtime.books, list[str]()
    write = books.write

    async def watched(fn: Any, *args: Any, **kwargs: Any) -> Any:
        noted.extend([fn.__name__] if fn is sessions.use else [])
        return await write(fn, *args, **kwargs)

    monkeypatch.setattr(books, "write", watched)
    for expected in (0, 1, 2):
        for _ in range(10):
            await gateway.ask("GET", "/v1/me", who=token)
        await eventually(lambda: not gateway.runtime.running)
        assert len(noted) == expected
        pass_time(NOTED_US / 1_000_000)


async def test_staff_who_idle_for_fifteen_minutes_log_in_again(
    gateway: Gateway, pass_time: Callable[[float], None]
) -> None:
    grants = {who: (await gateway.log_in(f"{who}@example.com")).json for who in ("customer", "analyst", "admin")}
    pass_time(8 * 60)
    for who, grant in grants.items():
        if who != "admin":
            await gateway.ask("GET", "/v1/me", who=grant["access_token"])
    await eventually(lambda: not gateway.runtime.running)
    pass_time(8 * 60)
    answers = {who: await refresh(gateway, grant) for who, grant in grants.items()}
    assert answers == {"customer": 200, "analyst": 200, "admin": 401}


@pytest.mark.parametrize(("who", "hours", "status"), [("analyst", 12, 401), ("customer", 12, 200)])
async def test_staff_log_in_again_after_twelve_hours(
    gateway: Gateway, pass_time: Callable[[float], None], who: str, hours: int, status: int
) -> None:
    grant = (await gateway.log_in(f"{who}@example.com")).json
    pass_time(hours * 3600)
    await gateway.runtime.books.write(used_now)  # as if it had never idled
    assert await refresh(gateway, grant) == status


async def refresh(gateway: Gateway, grant: dict[str, str]) -> int:
    return (await gateway.ask("POST", "/v1/login/refresh", {"refresh_token": grant["refresh_token"]})).status


def begin(conn: Connection, session: SessionRow) -> None:
    sessions.start(conn, session, session.id.encode(), steady_micros() + 1_000_000_000)


def used_now(conn: Connection) -> None:
    conn.exec_driver_sql(f"UPDATE sessions SET last_used_at = {steady_micros()}")
