"""`python -m benchmarks.vault_failover`: of two vaults, the one that serves is killed or frozen under payments.

A stack with `SLUICE_VAULTS=2` takes `--rate` payments a second, each twentieth by a card that is new. By turns the
vault that serves gets a SIGKILL, and is kept from coming back, or a SIGSTOP; a rotation of keys begins before.
Once the other one serves, the first one goes on and stands by. In the end every card pays once more. Prints JSON;
ends with 1 unless no payment was refused, each operation opened its card once, the audit holds, and all agree.
"""

import asyncio
import fcntl
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

import click
import msgspec

from benchmarks import stack
from benchmarks.load import APART, BEGAN
from connectors.gateway import GatewayClient, GatewayRefused, GatewayUnavailable, PasswordLogin
from gateway.vault.addresses import UnixAddress
from gateway.vault.audit_chain import CheckedChain, files
from gateway.vault.client import VaultAway, VaultClient
from gateway.vault.isolation import socket_path
from gateway.vault.proof import SECRET_FILE
from gateway.vault.witness import Witness, WitnessRow, open_witness
from schemas.times import now
from sluice.dataset import card_number
from sluice.freshness import quantiles
from sluice.processes import VAULTS
from sluice.vault import local_witness

AMOUNT = 1_000  # minor units
NEW_EVERY = 20  # payments by a card that is new
PAUSE_S = 6.0  # between a join and the next fault
LOOKED_EVERY_S = 0.02
JOINED_WITHIN_S = 60.0
SERVED_WITHIN_S = 5.0
SETTINGS = stack.OPEN_STAND_IN | {"SLUICE_VAULTS": "2", "SLUICE_VERDICT_BUDGET_MS": "1000"}


class FailoverFigures(msgspec.Struct, frozen=True):
    """`ended`: payments by state or refusal. `served_after_s`: of each fault, when the vault answered again.

    `opened`: operations that opened a card; `opened_again`: those that did so twice. `key_version` grows by one
    for each fault's rotation, and `cards_left` are under an older one.
    """

    payments: int
    cards: int
    ended: dict[str, int]
    call_ms: dict[str, float]
    longest_call_ms: float
    faults: list[str]
    served_after_s: list[float]
    joined_after_s: list[float]
    opened: int
    opened_again: int
    key_version: int
    cards_left: int
    audit_faults: int
    audit_verified: bool
    reconciled: bool

    def holds(self) -> bool:
        """Whether all is as it must be."""
        lost = [
            self.opened_again,
            self.cards_left,
            self.audit_faults,
            self.payments - self.ended.get("captured", 0),
        ]
        return (
            not any(lost)
            and max(self.served_after_s) < SERVED_WITHIN_S
            and self.audit_verified
            and self.reconciled
        )


class SteadyPayer:
    """Pays at one gateway, and counts what comes of it."""

    def __init__(self, payer: GatewayClient, merchant: str) -> None:
        self._payer, self._merchant = payer, merchant
        self.cards: list[str] = []
        self.ended = Counter[str]()
        self.milliseconds: list[float] = []

    async def pay_on(self, rate: float, stop: asyncio.Event) -> None:
        """Pay so many times a second, whatever is answered, until `stop`."""
        began, waiting = time.monotonic(), set[asyncio.Task[None]]()
        for number in count():
            if stop.is_set():
                break
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            task = asyncio.create_task(self._one(number))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        await asyncio.gather(*waiting)

    async def pay_by_each(self) -> None:
        """Pay once more by each card: none may be lost."""
        for at in range(0, len(self.cards), 20):
            await asyncio.gather(*(self._pay(card, f"last-{card}") for card in self.cards[at : at + 20]))

    async def _one(self, number: int) -> None:
        if number % NEW_EVERY == 0 or not self.cards:
            card = {"number": card_number(number), "exp_month": 1, "exp_year": 2039}
            stored = await self._asked("/v1/cards", card, f"card-{number}")
            if stored is None:
                return
            self.cards.append(str(stored["id"]))
        await self._pay(self.cards[number % len(self.cards)], f"pay-{number}")

    async def _pay(self, card: str, key: str) -> None:
        moment = BEGAN + (self.ended.total() % 100_000) * APART
        method = {"type": "card", "card": card, "cvc": "100"}
        asked = {"amount": AMOUNT, "currency": "EUR", "merchant": self._merchant, "occurred_at": moment}
        paid = await self._asked("/v1/payments", asked | {"payment_method": method}, key)
        if paid is not None:
            self.ended[str(paid["state"])] += 1

    async def _asked(self, path: str, body: dict[str, object], key: str) -> dict[str, object] | None:
        """The answer; a refusal, also one that asks to come again, is counted as the end of a payment."""
        began = time.monotonic()
        try:
            answer: dict[str, object] = await self._payer.post(path, body, key)
            return answer
        except (GatewayRefused, GatewayUnavailable) as error:
            self.ended[f"{path} {getattr(error, 'code', type(error).__name__)}"] += 1
            return None
        finally:
            self.milliseconds.append((time.monotonic() - began) * 1000)


class Vaults:
    """The two vaults of a stack, and the faults that they meet."""

    def __init__(self, measured: stack.Stack) -> None:
        self._measured = measured
        data = measured.settings.data
        self.data = dict(zip(VAULTS, (data, data / "vault_2"), strict=True))
        self._witness: Witness = open_witness(local_witness(data))
        self.secret = (data / "secrets" / SECRET_FILE).read_bytes()
        self.served_after_s: list[float] = []
        self.joined_after_s: list[float] = []

    def client(self) -> VaultClient:
        """A client of both."""
        return VaultClient([UnixAddress(socket_path(data)) for data in self.data.values()], self.secret)

    def data_of(self, address: str | None) -> Path:
        """The data directory of the vault at an address."""
        return next(data for data in self.data.values() if str(socket_path(data)) == address)

    async def strike(self, fault: signal.Signals) -> None:
        """Have the one that serves meet a fault, and the other one go on; then the first one stands by."""
        before = await self._until(lambda row: bool(row.standby))
        client = self.client()
        await client.rotate()
        began, pid = time.monotonic(), self._measured.pids()[before.serving]
        with _kept_away(self.data[before.serving], pid, fault):
            await _until_answered(client)
            self.served_after_s.append(round(time.monotonic() - began, 2))
            await self._until(lambda row: row.serving != before.serving)
        await client.close()
        back = time.monotonic()
        await self._until(lambda row: row.standby == before.serving)
        self.joined_after_s.append(round(time.monotonic() - back, 2))

    async def _until(self, holds: Callable[[WitnessRow], bool]) -> WitnessRow:
        async with asyncio.timeout(JOINED_WITHIN_S):
            while not ((row := await self._witness.read()) and holds(row)):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(LOOKED_EVERY_S)
        return row


@contextmanager
def _kept_away(data: Path, pid: int, fault: signal.Signals) -> Iterator[None]:
    """One that was killed cannot come back meanwhile, for its directory is locked; a frozen one goes on after."""
    os.kill(pid, fault)
    if fault == signal.SIGSTOP:
        yield
        os.kill(pid, signal.SIGCONT)
        return
    with (data / "vault.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # once the killed one is gone
        yield


async def _until_answered(client: VaultClient) -> None:
    while True:
        try:
            return await client.ping()
        except VaultAway:
            await asyncio.sleep(LOOKED_EVERY_S)


@click.command()
@click.option("--rate", default=100.0, show_default=True, help="Payments per second.")
@click.option("--faults", default=10, show_default=True, help="Kills and freezes, by turns.")
def main(rate: float, faults: int) -> None:
    """Kill and freeze the vault that serves; some minutes."""
    with stack.running(settings=SETTINGS) as measured:
        measured.await_ready()
        figures = asyncio.run(
            _run(measured, rate, [(signal.SIGKILL, signal.SIGSTOP)[i % 2] for i in range(faults)])
        )
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    sys.exit(not figures.holds())


async def _run(measured: stack.Stack, rate: float, faults: list[signal.Signals]) -> FailoverFigures:
    vaults, url = Vaults(measured), measured.settings.url("gateway")
    logins = (PasswordLogin(f"{who}@example.com", measured.replay.seed_password) for who in ("replay", "admin"))
    payer_login, admin_login = logins
    async with (
        GatewayClient(url, payer_login, connections=1_000) as payer,
        GatewayClient(url, admin_login) as admin,
    ):
        merchant = await admin.post("/v1/merchants", {"name": "Failover"}, "failover-merchant")
        shop, stop = SteadyPayer(payer, str(merchant["id"])), asyncio.Event()
        paying = asyncio.create_task(shop.pay_on(rate, stop))
        for fault in faults:
            await asyncio.sleep(PAUSE_S)
            await vaults.strike(fault)
        await asyncio.sleep(PAUSE_S)
        stop.set()
        await paying
        await shop.pay_by_each()
    return await _figures(measured, vaults, shop, [fault.name for fault in faults])


async def _figures(measured: stack.Stack, vaults: Vaults, shop: SteadyPayer, faults: list[str]) -> FailoverFigures:
    client = vaults.client()
    counts = await client.count()
    serving = vaults.data_of(client.serving)
    await client.close()
    opened, audit_faults = await asyncio.to_thread(_opened, serving)
    verified = await asyncio.to_thread(measured.succeeds, "audit", "verify")
    return FailoverFigures(
        payments=shop.ended.total(),
        cards=len(shop.cards),
        ended=dict(shop.ended),
        call_ms=quantiles(shop.milliseconds),
        longest_call_ms=round(max(shop.milliseconds), 1),
        faults=faults,
        served_after_s=vaults.served_after_s,
        joined_after_s=vaults.joined_after_s,
        opened=len(opened),
        opened_again=sum(times > 1 for times in opened.values()),
        key_version=counts.key_version,
        cards_left=counts.left,
        audit_faults=audit_faults,
        audit_verified=verified,
        reconciled=await asyncio.to_thread(measured.reconciles),
    )


def _opened(data: Path) -> tuple[Counter[str], int]:
    """How often each operation opened a card, and how many faults the chain has."""
    chain, opened = CheckedChain(), Counter[str]()
    for path in files(data / "audit"):
        entries = chain.read(path, timedelta(days=400), now())
        opened.update(entry.operation_id or "" for entry in entries if entry.event == "card.open")
    return opened, len(chain.faults)


if __name__ == "__main__":
    main()
