"""`sluice evaluate`: the fraud flow's own scoring and rules over a labelled file, without a broker."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from sys import intern
from time import process_time

import click
import msgspec

from flows.fraud.inputs import DAY, PaymentInput, about_one_euro
from flows.fraud.pipeline import score_prequentially
from flows.fraud.rule_values import scored_values
from flows.fraud.rules import Controls
from schemas.controls import DEFAULTS
from sluice.cli import CURRENCY, DURATION
from sluice.dataset import NotTransactions, open_transactions
from sluice.derived_keys import DerivedKeys
from sluice.fraud_metrics import FraudMetrics, RankedPayment, mean, measure_week

EPOCH = date(1970, 1, 1)
WEEKS = 4
DIGITS = 4

LabelledPayments = list[tuple[PaymentInput, bool]]


class EvaluationReport(msgspec.Struct, frozen=True):
    """What `sluice evaluate` prints. `weeks` by their first day; `outcomes`: shares of their payments.

    `left_out`: rows of the file that are no payments, or have no label, by what they lack.
    `per_cpu_second`: payments scored and learned (features, score, rules, label) in one second of one core.
    """

    payments: int
    frauds: int
    label_delay_days: float
    reviews_per_day: int
    mean: FraudMetrics
    weeks: dict[str, FraudMetrics]
    outcomes: dict[str, float]
    per_cpu_second: float
    left_out: dict[str, int] = {}


class DateList(click.ParamType[list[int]]):
    """Dates such as `2018-07-04,2018-07-11`."""

    name = "dates"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """The dates as days since 1970. Fails with a usage error where one is no date."""
        try:
            return [(date.fromisoformat(text) - EPOCH).days for text in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is not a list of dates such as 2018-07-04,2018-07-11", param, ctx)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--label-delay", type=DURATION, default="7d", show_default=True, help="When a label comes.")
@click.option("--test-weeks", type=DateList(), help="First days of the weeks to test on; else the last four.")
@click.option("--currency", type=CURRENCY, default="EUR", show_default=True, help="Of all amounts in the file.")
@click.option("--reviews-per-day", type=click.IntRange(0), default=0, help="Cards that people review each day.")
@click.option("--derive-keys", is_flag=True, help="Make up what the file lacks (device, address …) from the card.")
def evaluate(
    file: Path,
    label_delay: timedelta,
    test_weeks: list[int] | None,
    currency: str,
    reviews_per_day: int,
    derive_keys: bool,
) -> None:
    """Score FILE as the flow would: each payment before its label is known. Prints JSON."""
    try:
        payments, left_out = labelled(file, currency)
    except NotTransactions as error:
        raise click.ClickException(f"{file}: {error}") from None
    starts = test_weeks or last_weeks(payments)
    if derive_keys:
        keys = DerivedKeys(payment.instrument_id for payment, _ in payments)
        payments = [(keys.fill(payment), fraud) for payment, fraud in payments]
    try:
        answer = report(payments, label_delay.total_seconds(), starts, reviews_per_day)
    except ValueError as error:
        raise click.ClickException(f"a test week cannot be measured: {error}") from None
    answer = msgspec.structs.replace(answer, left_out=left_out)
    click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def labelled(file: Path, currency: str) -> tuple[LabelledPayments, dict[str, int]]:
    """The payments of a file, each with whether it was fraud, and how many rows are none, by what they lack.

    Raises `NotTransactions` where there is none.
    """
    euro = about_one_euro(currency)
    found, unlabelled = [], 0
    with open_transactions(file, currency) as opened:
        for number, t in enumerate(opened.transactions()):
            if t.is_fraud is None:
                unlabelled += 1
                continue
            # Interned: one text per card and merchant, not one per payment.
            card_id, merchant_id = intern(str(t.card_id)), intern(str(t.merchant_id))
            payment = PaymentInput(str(number), card_id, merchant_id, t.amount, currency, euro, t.ts.timestamp())
            found.append((payment, t.is_fraud))
        if not found:
            raise NotTransactions("it has no column is_fraud, or no row with a label")
        return found, opened.left_out | ({"no label": unlabelled} if unlabelled else {})


def last_weeks(payments: LabelledPayments) -> list[int]:
    """The first days of the last four whole weeks, as days since 1970."""
    end = int(payments[-1][0].at // DAY) + 1
    return [end - 7 * back for back in range(WEEKS, 0, -1)]


def report(
    payments: LabelledPayments, label_delay_s: float, starts: Sequence[int], reviews_per_day: int = 0
) -> EvaluationReport:
    """Score all payments, with labels `label_delay_s` late, or told by one of `reviews_per_day` the day after.

    Raises `ValueError` for a week without fraud.
    """
    controls, outcomes, ranked = Controls(DEFAULTS), Counter[str](), []
    tested = {day for start in starts for day in range(start, start + 7)}
    began = process_time()
    scored = score_prequentially(payments, label_delay_s, reviews_per_day)
    for (payment, fraud), (item, score) in zip(payments, scored, strict=True):
        day = int(payment.at // DAY)
        if day in tested:
            met = controls.met(scored_values(item)).live
            outcomes[met[0].outcome if met else "allow"] += 1
        ranked.append(RankedPayment(day, payment.instrument_id, fraud, score))
    seconds = process_time() - began
    weeks = {str(EPOCH + timedelta(days=start)): measure_week(ranked, start) for start in starts}
    return EvaluationReport(
        len(payments),
        sum(fraud for _, fraud in payments),
        label_delay_s / DAY,
        reviews_per_day,
        _rounded(mean(list(weeks.values()))),
        {start: _rounded(week) for start, week in weeks.items()},
        {outcome: round(count / outcomes.total(), 5) for outcome, count in outcomes.most_common()},
        round(len(payments) / seconds),
    )


def _rounded(metrics: FraudMetrics) -> FraudMetrics:
    return FraudMetrics(*(round(value, DIGITS) for value in msgspec.structs.astuple(metrics)))
