"""`python -m benchmarks.stuck`: what 110 messages to a mailbox that is busy cost everybody else; prints JSON.

With `--hang` they are of 110 customers, whose mailboxes and phones are never answered for.

With `--memory N` no stack runs: the memory of the notifications flow's teller with N messages to busy mailboxes in
its table, each of another customer, and how long the mails of others take beside them.
"""

import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import click
import msgspec
import psutil
import structlog
from sqlalchemy import Connection, update

from benchmarks import stack
from benchmarks.figures import Quantiles
from connectors.gateway import GatewayClient, PasswordLogin
from connectors.mail import Mailer, MailServer
from connectors.records import Record
from connectors.sandbox.catcher.inbox import Inbox
from connectors.sandbox.catcher.smtp import serve_smtp
from connectors.sandbox.catcher.twilio import HANGING
from connectors.settings import LIMITS_OF
from connectors.sms import SmsAccount, Texter
from connectors.warehouse import WarehouseReader
from flows.notifications.allowance import Allowance
from flows.notifications.delivery import Deliverer
from flows.notifications.recipients import Recipients
from flows.notifications.sent_log import SentLog
from flows.notifications.teller import Teller, TellerPolicy
from flows.notifications.waiting import Waiting
from gateway.books.accounts import accounts
from gateway.books.opening import run_once
from schemas.events import decode, encode, new_event
from schemas.ids import new_id
from schemas.notifications import Recipient
from schemas.payments import TransactionCompleted
from schemas.samples import SAMPLES
from schemas.times import now
from sluice.freshness import quantiles

STUCK = 110
PAID = 50  # in each phase, ten a second
PHONE = "+15005550006"
PASSWORD = "correct horse battery staple"
CARD = {"number": "4111111111111111", "exp_month": 1, "exp_year": 2039}


class StuckPhase(msgspec.Struct, frozen=True):
    """Milliseconds of others' payments, and of their messages from the event to the record of their delivery."""

    payments_ms: Quantiles
    email_ms: Quantiles
    sms_ms: Quantiles


@click.command()
@click.option("--stuck", default=STUCK, help="Payments that cannot be told.")
@click.option("--hang", is_flag=True, help="They are of as many customers, who are never answered for.")
@click.option("--memory", type=click.IntRange(1), help="Measure the teller alone, with so many messages.")
def main(stuck: int, hang: bool, memory: int | None) -> None:
    """Measure others before, while and after messages are stuck; or memory."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if memory:
        document: Any = asyncio.run(measure_memory(memory))
    else:
        with stack.running() as measured:
            measured.await_ready()
            document = asyncio.run(_measure(measured, stuck, hang))
    click.echo(msgspec.json.format(msgspec.json.encode(document)).decode())


async def _measure(measured: stack.Stack, stuck: int, hang: bool) -> dict[str, StuckPhase]:
    merchant_id = await _merchant_id(measured)
    async with AsyncExitStack() as opened:
        payers = [_Payer(measured, merchant_id) for _ in range(1 + (stuck if hang else 1))]
        other, *untold = [await opened.enter_async_context(aclosing(payer)) for payer in payers]
        await other.sign_up("other@example.com", PHONE)
        for number, payer in enumerate(untold):
            mailbox, phone = ("hang", HANGING) if hang else ("busy", PHONE)
            await payer.sign_up(f"{mailbox}+{number}@example.com", phone)
        await asyncio.to_thread(run_once, f"sqlite:///{measured.settings.data / 'books.sqlite3'}", _confirm_all)
        phases = {"before": await _phase(measured, other)}
        await asyncio.gather(*[untold[number % len(untold)].pay() for number in range(stuck)])
        phases["during"] = await _phase(measured, other)
        for payer in untold:
            await payer.wish([])
        phases["after"] = await _phase(measured, other)
    return phases


def _confirm_all(conn: Connection) -> None:
    """No message comes through to a mailbox that is stuck: its owner confirmed it before."""
    conn.execute(update(accounts).values(email_confirmed_at=1, phone_confirmed_at=1))


async def _phase(measured: stack.Stack, payer: "_Payer") -> StuckPhase:
    paid = []
    for _ in range(PAID):
        paid.append(asyncio.create_task(payer.pay()))
        await asyncio.sleep(0.1)
    took = dict(await asyncio.gather(*paid))
    told = await asyncio.to_thread(_told, measured, list(took))
    return StuckPhase(quantiles(list(took.values())), quantiles(told["email"]), quantiles(told["sms"]))


def _told(measured: stack.Stack, payment_ids: list[str]) -> dict[str, list[float]]:
    """Milliseconds by channel. Raises `TimeoutError` where a message is not delivered within half a minute."""
    names = ", ".join(f"'{payment_id}'" for payment_id in payment_ids)
    sql = (
        "SELECT channel, epoch_us(recorded_at) - epoch_us(caused_at) AS took_us FROM notifications"
        f" WHERE outcome = 'delivered' AND payment IN ({names})"
    )
    reader = WarehouseReader(measured.replay, "bench")
    until = time.monotonic() + 30
    while time.monotonic() < until:
        rows = reader.query(sql).rows
        if len(rows) >= 2 * len(payment_ids):
            return {name: [us / 1000 for channel, us in rows if channel == name] for name in ("email", "sms")}
        time.sleep(0.2)
    raise TimeoutError(f"{len(rows)} of {2 * len(payment_ids)} messages delivered")


class _Payer:
    """A customer who wants mail and short messages."""

    def __init__(self, measured: stack.Stack, merchant_id: str) -> None:
        self._url, self._merchant_id = measured.settings.url("gateway"), merchant_id
        self._login, self._card = PasswordLogin("", ""), ""
        self._client = GatewayClient(self._url)

    async def aclose(self) -> None:
        await self._client.close()

    async def sign_up(self, email: str, phone: str) -> None:
        self._login = PasswordLogin(email, PASSWORD)
        body = {"email": email, "password": PASSWORD, "name": "Stuck", "phone": phone}
        await self._client.post("/v1/accounts", body)
        await self._client.close()
        self._client = GatewayClient(self._url, self._login)
        self._card = (await self._client.post("/v1/cards", CARD, new_id("stuck")))["id"]
        await self.wish(["email", "sms"])

    async def wish(self, channels: list[str]) -> None:
        """Want to be told of payments by these channels."""
        async with GatewayClient(self._url) as nobody:
            granted = await nobody.post(
                "/v1/login", {"email": self._login.email, "password": self._login.password}
            )
        headers = {"Authorization": f"Bearer {granted['access_token']}"}
        wishes = {"preferences": {"transaction_completed": channels}}
        async with (
            aiohttp.ClientSession(self._url, headers=headers, raise_for_status=True) as session,
            session.put("/v1/me/notifications", json=wishes),
        ):
            pass

    async def pay(self) -> tuple[str, float]:
        """The payment's id, and the milliseconds it took."""
        method = {"type": "card", "card": self._card, "cvc": "100"}
        body = {"amount": 1000, "currency": "EUR", "merchant": self._merchant_id, "payment_method": method}
        began = time.perf_counter()
        payment = await self._client.post("/v1/payments", body, new_id("stuck"))
        return payment["id"], (time.perf_counter() - began) * 1000


async def _merchant_id(measured: stack.Stack) -> str:
    login = PasswordLogin("merchant@example.com", measured.replay.seed_password)
    async with GatewayClient(measured.settings.url("gateway"), login) as merchant:
        merchant_id: str = (await merchant.get("/v1/me"))["id"]
    return merchant_id


class _Known(Recipients):
    """Everybody's mailbox is busy but that of `other`."""

    async def ask(self, account_id: str) -> Recipient | None:
        """The recipient of an account, without asking."""
        name = "other" if account_id == "other" else f"busy+{account_id}"
        return Recipient({"transaction_completed": ["email"]}, "en", "UTC", f"{name}@example.com")


async def measure_memory(number: int, mails: int = 100) -> dict[str, Any]:
    """Memory and disk in MB with `number` messages stuck, and the milliseconds of others' mails beside them."""
    process = psutil.Process()
    with tempfile.TemporaryDirectory(prefix="sluice-stuck-") as folder:
        inbox, port = Inbox(), stack.free_port()
        smtp = await serve_smtp(inbox, "127.0.0.1", port)
        log = SentLog(Path(folder) / "effects.db", timedelta(days=2))
        _fill(log, number)
        before = process.memory_info().rss
        deliverer = Deliverer(
            Mailer(MailServer("127.0.0.1", port, "a@example.com", tls="none")), Texter(SmsAccount("", "", "", ""))
        )
        policy = TellerPolicy(timedelta(hours=1), timedelta(days=1))
        allowance = Allowance(log, LIMITS_OF["local"], b"", lambda number: True)
        teller = Teller(log, _Known("", ""), deliverer, allowance, policy)
        took = []
        for n in range(mails):
            took.append(await _mail(teller, inbox, n))
            await asyncio.sleep(0.1)
        after = process.memory_info().rss
        disk = (Path(folder) / "effects.db").stat().st_size
        await teller.close()
        smtp.close()
    mb = stack.MB
    return {
        "stuck": number,
        "mail_ms": quantiles(took),
        "rss_mb": after // mb,
        "grown_mb": (after - before) // mb,
        "disk_mb": disk // mb,
    }


def _fill(log: SentLog, number: int) -> None:
    waiting = Waiting(log)
    with log.transaction():
        for n in range(number):
            waiting.add("email", f"acct_{n}", _event(f"acct_{n}"))
            waiting.postpone("email", f"acct_{n}", 0, "smtp_451", "")


async def _mail(teller: Teller, inbox: Inbox, n: int) -> float:
    """Milliseconds until another customer's mail is caught, while mails to busy mailboxes are tried."""
    began, source = time.perf_counter(), _event("other")
    await teller.keep([(source, decode(source.headers, source.value))])
    while len(inbox) <= n:  # noqa: ASYNC110 - the catcher calls nobody
        await asyncio.sleep(0.005)
    return (time.perf_counter() - began) * 1000


def _event(customer: str) -> Record:
    told = SAMPLES["transaction_completed"]
    assert isinstance(told, TransactionCompleted)
    payment = msgspec.structs.replace(told.payment, id=new_id("pay"), customer=customer)
    data = msgspec.structs.replace(told, payment=payment, recorded_at=now())
    headers, value = encode(new_event("transaction_completed", "/gateway", payment.id, data, now()))
    return Record("payments.v1", 0, 0, b"", headers, value, 0)


if __name__ == "__main__":
    main()
