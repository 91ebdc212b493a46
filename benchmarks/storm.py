"""`python -m benchmarks.storm`: what payments, and an account's owner, notice of a storm of logins.

50 wrong passwords a second for the admin's account, from a hundred addresses, while payments go on at a gentle
pace; calm and storm in turn. Meanwhile the admin logs in: by a known device, from a known address, as a stranger.
With `--right` the storm is of right passwords, of customers on devices that their accounts know. Prints JSON.
"""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from time import perf_counter

import click
import msgspec

from benchmarks import stack
from benchmarks.figures import Quantiles
from benchmarks.load import PaymentLoad
from connectors.gateway import RETRY_FOR_S, GatewayClient, GatewayRefused, GatewayUnavailable, PasswordLogin
from sluice.freshness import quantiles

ADDRESSES = [f"203.0.113.{n}" for n in range(1, 101)]
ADMIN, HOME = "admin@example.com", "192.0.2.1"
PROXY = {"SLUICE_PROXIES": "127.0.0.1,::1"}  # each login says by X-Forwarded-For where it comes from
WARM_UP = 300
OWNER_PAUSE_S = 3.0

Login = tuple[PasswordLogin, GatewayClient]


class Storm(msgspec.Struct, frozen=True):
    """Milliseconds of payments without and with the storm; what its logins were answered, by status.

    `logged_in_per_second`: those of them that began a session. `cpu_ms`: what a login of the storm costs the
    gateway and the whole stack. `owner` and `owner_ms`: what the admin was answered meanwhile, and when, by how
    the account knows them.
    """

    logins_per_second: float
    logged_in_per_second: float
    payments_per_second: float
    calm_ms: Quantiles
    storm_ms: Quantiles
    p99_more_percent: float
    cpu_ms: dict[str, float]
    answers: dict[str, int]
    owner: dict[str, dict[str, int]]
    owner_ms: dict[str, Quantiles]


@click.command()
@click.option("--rate", default=50.0, help="Logins per second.")
@click.option("--pace", default=30.0, help="Payments per second.")
@click.option("--seconds", default=10.0, help="Of each part.")
@click.option("--rounds", default=4, help="Of a calm and a stormy part.")
@click.option("--accounts", default=1, help="How many e-mail addresses are guessed at, the admin's first.")
@click.option("--right", is_flag=True, help="Log in so many customers with their passwords, instead of guessing.")
@click.option("--attack", default="", help="Only guess, at this gateway, for the seconds on each line.")
def main(rate: float, pace: float, seconds: float, rounds: int, accounts: int, right: bool, attack: str) -> None:
    """Storm a stack of its own."""
    if attack:
        return asyncio.run(_attack(attack, rate, accounts, right=right))
    with stack.running(settings=PROXY) as measured:
        measured.await_ready()
        attacker = Attacker(measured.settings.url("gateway"), rate, accounts, right=right)
        found = asyncio.run(_measure(measured, attacker, rate, pace, seconds, rounds))
    return click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())


class LoginWatch:
    """Logs in, and counts by `way` what was answered and how long it took."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.answers: dict[str, Counter[str]] = {}
        self.took_ms: dict[str, list[float]] = {}

    async def log_in(self, way: str, login: PasswordLogin, ip: str, client: GatewayClient) -> None:
        """Log in from `ip`, on a device that keeps its cookies."""
        began = perf_counter()
        answer = await _answer(client, login, ip)
        self.answers.setdefault(way, Counter())[answer] += 1
        self.took_ms.setdefault(way, []).append((perf_counter() - began) * 1000)

    async def log_in_anew(self, way: str, login: PasswordLogin, ip: str) -> None:
        """Log in from `ip`, on a device that nobody knows."""
        async with GatewayClient(self._url) as client:
            await self.log_in(way, login, ip, client)


async def _answer(client: GatewayClient, login: PasswordLogin, ip: str) -> str:
    try:
        await client.post("/v1/login", login, headers={"X-Forwarded-For": ip})
    except GatewayRefused as refused:
        return str(refused.status)
    except GatewayUnavailable:
        return "none"
    return "200"


async def _measure(
    measured: stack.Stack, attacker: "Attacker", rate: float, pace: float, seconds: float, rounds: int
) -> Storm:
    url, admin = measured.settings.url("gateway"), PasswordLogin(ADMIN, measured.replay.seed_password)
    owner = LoginWatch(url)
    calm, storm = Part(measured), Part(measured)
    async with _payments(measured, url, admin) as payments, GatewayClient(url) as device:
        await owner.log_in("at first", admin, HOME, device)
        for _ in range(rounds):
            await calm.measure(payments, pace, seconds)
            async with attacker.storming(seconds), _owning(owner, admin, device):
                await storm.measure(payments, pace, seconds)
    attacker.close()
    calm_ms, storm_ms = quantiles(calm.latencies_ms), quantiles(storm.latencies_ms)
    before, during = calm.cpu_ms(rate * seconds * rounds), storm.cpu_ms(rate * seconds * rounds)
    return Storm(
        rate,
        round(attacker.answers.get("200", 0) / (seconds * rounds), 1),
        pace,
        calm_ms,
        storm_ms,
        round((storm_ms["p99"] / calm_ms["p99"] - 1) * 100, 1),
        {name: round(during[name] - before[name], 2) for name in before},
        attacker.answers,
        {way: dict(answers) for way, answers in owner.answers.items()},
        {way: quantiles(took) for way, took in owner.took_ms.items()},
    )


class Part:
    """Payments and processor time of all calm parts, or of all stormy ones."""

    def __init__(self, measured: stack.Stack) -> None:
        self._meter = stack.Meter(measured.pids())
        self.latencies_ms: list[float] = []

    async def measure(self, payments: PaymentLoad, pace: float, seconds: float) -> None:
        """Pay for so long."""
        with self._meter.counting():
            await payments.send(round(pace * seconds), pace)
        self.latencies_ms += payments.latencies()

    def cpu_ms(self, logins: float) -> dict[str, float]:
        """Milliseconds of processor time for each of so many logins."""
        costs = self._meter.per(round(logins))
        ours = [cost.cpu_ms for name, cost in costs.items() if name != "load generator"]
        return {"gateway": costs["gateway"].cpu_ms, "stack": sum(ours)}


@asynccontextmanager
async def _payments(measured: stack.Stack, url: str, login: PasswordLogin) -> AsyncIterator[PaymentLoad]:
    """Payments through a stack that is warm."""
    async with (
        GatewayClient(url, PasswordLogin("replay@example.com", login.password), retry_for_s=RETRY_FOR_S) as payer,
        GatewayClient(url, login, retry_for_s=RETRY_FOR_S) as admin,
    ):
        payments = PaymentLoad(measured.replay, payer, admin)
        await payments.prepare()
        await payments.send(WARM_UP)
        yield payments


async def _attack(url: str, rate: float, accounts: int, *, right: bool) -> None:
    storm = LoginWatch(url)
    async with AsyncExitStack() as stack:
        logins = await (_customers if right else _guesses)(stack, url, accounts)
        click.echo("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            await _storm(storm, logins, rate, float(line))
            click.echo(msgspec.json.encode(storm.answers["storm"]).decode())


async def _guesses(stack: AsyncExitStack, url: str, accounts: int) -> Iterator[Login]:
    """Wrong passwords without end, of the admin and of so many who have no account."""
    client = await stack.enter_async_context(GatewayClient(url, connections=1_000))
    emails = [ADMIN, *[f"nobody-{n}@example.com" for n in range(1, accounts)]]
    return ((PasswordLogin(email, f"wrong password {n}"), client) for n, email in enumerate(cycle(emails)))


async def _customers(stack: AsyncExitStack, url: str, accounts: int) -> Iterator[Login]:
    """Right passwords without end, of customers who have logged in before, each on a device of their own."""
    logins = []
    for number in range(accounts):
        client = await stack.enter_async_context(GatewayClient(url))
        login = PasswordLogin(f"customer-{number}@example.com", "a kestrel over the plum tree")
        new = {"email": login.email, "password": login.password, "name": "Customer"}
        came_from = {"X-Forwarded-For": f"192.0.2.{number % 250}"}
        await client.post("/v1/accounts", new, headers=came_from)
        await client.post("/v1/login", login, headers=came_from)
        logins.append((login, client))
    return cycle(logins)


async def _storm(storm: LoginWatch, logins: Iterator[Login], rate: float, seconds: float) -> None:
    """Logins at `rate` per second, whatever they are answered."""
    began, number = perf_counter(), 0
    async with asyncio.TaskGroup() as asked:
        while perf_counter() - began < seconds:
            login, client = next(logins)
            asked.create_task(storm.log_in("storm", login, ADDRESSES[number % len(ADDRESSES)], client))
            number += 1
            await asyncio.sleep(max(0.0, began + number / rate - perf_counter()))


class Attacker:
    """A process of its own: payments are measured in this one."""

    def __init__(self, url: str, rate: float, accounts: int, *, right: bool = False) -> None:
        given = [
            "--attack",
            url,
            "--rate",
            str(rate),
            "--accounts",
            str(accounts),
            *(["--right"] if right else []),
        ]
        command = [sys.executable, "-m", "benchmarks.storm", *given]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answers: dict[str, int] = {}
        assert self._process.stdout
        self._process.stdout.readline()  # once its customers have logged in

    @asynccontextmanager
    async def storming(self, seconds: float) -> AsyncIterator[None]:
        """Storm for so long; it is over at the end."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        yield
        self.answers = msgspec.json.decode(await asyncio.to_thread(self._process.stdout.readline))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@asynccontextmanager
async def _owning(owner: LoginWatch, login: PasswordLogin, device: GatewayClient) -> AsyncIterator[None]:
    """The right password, in each way every few seconds."""

    async def go_on() -> None:
        for number in range(1_000_000):
            await asyncio.sleep(OWNER_PAUSE_S)
            await owner.log_in("known device", login, f"198.51.100.{number % 250}", device)
            await owner.log_in_anew("known address", login, HOME)
            await owner.log_in_anew("stranger", login, f"2001:db8:{number:x}::1")

    owning = asyncio.create_task(go_on())
    yield
    owning.cancel()


if __name__ == "__main__":
    main()
