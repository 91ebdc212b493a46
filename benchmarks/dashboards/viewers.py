"""What ten people who look at the overview cost: CPU of those who serve it, and the time of payments beside them.

A viewer is a WebSocket that asks as Streamlit's own page does: browsers would take the two cores for themselves.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import msgspec
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks.dashboards.meter import CpuClock, load, quantile
from benchmarks.load import PaymentLoad
from benchmarks.stack import Stack
from connectors.gateway import RETRY_FOR_S, GatewayClient, PasswordLogin
from connectors.warehouse import WarehouseReader

VIEWERS = 10
SERVING = ("dashboard", "analytics", "gateway")
SETTLE_S = 5.0  # until all viewers have their first page
MESSAGE_MAX = 64 * 2**20
PROTOCOL = Subprotocol("streamlit")
A_TILE = b"tile-figures"  # of the page of who is logged in
XSRF = "_streamlit_xsrf"  # a cookie; who does not say it as a second protocol is a stranger
JUDGED = """
SELECT count(*) FILTER (risk_source IS NULL OR risk_source = 'stand_in') FROM payments
WHERE created_at >= now()::TIMESTAMP - INTERVAL {} SECOND
"""
Cookies = Mapping[str, str]


class ViewerFigures(msgspec.Struct, frozen=True):
    """`cores`: CPU seconds a second by process; `idle_cores`: without viewers.

    `renewed`: parts of pages a second: of each its tiles, whether sales are stopped, and who looks on.
    """

    viewers: int
    idle_cores: dict[str, float]
    cores: dict[str, float]
    renewed: float
    load: float


class BesideFigures(msgspec.Struct, frozen=True):
    """Payments beside so many viewers: milliseconds until the answer, and how many no verdict came for in time."""

    viewers: int
    payments: int
    per_second: float
    p50_ms: float
    p99_ms: float
    without_verdict: int
    load: float


class Viewer:
    """One page of the overview, each part of it renewed as often as the dashboards ask for.

    `renewed`: how often one was so far. `has_tiles`: whether they are shown, and no login is asked for.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._parts: dict[str, asyncio.Task[None]] = {}  # by the id of Streamlit's fragment
        self.renewed, self.has_tiles = 0, False

    async def look(self) -> None:
        """Ask for the page, and for its parts whenever they are due, until the connection ends."""
        await self._ask(ClientState())
        try:
            async for message in self._connection:
                written = message if isinstance(message, bytes) else message.encode()
                self.has_tiles = self.has_tiles or A_TILE in written
                told = ForwardMsg.FromString(written)
                match told.WhichOneof("type"):
                    case "auto_rerun":
                        self._begin(told.auto_rerun.interval, told.auto_rerun.fragment_id)
                    case "script_finished":
                        self.renewed += 1
        finally:
            for part in self._parts.values():
                part.cancel()

    def _begin(self, every_s: float, fragment_id: str) -> None:
        if known := self._parts.get(fragment_id):
            known.cancel()
        self._parts[fragment_id] = asyncio.create_task(self._renew(every_s, fragment_id))

    async def _renew(self, every_s: float, fragment_id: str) -> None:
        while True:
            await asyncio.sleep(every_s)
            await self._ask(ClientState(fragment_id=fragment_id, is_auto_rerun=True))

    async def _ask(self, state: ClientState) -> None:
        await self._connection.send(BackMsg(rerun_script=state).SerializeToString())


@asynccontextmanager
async def looking_on(dashboards: str, cookies: Cookies, count: int) -> AsyncIterator[list[Viewer]]:
    """So many viewers, logged in by the cookies of one person, until the end of the block."""
    stream = f"{dashboards.replace('http', 'ws', 1)}/_stcore/stream"
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    headers = {"Cookie": cookie, "Origin": dashboards}
    said = [PROTOCOL, Subprotocol(cookies[XSRF])]
    opened = [
        await connect(stream, additional_headers=headers, subprotocols=said, max_size=MESSAGE_MAX)
        for _ in range(count)
    ]
    viewers = [Viewer(each) for each in opened]
    tasks = [asyncio.create_task(viewer.look()) for viewer in viewers]
    try:
        await asyncio.sleep(SETTLE_S if count else 0)
        assert all(viewer.has_tiles for viewer in viewers), "a viewer has no overview"
        yield viewers
    finally:
        for task in tasks:
            task.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(each.close() for each in opened)), SETTLE_S)


async def measure_cores(stack: Stack, cookies: Cookies, seconds: float, viewers: int = VIEWERS) -> ViewerFigures:
    """What viewers cost while nobody pays."""
    idle = await _cores(stack, seconds)
    async with looking_on(stack.settings.url("dashboard"), cookies, viewers) as there:
        before, began = sum(each.renewed for each in there), time.monotonic()
        spent = await _cores(stack, seconds)
        renewed = (sum(each.renewed for each in there) - before) / (time.monotonic() - began)
    return ViewerFigures(viewers, idle, spent, round(renewed, 1), load())


async def measure_payments(
    stack: Stack, cookies: Cookies, seconds: float, per_second: float, rounds: int = 2
) -> list[BesideFigures]:
    """Payments without viewers and beside them, in turns."""
    url, password = stack.settings.url("gateway"), stack.replay.seed_password
    async with (
        GatewayClient(url, PasswordLogin("replay@example.com", password), retry_for_s=RETRY_FOR_S) as payer,
        GatewayClient(url, PasswordLogin("admin@example.com", password), retry_for_s=RETRY_FOR_S) as admin,
    ):
        payments = PaymentLoad(stack.replay, payer, admin)
        await payments.prepare()
        await payments.send(round(seconds * per_second / 2), per_second)  # warm
        return [
            await _beside(stack, payments, cookies, count, (seconds, per_second))
            for _ in range(rounds)
            for count in (0, VIEWERS)
        ]


async def _beside(
    stack: Stack, payments: PaymentLoad, cookies: Cookies, viewers: int, pace: tuple[float, float]
) -> BesideFigures:
    seconds, per_second = pace
    async with looking_on(stack.settings.url("dashboard"), cookies, viewers):
        began = time.monotonic()
        sent = await payments.send(round(seconds * per_second), per_second)
        latencies, lasted_s = payments.latencies(), time.monotonic() - began
    reader = WarehouseReader(stack.settings, "dashboard")
    [(unjudged,)] = (await asyncio.to_thread(reader.query, JUDGED.format(round(lasted_s)))).rows
    p50, p99 = quantile(latencies, 0.5), quantile(latencies, 0.99)
    return BesideFigures(viewers, sent.number, sent.per_second, p50, p99, unjudged, load())


async def _cores(stack: Stack, seconds: float) -> dict[str, float]:
    """CPU seconds a second of each process that serves viewers."""
    pids = stack.pids()
    clocks = {name: CpuClock(pids[name]) for name in SERVING}
    before = {name: clock.seconds() for name, clock in clocks.items()}
    await asyncio.sleep(seconds)
    return {name: round((clock.seconds() - before[name]) / seconds, 3) for name, clock in clocks.items()}
