"""The load: payments in a closed loop of 32, or paced, by the client that `sluice replay` uses."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from time import perf_counter

from benchmarks.figures import Load
from connectors.gateway import RETRY_FOR_S, GatewayClient, PasswordLogin
from sluice.dataset import DatasetTransaction
from sluice.freshness import Freshness, quantiles
from sluice.replay import AT_ONCE, ReplayRun, send_all
from sluice.settings import ReplaySettings

CARDS = 400
MERCHANTS = 40
BEGAN = datetime(2020, 1, 1, tzinfo=UTC)
APART = timedelta(minutes=2)  # in the payments' own time: too slow for a velocity rule
NEVER = timedelta(days=36_500)


def transactions(start: int = 0) -> Iterator[DatasetTransaction]:
    """Ordinary purchases without end, from the one of that number; each card pays again after half a day."""
    for n in count(start):
        card, merchant = n % CARDS, (n * 7) % MERCHANTS
        yield DatasetTransaction(n, BEGAN + n * APART, card, merchant, 1_000 + (n * 37) % 5_000, None)


class PaymentLoad:
    """Payments through the whole stack, from number `start`; cards and merchants are made once."""

    def __init__(
        self, settings: ReplaySettings, payer: GatewayClient, admin: GatewayClient, start: int = 0
    ) -> None:
        self._settings = settings
        self._work = ReplayRun(payer, admin, admin, "bench", "EUR")
        self._transactions = transactions(start)

    async def prepare(self) -> None:
        """Make the cards and the merchants."""
        await self._work.prepare([t for t, _ in zip(transactions(), range(CARDS * MERCHANTS), strict=False)])

    async def first(self) -> None:
        """Send one payment, as soon as the gateway is ready."""
        transaction = next(self._transactions)
        await self._work.prepare([transaction])
        await self._work.pay(transaction)

    def latencies(self) -> list[float]:
        """Milliseconds of each payment of the last `send`."""
        return list(self._work.latencies)

    async def send(self, number: int, rate: float | None = None) -> Load:
        """Send `number` payments, as fast as answers come or at `rate` per second."""
        some = [next(self._transactions) for _ in range(number)]
        self._work.latencies.clear()
        began = perf_counter()
        async with Freshness(self._settings) as freshness:
            await send_all(self._work, some, rate, NEVER, freshness.answered)
            seconds = perf_counter() - began
        return Load(
            number,
            round(number / seconds, 1),
            quantiles(self._work.latencies),
            freshness.verdict_ms,
            quantiles(freshness.ages_ms),
        )


async def post_bare(url: str, number: int) -> Load:
    """The same closed loop against the bare POST."""
    latencies: list[float] = []
    slots = asyncio.Semaphore(AT_ONCE)
    body = {"amount": 1_000, "currency": "EUR", "merchant": "0" * 30, "payment_method": {"card": "0" * 30}}

    async def one(client: GatewayClient, key: int) -> None:
        async with slots:
            began = perf_counter()
            await client.post("/v1/payments", body, str(key))
            latencies.append((perf_counter() - began) * 1000)

    login = PasswordLogin("bare@example.com", "bare")
    async with GatewayClient(url, login, retry_for_s=RETRY_FOR_S) as client:
        await client.post("/v1/payments", body, "first")
        began = perf_counter()
        await asyncio.gather(*[one(client, key) for key in range(number)])
        seconds = perf_counter() - began
    return Load(number, round(number / seconds, 1), quantiles(latencies))
