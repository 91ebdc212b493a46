"""`python -m benchmarks.fraud_speed FILE`: how many payments of a labelled file a CPU second scores and learns.

Twice, in turns: with the keys that the file has, and with every key filled (`sluice.derived_keys`), fifty rules
judging each payment both times. Prints JSON; with other work on the machine only the ratio means something.
"""

import gc
from pathlib import Path
from statistics import median
from time import process_time

import click
import msgspec

from flows.fraud.inputs import DAY
from flows.fraud.pipeline import score_prequentially
from flows.fraud.rule_values import scored_values
from flows.fraud.rules import Controls
from schemas.controls import DEFAULTS
from schemas.features import FEATURES
from schemas.rules import FraudRule, default_rule
from sluice.derived_keys import DerivedKeys
from sluice.evaluate import LabelledPayments, labelled

RULES = 50


class FraudSpeed(msgspec.Struct, frozen=True):
    """Payments per CPU second, medians of the rounds: `own_keys` of the file, `every_key` filled.

    `features`: how many numbers the last payment had, by each.
    """

    payments: int
    rules: int
    own_keys: float
    every_key: float
    features: tuple[int, int]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--payments", default=100_000, help="From the beginning of the file.")
@click.option("--rounds", default=3)
def main(file: Path, payments: int, rounds: int) -> None:
    """Measure both in turns."""
    own = labelled(file, "EUR")[0][:payments]
    keys = DerivedKeys(payment.instrument_id for payment, _ in own)
    filled = [(keys.fill(payment), fraud) for payment, fraud in own]
    gc.freeze()  # as the flow does after its start
    rates = [(_rate(own), _rate(filled)) for _ in range(rounds)]
    (own_rates, own_counts), (filled_rates, filled_counts) = (
        zip(*each, strict=True) for each in zip(*rates, strict=True)
    )
    found = FraudSpeed(len(own), RULES, median(own_rates), median(filled_rates), (own_counts[0], filled_counts[0]))
    click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())


def fifty_rules() -> tuple[FraudRule, ...]:
    """The rules of a new stack, and others on every third feature."""
    names = [name for name, feature in FEATURES.items() if feature.source == "feature"][::3]
    more = [default_rule(f"more_{name}", f"{name} >= 1e12", "flag") for name in names]
    return (*DEFAULTS, *more)[:RULES]


def _rate(payments: LabelledPayments) -> tuple[int, int]:
    controls, count, began = Controls(fifty_rules()), 0, process_time()
    for item, _ in score_prequentially(payments, 7 * DAY):
        controls.met(scored_values(item))
        count = len(item.features)
    return round(len(payments) / (process_time() - began)), count


if __name__ == "__main__":
    main()
