"""How a world is opened: its settings, its accounts and cards, and what is heard of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import structlog

from benchmarks.machine.death import task_factory
from benchmarks.machine.world import Judge, World
from connectors.processors.settings import ProcessorSettings
from connectors.sandbox import fault_effects
from connectors.sandbox.sandbox import Sandbox
from connectors.settings import ChannelSettings
from gateway.books import accounts
from gateway.books.cards import CardRow, upsert_card
from gateway.refusals import Refusal
from gateway.runtime import opened
from gateway.seed import seed_accounts
from gateway.settings import GatewaySettings
from gateway.vault.addresses import UnixAddress
from gateway.vault.client import VaultAway, VaultClient
from gateway.vault.proof import SECRET_FILE
from schemas.times import now_micros

NO_KAFKA = "localhost:1"  # nobody listens there
CALL_TIMEOUT_S = 0.03  # how long a silent processor is waited for

# Name → number and expiry. What each does is in `connectors/sandbox/magic.py`.
CARDS = {
    "visa": ("4111111111111111", 1, 2039),
    "visa_declined": ("4000000000000002", 1, 2039),
    "visa_technical": ("4000000000000119", 1, 2039),
    "visa_risk": ("4000000000009235", 1, 2039),
    "visa_no_capture": ("4000000000000341", 1, 2039),
    "visa_no_void": ("4000000000000606", 1, 2039),
    "visa_no_refund": ("4000000000005126", 1, 2039),
    "mastercard": ("5555555555554444", 1, 2039),
    "mastercard_declined": ("5105105105105100", 5, 2039),
    "mastercard_technical": ("5454545454545454", 2, 2037),
    "mastercard_doubtful": ("5425233430109903", 5, 2037),
    "mastercard_no_capture": ("5200828282828210", 2, 2039),
    "mastercard_no_void": ("5111111111111118", 3, 2039),
    "mastercard_no_refund": ("5500000000000004", 4, 2039),
}


def secret_beside(vault: Path) -> Path:
    """The client secret of a vault whose socket is in its data directory."""
    return vault.parent / "secrets" / SECRET_FILE


def await_vault(path: Path, within_s: float) -> None:
    """Return once the vault on the socket at `path` answers. Raises `TimeoutError`."""
    give_up = monotonic() + within_s
    while not (path.exists() and asyncio.run(answers(_client(path)))):  # its secret is there before its socket
        if monotonic() > give_up:
            raise TimeoutError(f"no vault on {path}")
        sleep(0.05)


def _client(path: Path) -> VaultClient:
    return VaultClient([UnixAddress(path)], secret_beside(path).read_bytes())


async def answers(client: VaultClient) -> bool:
    """Whether the vault replies to a client; it is closed then."""
    try:
        await client.ping()
    except VaultAway:
        return False
    finally:
        await client.close()
    return True


def settings_of(data: Path, vault: Path, database_url: str = "") -> GatewaySettings:
    """The settings of a world: nobody is waited for long, and the stand-in lets everything through."""
    return GatewaySettings(
        data=data,
        vault=str(vault),
        vault_client=secret_beside(vault),
        database_url=database_url,
        kafka=NO_KAFKA,
        seed=True,
        call_timeout_s=CALL_TIMEOUT_S,
        stand_in_card_cap=10**12,
        stand_in_merchant_cap=10**12,
        stand_in_first_card_cap=10**12,
    )


@contextmanager
def running(settings: GatewaySettings, processors: ProcessorSettings) -> Iterator[World]:
    """A world on an event loop of its own. `settings.vault` must answer."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(task_factory)
    loop.set_exception_handler(_on_loose_error)
    asyncio.set_event_loop(loop)
    stack = AsyncExitStack()
    try:
        yield loop.run_until_complete(stack.enter_async_context(_opened(settings, processors)))
    finally:
        loop.run_until_complete(stack.aclose())
        asyncio.set_event_loop(None)
        loop.close()


@asynccontextmanager
async def _opened(settings: GatewaySettings, processors: ProcessorSettings) -> AsyncIterator[World]:
    sandbox, logging = Sandbox(processors), structlog.get_config()
    await sandbox.open()
    async with opened(settings, processors, ChannelSettings(data=settings.data)) as runtime:
        world = World(asyncio.get_running_loop(), runtime, sandbox)
        await runtime.relay.close()  # events stay in the books, where the audit reads them
        await runtime.verdicts.close()
        runtime.verdicts, runtime.books.listener = Judge(), lambda facts: None
        structlog.configure(processors=[world.hear])
        await _furnish(world)
        with _counted_waits(world):
            yield world
            await world.behave()
        structlog.configure(**logging)
    sandbox.close()


async def _furnish(world: World) -> None:
    """Accounts, and a token for every card."""
    runtime = world.runtime
    await seed_accounts(runtime)
    for name in ("customer", "merchant", "analyst"):
        account = await runtime.books.read(accounts.by_email, f"{name}@example.com")
        assert account is not None
        setattr(world, name, account.id)
    for name, (number, month, year) in CARDS.items():
        stored = await runtime.vault.store(world.customer, number, month, year)
        card = CardRow(
            id=stored.card_id,
            owner_id=world.customer,
            brand=stored.brand,
            bin=stored.bin,
            last4=stored.last4,
            exp_month=month,
            exp_year=year,
            fingerprint=stored.fingerprint,
            created_at=now_micros(),
        )
        await runtime.books.write(upsert_card, card)
        world.cards[name] = card


@contextmanager
def _counted_waits(world: World) -> Iterator[None]:
    """Count the calls that a twin holds back: a slow one is applied in the step in which its wait ends."""
    waits = fault_effects.wait

    async def counted(cleared: asyncio.Event, seconds: float | None) -> bool:
        world.held += 1
        try:
            return await waits(cleared, seconds)
        finally:
            world.held -= 1

    fault_effects.wait = counted
    try:
        yield
    finally:
        fault_effects.wait = waits


def _on_loose_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A refusal whose caller has died interests nobody; PostgreSQL's books go on without the caller."""
    if not isinstance(context.get("exception"), Refusal):
        loop.default_exception_handler(context)
