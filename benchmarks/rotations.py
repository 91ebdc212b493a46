"""`python -m benchmarks.rotations`: every secret is replaced while a gateway on PostgreSQL takes payments.

Each is rotated by the operator's command, and the processors' twins, the database, the vault, the gateway and the
warehouse are asked whether they still take the one before. `--whole` starts the whole stack and rotates the tokens
of the warehouse as well; without it only what a payment needs. Prints JSON, and ends with 1 if a call failed, or
if a secret is taken after its overlap.
"""

import asyncio
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from secrets import token_hex

import aiohttp
import asyncpg  # type: ignore[import-untyped]  # it has types, but no marker that says so
import click
import msgspec
from click.testing import CliRunner

from benchmarks import stack
from benchmarks.load import APART, BEGAN
from benchmarks.postgres import Server, serving
from connectors.gateway import GatewayClient, GatewayRefused, GatewayUnavailable, LoginRefused, PasswordLogin
from connectors.oauth_tokens import ClientCredentials
from connectors.processors.contract import Query
from connectors.processors.registry import open_processors
from connectors.processors.settings import SECRET_FILES, ProcessorSettings
from connectors.secret_files import put_next, take_next
from connectors.warehouse import WRITERS_READERS, QueryRefused, WarehouseReader
from gateway.identity.signing_keys import FIRST, new_pem
from gateway.seed import SERVICES
from gateway.vault.addresses import addresses_of
from gateway.vault.client import Unproven, VaultClient
from schemas.ids import new_id
from schemas.money import Money
from schemas.payments import ProcessorName
from sluice.dataset import card_number
from sluice.freshness import quantiles
from sluice.keys import keys

ROLE = "recorder"
OVERLAP_S = 3
GONE_WITHIN_S = 30.0
SIGNS_IN_S = 7  # gateways look for keys every five seconds
AT_ONCE = 4
STEADY_CALLS = 20  # payments by both kinds of card and by PayPal are among them
CARDS = 20
PAUSE_S = 0.02
NEW_VISA = "bmV3LXNoYXJlZC1zZWNyZXQtb2Ytb3Vycy0tLS0tLS0="
PAYING = ("sandbox", "vault", "gateway")
# No verdicts come where no fraud flow runs.
SETTINGS = stack.OPEN_STAND_IN | {"SLUICE_STAND_IN_CARD_CAP": "100000000"}

IsRefused = Callable[[], Awaitable[bool]]


class RotatedSecret(msgspec.Struct, frozen=True):
    """`calls`: those that ended while it was rotated. `refused_after_s`: when the one before was refused then."""

    calls: int
    refused_after_s: float


class RotationFigures(msgspec.Struct, frozen=True):
    """`failed`: calls by the code of what they were answered instead."""

    calls: int
    failed: dict[str, int]
    call_ms: dict[str, float]
    rotated: dict[str, RotatedSecret]


class OngoingCalls:
    """Payments, and questions to the warehouse, that go on all the time."""

    def __init__(self, client: GatewayClient, merchant: str, cards: list[str]) -> None:
        self.client = client
        self.calls = 0
        self.failed = Counter[str]()
        self.milliseconds: list[float] = []
        self._merchant, self._cards = merchant, cards
        self._numbers = count()

    async def go_on(self) -> None:
        """Return once so many more calls have ended."""
        wanted = self.calls + STEADY_CALLS
        while self.calls < wanted:  # noqa: ASYNC110 - what pays has no event to wait for
            await asyncio.sleep(PAUSE_S)

    async def pay(self) -> None:
        """Pay for ever, by cards of both schemes and sometimes by PayPal."""
        while True:
            await self.tell(self._pay(next(self._numbers)))

    async def ask(self, reader: WarehouseReader) -> None:
        """Ask the warehouse for ever."""
        while True:
            await self.tell(asyncio.to_thread(reader.query, "SELECT count(*) FROM payments"))

    async def tell(self, call: Awaitable[object]) -> None:
        """Count a call."""
        began = time.monotonic()
        try:
            await call
        except (GatewayRefused, GatewayUnavailable, QueryRefused) as error:
            self.failed[str(error)] += 1
        self.calls += 1
        self.milliseconds.append((time.monotonic() - began) * 1000)
        await asyncio.sleep(PAUSE_S)

    async def _pay(self, number: int) -> None:
        card = {"type": "card", "card": self._cards[number % CARDS], "cvc": "100"}
        by = {"payment_method": card, "capture": "automatic"}
        if number % 10 == 0:
            by = {"payment_method": {"type": "paypal"}, "return_url": "http://localhost/back"}
        asked = {"amount": 1_000, "currency": "EUR", "merchant": self._merchant}
        payment = await self.client.post(
            "/v1/payments", asked | by | {"occurred_at": BEGAN + number * APART}, new_id("req")
        )
        if payment["state"] not in ("captured", "requires_action"):
            raise GatewayUnavailable(f"a payment is {payment['state']}")


class Rotator:
    """Rotates secrets of one stack by commands, and finds out from when on the one before is refused."""

    def __init__(self, measured: stack.Stack, server: Server, load: OngoingCalls) -> None:
        self.rotated: dict[str, RotatedSecret] = {}
        self._measured, self._server, self._load = measured, server, load
        self._secrets = measured.settings.secrets()
        self._url = measured.settings.url("gateway")

    async def processor(self, name: ProcessorName, new: str) -> None:
        """As at a processor: both count, then the gateway shows the new one, then the old one is deleted."""
        known = ProcessorSettings(
            data=self._measured.settings.data, port_offset=self._measured.settings.port_offset
        )
        old = known.secret(name).text()
        await self._accept(name, [old, new])
        async with self._rotating(SECRET_FILES[name], lambda: self._is_strange(name, old), given=new):
            await self._accept(name, [new])

    async def database(self) -> None:
        """Connections are ended, so that the gateway needs new ones."""
        old, url = self._text("database.password"), self._measured.environment["SLUICE_DATABASE_URL"]

        async def is_refused() -> bool:
            try:
                await (await asyncpg.connect(url, password=old)).close()
            except asyncpg.InvalidPasswordError:
                return True
            return False

        async with self._rotating("database.password", is_refused):
            idle = f"usename = '{ROLE}' AND state = 'idle'"
            ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {idle}"
            await asyncio.to_thread(self._server.sql, ended)

    async def vault(self) -> None:
        """A new connection that proves the old one is hung up on."""
        client = VaultClient(addresses_of(self._measured.settings.data, ""), self._text("vault.client").encode())
        async with self._rotating("vault.client", lambda: _raises(Unproven, client.ping)):
            pass

    async def service(self, name: str) -> None:
        """The gateway gives no token for the old one."""
        credentials = ClientCredentials(name, self._text(f"{name}.secret"))

        async def fetch() -> None:
            async with GatewayClient(self._url, credentials) as client:
                try:
                    await client.get("/v1/me")  # which no service may, but with a token it is asked for
                except LoginRefused:
                    raise
                except GatewayRefused:
                    return

        async with self._rotating(f"{name}.secret", lambda: _raises(LoginRefused, fetch)):
            pass

    async def warehouse(self, name: str) -> None:
        """The warehouse lets nobody in by the old one."""
        settings = self._measured.settings
        reader = WarehouseReader(settings, name, own_token=self._text(f"warehouse.{name}.token"))

        async def ask() -> None:
            await asyncio.to_thread(reader.query, "SELECT 1")

        async with self._rotating(f"warehouse.{name}.token", lambda: _raises(QueryRefused, ask)):
            pass

    async def signing_key(self, login: PasswordLogin) -> None:
        """The command's key signs in a quarter of an hour, and the one before is deleted twelve hours later.

        Here the next one signs in seconds, whoever pays logs in again, and the old one is deleted then.
        """
        since = int(time.time()) + SIGNS_IN_S
        before, calls = self._load.client, self._load.calls
        (self._secrets / f"gateway.{since}.pem").write_bytes(new_pem())
        await asyncio.sleep(SIGNS_IN_S)
        self._load.client = GatewayClient(self._url, login, connections=AT_ONCE)
        await self._load.client.get("/v1/me")
        (self._secrets / FIRST).unlink()
        token = before._tokens.kept()

        async def show_old() -> None:
            async with GatewayClient(self._url) as client:
                await client.acting_by(token).get("/v1/me")

        await self._until(FIRST, calls, lambda: _raises(GatewayRefused, show_old))
        await before.close()

    @asynccontextmanager
    async def _rotating(self, name: str, is_refused: IsRefused, given: str = "") -> AsyncIterator[None]:
        """Rotate by the command; what is in the block comes before the old one has to be refused."""
        calls = self._load.calls
        words = ["rotate", name, "--overlap", f"{OVERLAP_S}s", "--data", str(self._measured.settings.data)]
        environment = self._measured.environment
        more = ["--from", "-"] if given else []
        ran = await asyncio.to_thread(
            CliRunner().invoke, keys, words + more, input=given, env=environment, catch_exceptions=False
        )
        if ran.exit_code:
            raise RuntimeError(ran.output)
        await self._load.go_on()
        yield
        await self._until(name, calls, is_refused)

    async def _until(self, name: str, calls: int, is_refused: IsRefused) -> None:
        began = time.monotonic()
        while not await is_refused():
            if time.monotonic() > began + GONE_WITHIN_S:
                raise RuntimeError(f"{name}: the one before is still taken")
            await asyncio.sleep(0.1)
        seconds = round(time.monotonic() - began, 1)
        await self._load.go_on()
        self.rotated[name] = RotatedSecret(self._load.calls - calls, seconds)

    def _text(self, name: str) -> str:
        return (self._secrets / name).read_text().strip()

    async def _accept(self, name: ProcessorName, secrets: list[str]) -> None:
        asked = {"processor": name, "secrets": secrets}
        url = f"{self._measured.settings.url('sandbox')}/_sandbox/secrets"
        async with aiohttp.ClientSession() as session, session.put(url, json=asked) as answer:
            answer.raise_for_status()

    async def _is_strange(self, name: ProcessorName, secret: str) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / SECRET_FILES[name]).write_text(secret)
            ports = self._measured.settings.port_offset
            processors = open_processors(ProcessorSettings(secrets_directory=Path(folder), port_offset=ports))
            query = Query(new_id("op"), new_id("att"), "authorize", Money(100, "EUR"), order_reference="NONE")
            try:
                found = await processors[name].lookup(query)
                return "401" in found.detail or "no access token" in found.detail
            finally:
                for processor in processors.values():
                    await processor.close()


async def _raises(kind: type[Exception], call: Callable[[], Awaitable[object]]) -> bool:
    try:
        await call()
    except kind:
        return True
    return False


@click.command()
@click.option("--whole", is_flag=True, help="The whole stack, with the warehouse.")
def main(whole: bool) -> None:
    """Rotate every secret of a stack once under payments; a minute."""
    with tempfile.TemporaryDirectory(prefix="sluice-rotations-") as folder, serving(durable=True) as server:
        data, password = Path(folder), token_hex(16)
        put_next(data / "secrets" / "database.password", password)
        take_next(data / "secrets" / "database.password")
        database = {"SLUICE_DATABASE_URL": server.with_password(ROLE, password)}
        only = () if whole else PAYING
        with stack.running(data=data, only=only, settings=SETTINGS | database) as measured:
            measured.environment |= database
            measured.await_ready(*(() if whole else ("sandbox", "vault")))
            _await_gateway(measured)
            figures = asyncio.run(_run(measured, server, whole=whole))
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    sys.exit(bool(figures.failed))


def _await_gateway(measured: stack.Stack) -> None:
    """Return once it answers. Without Kafka it is not ready for a first time, but takes payments all the same."""
    url, give_up = measured.settings.url("gateway"), time.monotonic() + stack.READY_WITHIN_S
    while True:
        with suppress(OSError), urllib.request.urlopen(f"{url}/healthz", timeout=5):
            return
        if time.monotonic() > give_up:
            raise stack.NotReady((measured.settings.data / "up.log").read_text()[-2000:])
        time.sleep(0.1)


async def _run(measured: stack.Stack, server: Server, *, whole: bool) -> RotationFigures:
    login = PasswordLogin("replay@example.com", measured.replay.seed_password)
    load = await _prepared(measured, login)
    readers = [WarehouseReader(measured.settings, name) for name in WRITERS_READERS] if whole else []
    paying = [asyncio.create_task(load.pay()) for _ in range(AT_ONCE)]
    paying += [asyncio.create_task(load.ask(reader)) for reader in readers]
    rotator = Rotator(measured, server, load)
    try:
        await rotator.processor("visa", f"key-of-ours {NEW_VISA}")
        await rotator.processor("mastercard", token_hex(16))
        await rotator.processor("paypal", token_hex(16))
        await rotator.database()
        await rotator.vault()
        for name in (*SERVICES, "dashboard"):
            await rotator.service(name)
        for name in WRITERS_READERS if whole else ():
            await rotator.warehouse(name)
        await rotator.signing_key(login)
    finally:
        for task in paying:
            task.cancel()
        await asyncio.gather(*paying, return_exceptions=True)
        await load.client.close()
    return RotationFigures(load.calls, dict(load.failed), quantiles(load.milliseconds), rotator.rotated)


async def _prepared(measured: stack.Stack, login: PasswordLogin) -> OngoingCalls:
    url = measured.settings.url("gateway")
    async with GatewayClient(url, PasswordLogin("admin@example.com", login.password)) as admin:
        merchant = str((await admin.post("/v1/merchants", {"name": "Rotated"}, "rotated"))["id"])
    client = GatewayClient(url, login, connections=AT_ONCE)
    numbers = [{"number": card_number(number), "exp_month": 1, "exp_year": 2039} for number in range(CARDS)]
    cards = [str((await client.post("/v1/cards", card, new_id("req")))["id"]) for card in numbers]
    return OngoingCalls(client, merchant, cards)


if __name__ == "__main__":
    main()
