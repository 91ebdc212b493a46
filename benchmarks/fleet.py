"""Several gateways on one PostgreSQL: their clients, the faults they meet, and how often payments were charged."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from benchmarks import stack
from benchmarks.postgres import Server
from connectors.gateway import GatewayClient, GatewayRefused, GatewayUnavailable, PasswordLogin
from gateway.books.opening import run_once
from sluice.reconcile.ledger import TAKING_BACK, ProcessorRecord, read_ledger
from sluice.status import read

GATEWAYS = ("gateway", "gateway_2")
PROCESSES = (*stack.PAYING, "gateway_2")
POSTGRES = "postgres"
LEASE_S = 11.0
FROZEN_S = LEASE_S + 2.0  # beyond the lease: the others take over
PAUSE_S = 3.0  # between two faults, once all is back
AGAIN_S = 0.2
GIVEN_UP_S = 120.0
CONNECTIONS = 200  # to each gateway
SETTINGS = stack.OPEN_STAND_IN | {
    "SLUICE_GATEWAYS": "2",
    "SLUICE_LEASE": str(LEASE_S),
    "SLUICE_CALL_TIMEOUT": "4",
    "SLUICE_UNKNOWN_WINDOW": "1",
    "SLUICE_VERDICT_BUDGET_MS": "1000",
}
BEGINS = ("authorize", "sale")
STATES = "SELECT state, count(*) FROM payments GROUP BY state"
IN_HAND = """
    WITH mine AS (SELECT id FROM workers WHERE name LIKE '%:{port}') SELECT count(*) FROM (
        SELECT id FROM payments WHERE state = 'processing' AND worker_id IN (SELECT id FROM mine)
        UNION SELECT payment_id FROM operations WHERE status = 'sending' AND worker_id IN (SELECT id FROM mine)
    ) AS caught
"""


class Sides:
    """The two gateways as a client sees them, which goes to the other one where one does not answer."""

    def __init__(self, clients: list[GatewayClient]) -> None:
        self._clients = clients
        self.milliseconds: list[float] = []

    async def post(self, side: int, path: str, body: object, key: str) -> dict[str, object]:
        """The answer to a request that is sent until it has one, with its key, here and then there.

        Raises `GatewayRefused`, `GatewayUnavailable` once it was tried for long enough.
        """
        return await self._asked(side, lambda client: client.post(path, body, key))

    async def get(self, side: int, path: str) -> dict[str, object]:
        """What is there, from whichever answers. Raises as `post`."""
        return await self._asked(side, lambda client: client.get(path))

    async def _asked(self, side: int, ask: Callable[[GatewayClient], Awaitable[Any]]) -> dict[str, object]:
        began = time.monotonic()
        for number in count(side):
            try:
                answer: dict[str, object] = await ask(self._clients[number % 2])
            except (GatewayRefused, GatewayUnavailable) as error:
                if not _passes(error) or time.monotonic() > began + GIVEN_UP_S:
                    raise
                await asyncio.sleep(AGAIN_S)
            else:
                self.milliseconds.append((time.monotonic() - began) * 1000)
                return answer
        raise AssertionError("it counts without end")


def _passes(error: GatewayRefused | GatewayUnavailable) -> bool:
    """Whether it is worth another try: work in hand, or nobody there."""
    return isinstance(error, GatewayUnavailable) or error.status in (409, 425, 429) or error.status >= 500


@asynccontextmanager
async def connected(measured: stack.Stack, email: str) -> AsyncIterator[Sides]:
    """A seeded person at both gateways."""
    login = PasswordLogin(email, measured.replay.seed_password)
    urls = [measured.settings.url(name) for name in GATEWAYS]
    async with (
        GatewayClient(urls[0], login, connections=CONNECTIONS) as one,
        GatewayClient(urls[1], login, connections=CONNECTIONS) as two,
    ):
        yield Sides([one, two])


class ProcessFault(NamedTuple):
    """SIGKILL, or SIGSTOP for a while, of a process of the stack, or of its PostgreSQL."""

    signal: signal.Signals
    name: str


def by_turns(number: int, kind: signal.Signals, names: tuple[str, ...] = GATEWAYS) -> list[ProcessFault]:
    """So many faults of a kind, at each of these processes in turn."""
    return [ProcessFault(kind, names[turn % len(names)]) for turn in range(number)]


async def strike(
    measured: stack.Stack, faults: Iterable[ProcessFault], pause_s: float = PAUSE_S, frozen_s: float = FROZEN_S
) -> int:
    """Each fault once what the last one met is ready again; how many payments gateways had in hand meanwhile."""
    caught = 0
    for fault in faults:
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
        if fault.name == POSTGRES:
            await _kill_postgres(measured)
            continue
        pid = measured.pids()[fault.name]
        os.kill(pid, fault.signal)
        caught += await asyncio.to_thread(_in_hand, measured, fault.name)
        if fault.signal == signal.SIGSTOP:
            await asyncio.sleep(frozen_s)
            os.kill(pid, signal.SIGCONT)
        else:
            await _until_restarted(measured, fault.name, pid)
    return caught


async def _kill_postgres(measured: stack.Stack) -> None:
    assert measured.server
    measured.server.kill()
    await begin_again(measured.server)


async def begin_again(server: Server) -> None:
    """Start a PostgreSQL that was killed, by this thread, as it ends with whoever started it.

    It does not come up before the last of its processes is gone.
    """
    while not await asyncio.to_thread(server.answers):
        if not server.lives():
            server.begin()
        await asyncio.sleep(AGAIN_S)


def _in_hand(measured: stack.Stack, name: str) -> int:
    """Payments that a gateway works on by the books; 0 of any other process."""
    if name not in GATEWAYS or measured.server is None:
        return 0
    return int(measured.server.sql(IN_HAND.format(port=measured.settings.port(name))))


async def _until_restarted(measured: stack.Stack, name: str, before: int) -> None:
    while True:
        now = {entry.name: entry for entry in await asyncio.to_thread(read, measured.settings)}[name]
        if now.pid != before and now.state == "ready":
            return
        await asyncio.sleep(AGAIN_S)


def in_the_books(server: Server) -> Counter[str]:
    """How many payments are in which state."""
    lines = [line.partition("|") for line in server.sql(STATES).splitlines()]
    return Counter({state: int(count) for state, _, count in lines})


def charges(measured: stack.Stack) -> dict[str, int]:
    """How many captured payments were charged how often."""
    standing = standing_charges(read_ledger(measured.settings.url("sandbox")))
    found: Counter[str] = Counter()
    for attempt_id, payment_id in run_once(measured.books_url(), _attempts, readonly=True):
        found[payment_id] += standing[attempt_id]
    return dict(Counter(str(times) for times in found.values()))


def standing_charges(ledger: Iterable[ProcessorRecord]) -> Counter[str]:
    """How often each attempt was charged: what a processor applied for it and did not take back."""
    rows = [row for row in ledger if row.status == "applied"]
    undone = {row.of for row in rows if row.operation in TAKING_BACK}
    return Counter(row.reference for row in rows if row.operation in BEGINS and row.id not in undone)


def _attempts(conn: Connection) -> list[tuple[str, str]]:
    """Those of captured payments, each with its payment."""
    captured = "SELECT id FROM payments WHERE state = 'captured'"
    sql = f"SELECT id, payment_id FROM attempts WHERE payment_id IN ({captured})"
    return [(attempt_id, payment_id) for attempt_id, payment_id in conn.execute(text(sql))]
