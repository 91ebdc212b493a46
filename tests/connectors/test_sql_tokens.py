"""What the process `sql` makes of a gateway that is away, slow or in trouble; a real one is asked in
`tests/gateway/routes/test_sql_token_client.py`.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from connectors import sql_tokens
from connectors.sql_tokens import STRANGERS_PER_S, SqlTokens, SqlTokensAway
from schemas.accounts import SqlReader
from schemas.settings import Settings

GOOD = "sqt_" + "g" * 43
READER = {"token_id": "stk_1", "account_id": "acc_1", "sees": "without_cards"}


def stranger(number: int) -> str:
    return f"sqt_{number:043}"


class Door:
    """A gateway that gives tokens to `sql`, and answers each check with `status`, after `wait_s`."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.wait_s = 0.0
        self.asked: list[str] = []

    async def grant(self, _request: web.Request) -> web.Response:
        return web.json_response({"access_token": "t", "token_type": "Bearer", "expires_in": 900})

    async def check(self, request: web.Request) -> web.Response:
        token = (await request.json())["token"]
        self.asked.append(token)
        await asyncio.sleep(self.wait_s)
        if self.status is not None:
            return web.json_response(
                {"code": "not_found" if self.status == 404 else "unavailable"}, status=self.status
            )
        return web.json_response(READER) if token == GOOD else web.json_response({"code": "not_found"}, status=404)


@pytest.fixture
async def door() -> AsyncIterator[tuple[Door, str]]:
    door, app = Door(), web.Application()
    app.router.add_post("/oauth/token", door.grant)
    app.router.add_post("/v1/sql-tokens/check", door.check)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0)
    await site.start()
    yield door, site.name
    await runner.cleanup()


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def asks(door: tuple[Door, str], tmp_path: Path, clock: Clock) -> AsyncIterator[SqlTokens]:
    client = SqlTokens(Settings(data=tmp_path, gateway=door[1]), clock)
    yield client
    await asyncio.to_thread(client.close)


async def check(asks: SqlTokens, token: str = GOOD) -> Any:
    return await asyncio.to_thread(asks.check, token)


async def test_answers_of_both_kinds_are_kept_for_a_second(
    door: tuple[Door, str], asks: SqlTokens, clock: Clock
) -> None:
    for _ in range(3):
        assert await check(asks) == msgspec.convert(READER, SqlReader)
        assert await check(asks, stranger(1)) is None
    assert sorted(door[0].asked) == [stranger(1), GOOD]
    clock.now += sql_tokens.KEPT_S
    door[0].status = 404
    assert await check(asks) is None


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_a_gateway_in_trouble_says_nothing_of_a_token(
    door: tuple[Door, str], asks: SqlTokens, status: int
) -> None:
    door[0].status = status
    with pytest.raises(SqlTokensAway, match="try again"):
        await check(asks)
    door[0].status = None  # trouble is not kept
    assert await check(asks) is not None


async def test_a_slow_gateway_is_waited_for_so_long(
    door: tuple[Door, str], asks: SqlTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_tokens, "ANSWERED_WITHIN_S", 0.2)
    door[0].wait_s = 0.6
    with pytest.raises(SqlTokensAway):
        await check(asks)


async def test_a_gateway_that_is_not_there_and_a_secret_that_is_not_are_the_same(tmp_path: Path) -> None:
    nobody = Settings(data=tmp_path, gateway="http://localhost:1")
    for settings in (nobody, msgspec.structs.replace(nobody, profile="production", data=tmp_path / "empty")):
        asks = SqlTokens(settings)
        with pytest.raises(SqlTokensAway):
            await check(asks)
        await asyncio.to_thread(asks.close)


async def test_a_flood_of_made_up_tokens_costs_the_gateway_little_and_keeps_no_friend_out(
    door: tuple[Door, str], asks: SqlTokens, clock: Clock
) -> None:
    assert await check(asks) is not None  # it was a stranger's itself

    async def flood(number: int) -> str:
        try:
            return str(await check(asks, stranger(number)))
        except SqlTokensAway:
            return "away"

    answers = await asyncio.gather(*[flood(number) for number in range(4 * STRANGERS_PER_S)])
    assert len(door[0].asked) == STRANGERS_PER_S
    assert (answers.count("None"), answers.count("away")) == (STRANGERS_PER_S - 1, 3 * STRANGERS_PER_S + 1)
    clock.now += 0.999
    door[0].asked.clear()
    assert await check(asks) is not None  # from what is kept
    clock.now += sql_tokens.KEPT_S
    await asyncio.gather(*[flood(number) for number in range(STRANGERS_PER_S)])
    assert await check(asks) is not None
    assert door[0].asked[-1] == GOOD


async def test_what_is_kept_is_no_token(asks: SqlTokens) -> None:
    await check(asks)
    assert GOOD not in str(vars(asks)["_asked"]) + str(vars(asks)["_friends"])
