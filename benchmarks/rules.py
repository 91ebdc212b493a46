"""`python -m benchmarks.rules`: what fifty rules cost a payment, and the check of the worst text, as JSON."""

import random
import time
from collections.abc import Callable
from statistics import median

import click
import msgspec

from schemas.expressions import check, compiled, compiled_together, parse
from schemas.features import FEATURES

RULES, PAYMENTS, ROUNDS = 50, 2_000, 7
GOAL_US = 15.0
WORST = "(" + " and ".join(f"gap - {number} > hour - {number} * gap" for number in range(60)) + ")"


class RuleFigures(msgspec.Struct, frozen=True):
    """CPU: `payment_us` for all rules of a payment; `check_ms` of the worst text, `compile_ms` of a rule."""

    rules: int
    payment_us: float
    check_ms: float
    compile_ms: float


@click.command()
def main() -> None:
    """Measure the rules; a few seconds."""
    figures = measure()
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    raise SystemExit(figures.payment_us > GOAL_US)


def measure() -> RuleFigures:
    """The median of some rounds each; payments have values in the ranges of the names, every tenth is missing."""
    chosen = random.Random(14)  # the same each time
    texts = [rule(chosen) for _ in range(RULES)]
    which_hold = compiled_together(map(parse, texts))
    payments = [values(chosen) for _ in range(PAYMENTS)]

    def judge() -> None:
        for payment in payments:
            which_hold(payment)

    worst, plain = parse(WORST), parse(texts[0])
    return RuleFigures(
        RULES,
        round(_cpu_us(judge) / PAYMENTS, 2),
        round(_cpu_us(lambda: check(worst, FEATURES)) / 1000, 1),
        round(_cpu_us(lambda: compiled(plain)) / 1000, 2),
    )


def rule(chosen: random.Random) -> str:
    """Three comparisons, of which the first holds for half of the payments."""
    names = chosen.sample([name for name, feature in FEATURES.items() if feature.type == "number"], 3)
    parts = [f"{name} >= {_value(chosen, name):.3g}" for name in names]
    return " and ".join(parts).replace("-", "0 - ")


def values(chosen: random.Random) -> dict[str, float | str]:
    """Of a payment: nine in ten of the names have one."""
    numbers = [name for name, feature in FEATURES.items() if feature.type == "number"]
    return {name: _value(chosen, name) for name in numbers if chosen.random() > 0.1}


def _value(chosen: random.Random, name: str) -> float:
    feature = FEATURES[name]
    return chosen.uniform(feature.low or 0, 100 if feature.high is None else feature.high)


def _cpu_us(run: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        run()
        taken.append((time.process_time_ns() - began) / 1000)
    return median(taken)


if __name__ == "__main__":
    main()
