"""`connectors/sql_tokens.py`, as the process `sql` has it, at a served gateway."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from connectors import sql_tokens
from connectors.sql_tokens import SqlTokens, SqlTokensAway
from schemas.accounts import SqlReader
from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_sql_tokens import made

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODYS = "sqt_" + "a" * 43
STRANGE = ("", "sqt_", NOBODYS + "a", NOBODYS + "\n", "Bearer x", "sqt_" + "é" * 43)


class Clock:
    """By which answers are kept: seconds."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture(loop_scope="module")
async def client(served: Gateway, clock: Clock) -> AsyncIterator[SqlTokens]:
    asks = SqlTokens(served.runtime.settings, clock)
    yield asks
    await asyncio.to_thread(asks.close)


async def check(client: SqlTokens, token: str) -> SqlReader | None:
    """What a thread of DuckDB is told."""
    return await asyncio.to_thread(client.check, token)


async def test_a_token_is_told_of_until_a_second_after_its_end(
    served: Gateway, client: SqlTokens, clock: Clock
) -> None:
    token = await made(served, "analyst")
    told = await check(client, token["token"])
    assert told == SqlReader(token["id"], token["account"], "all")
    assert (await served.ask("DELETE", f"/v1/sql-tokens/{token['id']}", who="analyst")).status == 204
    clock.at += 0.99 * sql_tokens.KEPT_S
    assert await check(client, token["token"]) == told
    clock.at += 0.01 * sql_tokens.KEPT_S
    assert await check(client, token["token"]) is None


async def test_a_merchants_token_says_whose_payments(served: Gateway, client: SqlTokens) -> None:
    token = await made(served, "merchant")
    told = await check(client, token["token"])
    assert told is not None
    assert (told.sees, told.merchant_id) == ("own", token["account"])


@pytest.mark.parametrize(
    "token", [NOBODYS, "", "sqt_", NOBODYS + "a", NOBODYS + "\n", "Bearer x", "sqt_" + "é" * 43]
)
async def test_what_is_none_of_ours_is_nobodys(client: SqlTokens, token: str) -> None:
    assert await check(client, token) is None


async def test_many_threads_at_once_ask_once(served: Gateway, client: SqlTokens) -> None:
    token = (await made(served, "admin"))["token"]
    before = _asked(served)
    answers = await asyncio.gather(*[check(client, token) for _ in range(32)])
    assert {answer and answer.sees for answer in answers} == {"all"}
    assert 1 <= _asked(served) - before <= 2  # a busy machine may take longer than the second an answer is kept


async def test_a_wrong_secret_is_nobodys_word_on_a_token(served: Gateway) -> None:
    settings = served.runtime.settings
    path = settings.secrets() / sql_tokens.SECRET_FILE
    right = path.read_bytes()
    path.write_bytes(b"wrong")
    asks = SqlTokens(settings)
    try:
        with pytest.raises(SqlTokensAway):
            await check(asks, NOBODYS)
    finally:
        path.write_bytes(right)
        await asyncio.to_thread(asks.close)


def _asked(served: Gateway) -> float:
    name, labels = "sluice_http_requests_total", {"rule": "/v1/sql-tokens/check"}
    samples = [sample for metric in served.runtime.metrics.collect() for sample in metric.samples]
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())
