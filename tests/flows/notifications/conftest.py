"""A stage for the flow: a stand-in for the gateway's two routes, the real catcher, and events to tell."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from connectors.loop_thread import LoopThread
from connectors.records import Out, Record
from connectors.sandbox.catcher.__main__ import serve
from connectors.sandbox.catcher.settings import CatcherSettings
from flows.notifications.flow import open_log, open_teller
from flows.notifications.settings import NotificationSettings
from schemas.events import Event, decode, encode, new_event
from schemas.ids import new_id
from schemas.notifications import Notification, Recipient
from schemas.payments import Method, Payment, Refund, RefundEvent, TransactionCompleted
from schemas.states import STATUS, PaymentState, Status
from schemas.times import now
from tests.patience import until

EMAIL = "ada@example.com"
PHONE = "+15005550006"


class Gateway:
    """The two routes the flow calls, with the real secrets file; `status` other than 200 answers everybody."""

    def __init__(self, data: Path) -> None:
        self.recipients: dict[str, Recipient] = {}
        self.status = 200
        self.asked: list[str] = []
        self.tokens_given = 0
        self._data = data
        self._valid: set[str] = set()
        self._runner: web.AppRunner | None = None

    async def open(self, port: int = 0) -> str:
        app = web.Application()
        app.add_routes(
            [web.post("/oauth/token", self._token), web.get("/v1/accounts/{account}/recipient", self._recipient)]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        if self._runner:
            await self._runner.cleanup()

    def forget_tokens(self) -> None:
        self._valid.clear()

    async def _token(self, request: web.Request) -> web.Response:
        secret = (self._data / "secrets" / "notifications.secret").read_text()
        assert request.headers["Authorization"] == aiohttp.encode_basic_auth("notifications", secret)
        assert (await request.post())["grant_type"] == "client_credentials"
        self.tokens_given += 1
        token = new_id("tok")
        self._valid.add(token)
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": 900})

    async def _recipient(self, request: web.Request) -> web.Response:
        self.asked.append(request.match_info["account"])
        if request.headers["Authorization"].removeprefix("Bearer ") not in self._valid:
            return web.json_response({"code": "unauthenticated"}, status=401)
        if self.status != 200:
            return web.json_response({"code": "unavailable"}, status=self.status)
        found = self.recipients.get(request.match_info["account"])
        return web.Response(body=msgspec.json.encode(found)) if found else web.Response(status=404)


class Stage:
    """Everything outside the flow, in a thread of its own."""

    def __init__(self, data: Path, offset: int) -> None:
        self.loop_thread = LoopThread()
        self.gateway = Gateway(data)
        self._stopped = asyncio.Event()
        self.url = self.loop_thread.run(self.gateway.open())
        self._catcher = CatcherSettings(data=data, port_offset=offset)
        self._catching = self.loop_thread.run(self._catch())
        self.settings = NotificationSettings(
            data=data, port_offset=offset, gateway=self.url, notification_patience_s=60
        )

    def messages(self) -> list[dict[str, Any]]:
        """What the catcher caught, oldest first."""
        return self.loop_thread.run(self._messages())[::-1]

    def close(self) -> None:
        self.loop_thread.run(self._close())
        self.loop_thread.close()

    async def _catch(self) -> "asyncio.Task[None]":
        catching = asyncio.create_task(serve(self._catcher, self._stopped))
        async with aiohttp.ClientSession() as session:
            while not catching.done():
                try:
                    async with session.get(f"{self._catcher.url('catcher')}/healthz"):
                        return catching
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.02)
        await catching
        return catching

    async def _messages(self) -> list[dict[str, Any]]:
        url = f"{self._catcher.url('catcher')}/messages"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            body: dict[str, Any] = await answer.json()
        return body["data"]

    async def _close(self) -> None:
        self._stopped.set()
        await self._catching
        await self.gateway.close()


@pytest.fixture
def stage(tmp_path: Path, free_offset: Callable[[], int]) -> Iterator[Stage]:
    stage = Stage(tmp_path, free_offset())
    yield stage
    stage.close()


class Telling:
    """A teller on the stage, as a flow has it that was just started."""

    def __init__(self, stage: Stage, **settings: Any) -> None:
        self.stage, self._heard = stage, 0
        self._settings = msgspec.structs.replace(stage.settings, **settings)
        self.log = open_log(self._settings)
        self.teller = stage.loop_thread.run(open_teller(self._settings, self.log))

    def keep(self, *events: Event) -> None:
        """Take in events, as read from Kafka."""
        self.stage.loop_thread.run(self.teller.keep([recorded(event, n) for n, event in enumerate(events)]))

    def waiting(self) -> int:
        """How many messages wait."""
        return self.teller._waiting.count

    def records(self) -> list[Out]:
        """The records to write since it was last asked."""
        found = self.stage.loop_thread.run(self.teller.outcomes(self._heard, 1_000_000))
        self._heard = found[-1][0] if found else self._heard
        return [record for _, record in found]

    def outcomes(self) -> list[Notification]:
        """What became of messages since it was last asked, without dead letters."""
        events = [decode(record.headers, record.value) for record in self.records()]
        return [event.data for event in events if isinstance(event.data, Notification)]

    def tell(self, *events: Event) -> list[Notification]:
        """Tell of events, and wait until none of their messages waits any more."""
        self.keep(*events)
        until(lambda: not self.waiting())
        return self.outcomes()

    def close(self) -> None:
        self.stage.loop_thread.run(self.teller.close())


def recorded(event: Event, offset: int = 0) -> tuple[Record, Event]:
    headers, value = encode(event)
    return Record("payments.v1", 3, offset, b"fp_1", headers, value, 0), event


@pytest.fixture
def start(stage: Stage) -> Iterator[Callable[..., Telling]]:
    """Starts a flow's teller with some settings; the one before must be closed."""
    started: list[Telling] = []

    def run(**settings: Any) -> Telling:
        started.append(Telling(stage, **settings))
        return started[-1]

    yield run
    for telling in started:
        if not telling.teller._running.is_done():
            telling.close()


@pytest.fixture
def telling(start: Callable[..., Telling]) -> Telling:
    return start()


def recipient(**changes: Any) -> Recipient:
    """Someone who wants both a mail and a short message."""
    both = {"transaction_completed": ["email", "sms"], "refund": ["email", "sms"]}
    start = Recipient(both, "en", "Europe/Berlin", EMAIL, PHONE)  # type: ignore[arg-type]
    return msgspec.structs.replace(start, **changes)


def payment(state: PaymentState = "captured", **changes: Any) -> Payment:
    moment = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
    start = Payment(
        id=new_id("pay"),
        stream_key="fp_1",
        state=state,
        status=STATUS[state],
        amount=123456,
        amount_captured=changes.get("amount", 123456) if STATUS[state] == "succeeded" else 0,
        amount_refunded=0,
        currency="EUR",
        customer="acct_ada",
        merchant="acct_shop",
        method=Method("card", card="card_1", brand="visa", bin="411111", last4="1111"),
        capture="automatic",
        occurred_at=moment,
        created_at=moment,
        updated_at=moment,
    )
    return msgspec.structs.replace(start, **changes)


def completed(about: Payment, sequence: int = 4, recorded_at: datetime | None = None) -> Event:
    moment = recorded_at or now()
    data = TransactionCompleted(sequence, "processing", moment, about.status, None, about)
    return new_event("transaction_completed", "/gateway", about.id, data, moment)


def refunded(about: Payment, amount: int, status: Status = "succeeded", sequence: int = 6) -> Event:
    moment = now()
    at = datetime(2026, 11, 25, 23, 30, tzinfo=UTC)
    refund = Refund(new_id("ref"), amount, about.currency, status, None, at, at)
    return new_event(
        f"refund.{status}", "/gateway", about.id, RefundEvent(sequence, about.state, moment, about, refund), moment
    )


class Makes:
    """What the tests tell of, and to whom."""

    recipient = staticmethod(recipient)
    payment = staticmethod(payment)
    completed = staticmethod(completed)
    refunded = staticmethod(refunded)


@pytest.fixture
def make() -> type[Makes]:
    return Makes
