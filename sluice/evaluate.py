"""`sluice evaluate`: the fraud flow's own features, model and rules over a labelled file, without a broker."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from sys import intern
from time import process_time

import click
import msgspec

from flows.fraud.facts import DAY, Facts
from flows.fraud.prequential import scores
from flows.fraud.rules import SCORE, Controls
from schemas.money import unit
from sluice.cli import DURATION
from sluice.dataset import NotTransactions, read_transactions
from sluice.measures import Measures, Scored, mean, measure_week

EPOCH = date(1970, 1, 1)
WEEKS = 4
DIGITS = 4

Labelled = list[tuple[Facts, bool]]


class Report(msgspec.Struct, frozen=True):
    """What `sluice evaluate` prints. `weeks` by their first day; `outcomes`: shares of the payments in them.

    `per_cpu_second`: payments, with features, labels, score, rules and learning, on one core.
    """

    payments: int
    frauds: int
    label_delay_days: float
    mean: Measures
    weeks: dict[str, Measures]
    outcomes: dict[str, float]
    per_cpu_second: float


class Starts(click.ParamType[list[int]]):
    """Dates such as `2018-07-04,2018-07-11`."""

    name = "dates"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """The days since 1970; a usage error where one is no date."""
        try:
            return [(date.fromisoformat(text) - EPOCH).days for text in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is not a list of dates such as 2018-07-04,2018-07-11", param, ctx)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--label-delay", type=DURATION, default="7d", show_default=True, help="When a label comes.")
@click.option("--test-weeks", type=Starts(), help="First days of the weeks to test on; else the last four.")
@click.option("--currency", default="EUR", show_default=True, help="Of all amounts in the file.")
def evaluate(file: Path, label_delay: timedelta, test_weeks: list[int] | None, currency: str) -> None:
    """Score FILE as the flow would: each payment before its label is known. Prints JSON."""
    try:
        payments = labelled(file, currency)
    except NotTransactions as error:
        raise click.ClickException(str(error)) from None
    starts = test_weeks or last_weeks(payments)
    try:
        answer = report(payments, label_delay.total_seconds(), starts)
    except ValueError as error:
        raise click.ClickException(f"a test week cannot be measured: {error}") from None
    click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def labelled(file: Path, currency: str) -> Labelled:
    """The payments of a file and whether each was fraud. Raises `NotTransactions` where it has no labels."""
    whole = unit(currency)
    found = []
    for number, t in enumerate(read_transactions(file, currency, 0, None)):
        if t.is_fraud is None:
            raise NotTransactions(f"{file} has no column is_fraud, or a row without it")
        card, merchant = intern(str(t.card_id)), intern(str(t.merchant_id))  # one text each, not one a payment
        facts = Facts(str(number), card, merchant, t.amount, currency, whole, t.ts.timestamp())
        found.append((facts, t.is_fraud))
    if not found:
        raise NotTransactions(f"{file} is empty")
    return found


def last_weeks(payments: Labelled) -> list[int]:
    """The first days of the last four whole weeks."""
    end = int(payments[-1][0].at // DAY) + 1
    return [end - 7 * back for back in range(WEEKS, 0, -1)]


def report(payments: Labelled, delay: float, starts: Sequence[int]) -> Report:
    """Score everything with labels `delay` seconds late. Raises `ValueError` for a week without fraud."""
    controls, outcomes, scored = Controls(), Counter[str](), []
    tested = {day for start in starts for day in range(start, start + 7)}
    began = process_time()
    for (facts, fraud), (features, score) in zip(payments, scores(payments, delay), strict=True):
        day = int(facts.at // DAY)
        if day in tested:
            met = controls.met({**features, SCORE: score})
            outcomes[met[0].outcome if met else "allow"] += 1
        scored.append(Scored(day, facts.instrument, fraud, score))
    seconds = process_time() - began
    weeks = {str(EPOCH + timedelta(days=start)): measure_week(scored, start) for start in starts}
    return Report(
        len(payments),
        sum(fraud for _, fraud in payments),
        delay / DAY,
        _rounded(mean(list(weeks.values()))),
        {start: _rounded(week) for start, week in weeks.items()},
        {outcome: round(count / outcomes.total(), 5) for outcome, count in outcomes.most_common()},
        round(len(payments) / seconds),
    )


def _rounded(measures: Measures) -> Measures:
    return Measures(*(round(value, DIGITS) for value in msgspec.structs.astuple(measures)))
