"""`sluice replay`: a file of transactions through the HTTP API, as real payments."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime, timedelta
from heapq import heappop, heappush
from pathlib import Path
from secrets import token_hex
from time import perf_counter
from typing import Any

import click
import msgspec

from connectors.gateway import (
    RETRY_FOR_S,
    GatewayClient,
    GatewayRefused,
    GatewayUnavailable,
    PasswordLogin,
)
from schemas.cards import find_numbers
from schemas.settings import load
from schemas.times import now
from sluice.cli import CURRENCY, DURATION
from sluice.dataset import DatasetTransaction, NotTransactions, card_number, open_transactions
from sluice.follow_ups import NO_SHARES, FollowUps, Shares, plan_of
from sluice.freshness import Freshness, quantiles
from sluice.settings import ReplaySettings

AT_ONCE = 32
ROWS_MAX = 2**40
CARD_NUMBER = "a tx_id that reads as a card number"
SHARE = click.FloatRange(0, 1)


class ReplaySummary(msgspec.Struct, frozen=True):
    """The printed result. Rates per second, times in milliseconds; `labels`: how many were sent.

    `skipped`: transactions of zero; `left_out`: rows of the file that are no transactions, by what they lack.
    `captures`, `voids`, `refunds`: requests that succeeded or are pending; `refused`: the others, by code.
    """

    payments: int
    skipped: int
    labels: int
    seconds: float
    per_second: float
    latency_ms: dict[str, float]
    verdict_ms: dict[str, float]
    warehouse_age_ms: dict[str, float]
    outcomes: dict[str, int]
    captures: int
    voids: int
    refunds: int
    refused: dict[str, int]
    left_out: dict[str, int] = {}


class ReplayRun:
    """One run: makes cards and merchants, sends payments in order of time, and labels when they are due."""

    def __init__(
        self,
        payer: GatewayClient,
        admin: GatewayClient,
        analyst: GatewayClient,
        run: str,
        currency: str,
        shares: Shares = NO_SHARES,
    ) -> None:
        self._payer, self._admin, self._analyst = payer, admin, analyst
        self._run, self._currency, self._shares = run, currency, shares
        self.follow_ups = FollowUps(payer, admin)
        self._cards: dict[int, str] = {}
        self._merchants: dict[int, str] = {}
        self._due: list[tuple[datetime, str, bool]] = []  # a heap: answers come in any order
        self.latencies: list[float] = []
        self.outcomes: Counter[str] = Counter()
        self.labels = 0

    async def prepare(self, transactions: Iterable[DatasetTransaction]) -> None:
        """Tokenize each card once and create each merchant once, so that the rate counts payments only."""
        card_ids = {t.card_id for t in transactions}
        merchant_ids = {t.merchant_id for t in transactions}
        await gather([self._tokenize(card_id) for card_id in sorted(card_ids)])
        await gather([self._create_merchant(merchant_id) for merchant_id in sorted(merchant_ids)])

    async def pay(self, transaction: DatasetTransaction) -> tuple[str, datetime]:
        """Send one payment and what follows it; its id, and when the books recorded the last answer."""
        key = f"{self._run}-{transaction.tx_id}"
        plan = plan_of(self._run, transaction.tx_id, transaction.amount, self._shares)
        body = {
            "amount": transaction.amount,
            "currency": self._currency,
            "merchant": self._merchants[transaction.merchant_id],
            "payment_method": {"type": "card", "card": self._cards[transaction.card_id], "cvc": "100"},
            "occurred_at": transaction.ts,
        } | ({"capture": "manual"} if plan.captures else {})
        began = perf_counter()
        payment = await self._payer.post("/v1/payments", body, key)
        self.latencies.append((perf_counter() - began) * 1000)
        payment = await self.follow_ups.carry_out(plan, payment, key)
        self.outcomes[payment["state"]] += 1
        return payment["id"], datetime.fromisoformat(payment["updated_at"])

    async def label_due(self, until: datetime) -> None:
        """Send the labels that are due by `until`, in the file's time."""
        due = []
        while self._due and self._due[0][0] <= until:
            due.append(heappop(self._due))
        await gather([self._label(payment_id, fraud) for _, payment_id, fraud in due])

    def remember(self, transaction: DatasetTransaction, payment_id: str, delay: timedelta) -> None:
        """Keep the file's label of a payment until it is due."""
        if transaction.is_fraud is not None:
            heappush(self._due, (transaction.ts + delay, payment_id, transaction.is_fraud))

    async def _tokenize(self, card_id: int) -> None:
        body = {"number": card_number(card_id), "exp_month": 1, "exp_year": 2039}
        self._cards[card_id] = (await self._payer.post("/v1/cards", body, f"replay-card-{card_id}"))["id"]

    async def _create_merchant(self, merchant_id: int) -> None:
        body = {"name": f"Replay merchant {merchant_id}"}
        answer = await self._admin.post("/v1/merchants", body, f"replay-merchant-{merchant_id}")
        self._merchants[merchant_id] = answer["id"]

    async def _label(self, payment_id: str, fraud: bool) -> None:
        body = {"label": "fraud" if fraud else "good", "source": "replay"}
        await self._analyst.post(f"/v1/payments/{payment_id}/labels", body, f"{payment_id}-label")
        self.labels += 1


def keyable(transactions: Iterable[DatasetTransaction]) -> tuple[list[DatasetTransaction], dict[str, int]]:
    """Those whose id may be in a key, and how many may not: the gateway takes no key that holds a card number."""
    read = list(transactions)
    kept = [t for t in read if not find_numbers(str(t.tx_id))]
    return kept, {CARD_NUMBER: len(read) - len(kept)} if len(kept) < len(read) else {}


async def gather(work: list[Any]) -> None:
    """Await all of it, 32 at a time."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(job: Any) -> None:
        async with slots:
            await job

    await asyncio.gather(*[one(job) for job in work])


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--rate", type=click.FloatRange(0.01), help="Payments per second; default: as fast as answers come.")
@click.option("--limit", type=click.IntRange(1, ROWS_MAX), help="At most this many transactions.")
@click.option("--offset", type=click.IntRange(0, ROWS_MAX), default=0, help="Leave out this many first.")
@click.option("--label-delay", type=DURATION, default="7d", help="In the file's time, as 7d, 12h, 30m.")
@click.option("--currency", type=CURRENCY, default="EUR", help="What the amounts are in.")
@click.option("--parts", type=SHARE, default=0.0, help="Share of payments, 0 to 1, that are captured in parts.")
@click.option("--refunds", type=SHARE, default=0.0, help="Share of payments, 0 to 1, that are refunded.")
@click.option("--run", help="Resume this run: its keys are <run>-<tx_id>.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def replay(
    file: Path,
    rate: float | None,
    limit: int | None,
    offset: int,
    label_delay: timedelta,
    currency: str,
    parts: float,
    refunds: float,
    run: str | None,
    as_json: bool,
) -> None:
    """Send the transactions of FILE through the HTTP API as real payments."""
    settings = load(ReplaySettings)
    run = run or token_hex(4)
    try:
        with open_transactions(file, currency, until=now()) as found:
            transactions, left_out = keyable(found.transactions(offset, limit))
        left_out |= found.left_out
        click.echo(f"run {run}: {len(transactions)} transactions", err=True)
        shares = Shares(parts, refunds)
        summary = asyncio.run(_replay(settings, transactions, run, currency, rate, label_delay, shares))
    except NotTransactions as error:
        raise click.ClickException(f"{file}: {error}") from None
    except (GatewayRefused, GatewayUnavailable) as error:
        raise click.ClickException(f"the gateway refused: {error}; resume with --run {run}") from None
    document = msgspec.json.encode(msgspec.structs.replace(summary, left_out=left_out))
    click.echo((document if as_json else msgspec.json.format(document)).decode())


async def _replay(
    settings: ReplaySettings,
    transactions: list[DatasetTransaction],
    run: str,
    currency: str,
    rate: float | None,
    delay: timedelta,
    shares: Shares,
) -> ReplaySummary:
    url, password = settings.gateway_url(), settings.seed_password
    logins = [PasswordLogin(f"{name}@example.com", password) for name in ("replay", "admin", "analyst")]
    clients = [GatewayClient(url, login, retry_for_s=RETRY_FOR_S) for login in logins]
    async with clients[0] as payer, clients[1] as admin, clients[2] as analyst:
        work = ReplayRun(payer, admin, analyst, run, currency, shares)
        paid = [t for t in transactions if t.amount > 0]
        await work.prepare(paid)
        began = perf_counter()
        async with Freshness(settings) as freshness:
            await send_all(work, paid, rate, delay, freshness.answered)
        seconds = perf_counter() - began
    return ReplaySummary(
        payments=len(work.latencies),
        skipped=len(transactions) - len(paid),
        labels=work.labels,
        seconds=round(seconds, 3),
        per_second=round(len(work.latencies) / seconds, 1) if seconds else 0.0,
        latency_ms=quantiles(work.latencies),
        verdict_ms=freshness.verdict_ms,
        warehouse_age_ms=quantiles(freshness.ages_ms),
        outcomes=dict(work.outcomes),
        captures=work.follow_ups.done["capture"],
        voids=work.follow_ups.done["void"],
        refunds=work.follow_ups.done["refunds"],
        refused=dict(work.follow_ups.refused),
    )


async def send_all(
    work: ReplayRun,
    transactions: list[DatasetTransaction],
    rate: float | None,
    delay: timedelta,
    answered: Callable[[str, datetime], None],
) -> None:
    """Send payments, 32 at a time, and labels as they come due; `answered` is called with each answer.

    Raises the first error: `GatewayRefused` or `GatewayUnavailable`.
    """
    slots = asyncio.Semaphore(AT_ONCE)
    with click.progressbar(length=len(transactions), file=sys.stderr, label="payments") as bar:

        async def one(transaction: DatasetTransaction) -> None:
            try:
                payment_id, recorded_at = await work.pay(transaction)
                answered(payment_id, recorded_at)
                work.remember(transaction, payment_id, delay)
                await work.label_due(transaction.ts)
                bar.update(1)
            finally:
                slots.release()

        try:
            async with asyncio.TaskGroup() as group:
                async for transaction in _paced(transactions, rate):
                    await slots.acquire()
                    group.create_task(one(transaction))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        if transactions:
            await work.label_due(transactions[-1].ts)


async def _paced(transactions: list[DatasetTransaction], rate: float | None) -> AsyncIterator[DatasetTransaction]:
    """The transactions on a fixed schedule of `rate` per second: after a delay it catches up."""
    began = perf_counter()
    for number, transaction in enumerate(transactions):
        if rate and (early := began + number / rate - perf_counter()) > 0:
            await asyncio.sleep(early)
        yield transaction
