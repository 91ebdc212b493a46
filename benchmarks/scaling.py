"""`python -m benchmarks.scaling`: what each component costs, fitted on two rates and held against two others.

A component uses `idle` of a core, and so many milliseconds of one per payment more: a line through the two rates
of `--fit`. What the line says for the rates of `--check` is compared with what was used there. Prints JSON: the
lines, how far each is off, at what rate a component that is one process has used up its core, and how many cores
1,000 and 10,000 payments a second would take. PostgreSQL, and two gateways, which are one component.
"""

import asyncio

import click
import msgspec

from benchmarks import stack
from benchmarks.throughput import loads, send

WARM_UP = 600  # payments
SETTLED_S = 3.0
ASKED = (1_000, 10_000)  # payments per second
SMALL = 0.02  # of a core: below it a component's share is not worth a percentage
NOT_OURS = ("load generator",)
GATEWAYS = 2

Used = dict[str, float]  # cores, by component


class Component(msgspec.Struct, frozen=True):
    """`idle`: of a core. `ms`: of one, per payment. `full_at`: payments per second that one process could make.

    `cores`: by payments per second. `off_percent`: what the line says against what was used, by rate.
    """

    idle: float
    ms: float
    full_at: int
    cores: dict[int, float]
    off_percent: dict[str, float]


class Scaling(msgspec.Struct, frozen=True):
    """The components, all of them together, and what was used at each rate (payments per second)."""

    components: dict[str, Component]
    together: Component
    used: dict[str, Used]
    reached: dict[str, float]


@click.command()
@click.option("--fit", nargs=2, type=float, default=(6.0, 24.0), show_default=True, help="Payments per second.")
@click.option("--check", nargs=2, type=float, default=(12.0, 32.0), show_default=True)
@click.option("--seconds", default=20.0, help="At each rate.")
def main(fit: tuple[float, float], check: tuple[float, float], seconds: float) -> None:
    """Fit the costs of a payment on a stack of its own; some minutes."""
    settings = stack.OPEN_STAND_IN | {"SLUICE_GATEWAYS": str(GATEWAYS)}
    with stack.running("postgres", settings=settings) as measured:
        measured.await_ready()
        reached, used = asyncio.run(_used(measured, sorted((*fit, *check)), seconds))
    found = fitted(used, reached, fit, check)
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())


async def _used(
    measured: stack.Stack, rates: list[float], seconds: float
) -> tuple[dict[float, float], dict[float, Used]]:
    """The rates that came about, and what was used at each."""
    reached, used = dict[float, float](), dict[float, Used]()
    async with loads(measured, GATEWAYS) as each:
        await send(each, WARM_UP)
        for rate in rates:
            await asyncio.sleep(SETTLED_S)
            meter, payments = stack.Meter(measured.pids()), int(rate * seconds)
            began = asyncio.get_running_loop().time()
            with meter.counting():
                await send(each, payments, rate)
                took = asyncio.get_running_loop().time() - began
            reached[rate] = payments / took
            cores = {name: cost.cpu_ms * payments / 1000 / took for name, cost in meter.per(payments).items()}
            cores["gateway"] += cores.pop("gateway_2")
            used[rate] = cores
    return reached, used


def fitted(
    used: dict[float, Used], reached: dict[float, float], fit: tuple[float, float], check: tuple[float, ...]
) -> Scaling:
    """The lines through what was used at the rates of `fit`, and how far they are off at those of `check`."""
    names = [name for name in used[fit[0]] if name not in NOT_OURS]
    together = {rate: {"all": sum(found[name] for name in names)} for rate, found in used.items()}
    return Scaling(
        components={name: _component(name, used, reached, fit, check) for name in names},
        together=_component("all", together, reached, fit, check),
        used={
            f"{rate:g}/s": {name: round(cores, 3) for name, cores in found.items()} for rate, found in used.items()
        },
        reached={f"{rate:g}/s": round(each, 1) for rate, each in reached.items()},
    )


def _component(
    name: str,
    used: dict[float, Used],
    reached: dict[float, float],
    fit: tuple[float, float],
    check: tuple[float, ...],
) -> Component:
    (low, high), (at_low, at_high) = ((reached[rate] for rate in fit), (used[rate][name] for rate in fit))
    slope = max((at_high - at_low) / (high - low), 0.0)  # seconds of a core per payment
    idle = max(at_low - slope * low, 0.0)
    return Component(
        idle=round(idle, 3),
        ms=round(slope * 1000, 3),
        full_at=round((1 - idle / (GATEWAYS if name == "gateway" else 1)) / slope) if slope else 0,
        cores={rate: round(idle + slope * rate, 2) for rate in ASKED},
        off_percent={
            f"{rate:g}/s": round(100 * ((idle + slope * reached[rate]) / used[rate][name] - 1), 1)
            for rate in check
            if used[rate][name] >= SMALL
        },
    )


if __name__ == "__main__":
    main()
