"""`python -m benchmarks.mangled`: 2,000 mangled requests over raw sockets to a stack of its own; prints JSON.

Each is a valid request of the OpenAPI document, mutated up to three times: its first line, its headers, how its
body is framed, the body, how it is sent. A good request follows on the same connection. Ends with 1 where an
answer is a 5xx, is refused without a problem's code, or shows anything of the request; where the good request
waits in vain; or where the gateway was restarted, logged a crash or a canary. The seed is printed; `--seed` and
`--only` make a request again.
"""

import asyncio
import random
import sys
from pathlib import Path

import click
import msgspec
import structlog

from benchmarks import stack
from benchmarks.mangled.raw import CANARY
from benchmarks.mangled.run import Gatecrasher, MangledFigures
from gateway.seed import SERVICES
from sluice.status import read

CRASHED = '"request.crashed"'


@click.command()
@click.option("--requests", default=2_000, help="How many.")
@click.option("--seed", type=int, default=None, help="Of everything random; a new one unless given.")
@click.option("--only", type=int, default=None, help="The number of the one request to send.")
def main(requests: int, seed: int | None, only: int | None) -> None:
    """Send mangled requests to a stack of its own; takes two minutes."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    numbers = range(requests) if only is None else range(only, only + 1)
    with stack.running() as measured:
        measured.await_ready()
        before = measured.pids()["gateway"]
        figures = asyncio.run(_crash(measured, seed, numbers))
        unwell = _unwell(measured, before)
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    for complaint in unwell:
        click.echo(complaint, err=True)
    sys.exit(bool(figures.findings or unwell))


async def _crash(measured: stack.Stack, seed: int, numbers: range) -> MangledFigures:
    secrets = {name: (measured.settings.secrets() / f"{name}.secret").read_text().strip() for name in SERVICES}
    crasher = Gatecrasher(measured.settings.url("gateway"), measured.replay.seed_password, secrets, seed)
    await crasher.prepare()
    return await crasher.crash(numbers)


def _unwell(measured: stack.Stack, pid: int) -> list[str]:
    """What is wrong with the gateway afterwards."""
    found = [] if measured.pids()["gateway"] == pid else ["the gateway was restarted"]
    found += [f"{entry.name} is {entry.state}" for entry in read(measured.settings) if entry.state != "ready"]
    logs = list(Path(measured.settings.data / "logs").glob("gateway*"))
    for word in (CRASHED, CANARY):
        found += [f"{log.name} has {word}" for log in logs if word in log.read_text()]
    return found


if __name__ == "__main__":
    main()
