"""`sluice fraud replay`: the fraud flow's verdicts made again from Kafka alone, and compared bit by bit."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from copy import deepcopy
from pathlib import Path
from time import monotonic
from typing import Any

import click
import msgspec
from confluent_kafka import KafkaException

from connectors.record_reader import OffsetGone
from flows.fraud.replaying import Difference, FlowReplay, OrderUnknown, ReplayedState
from flows.fraud.rules import Controls
from flows.fraud.settings import FraudSettings
from flows.fraud.startup import told_controls
from schemas.controls import ToldControl
from schemas.settings import load
from sluice.cli import DATA
from sluice.kafka import reach
from sluice.recorded_verdicts import RecordedVerdicts

VERSIONS_MAX = 1_000  # of the controls that are made to find those that verdicts name


class ReplayReport(msgspec.Struct, frozen=True):
    """What `sluice fraud replay --json` prints.

    `equal`: verdicts with the same score, features and model, and the same outcome where their rules are known;
    `other_rules`: how many were made by rules that stand on no topic any more. `earlier_releases`: verdicts that
    do not say in which order the flow took things in, and `untold` those of a killed run after one that never
    reached Kafka: neither are compared. `runs`: lives of the flow.
    """

    verdicts: int
    equal: int
    differing: int
    other_rules: int
    earlier_releases: int
    untold: int
    runs: int
    seconds: float
    differences: list[Difference]


@click.group()
def fraud() -> None:
    """What the fraud flow has judged."""


@fraud.command()
@DATA
@click.option(
    "--shard-key", type=click.Path(path_type=Path), help="The file shard.key of the flow (default: in --data)."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def replay(data: Path | None, shard_key: Path | None, as_json: bool) -> None:
    """Judge all payments again, in the recorded order: exit code 1 if a score or an outcome differs.

    Only Kafka is read. The flow's settings SLUICE_FRAUD_… must be those it ran with, and the release the same.
    """
    settings = load(FraudSettings)
    key_file = shard_key or (data or settings.data) / "fraud" / "shard.key"
    try:
        report = _replayed(settings, _secret(key_file), as_json)
    except KafkaException as error:
        raise click.ClickException(f"Kafka does not answer: {error.args[0].str()}") from None
    except (OrderUnknown, OffsetGone) as error:
        raise click.ClickException(f"the order cannot be made again: {error}") from None
    click.echo(msgspec.json.encode(report) if as_json else "\n".join(_lines(report)))
    sys.exit(1 if report.differing or not report.verdicts else 0)


def by_version(told: list[ToldControl], needed: set[str]) -> dict[str, Controls]:
    """The controls that verdicts name, by their version, as far as the topic still has them."""
    controls, found = Controls(), dict[str, Controls]()
    at_once = len(told) // VERSIONS_MAX + 1
    for start in range(0, len(told), at_once):
        controls.apply(*told[start : start + at_once])
        if controls.version in needed - found.keys():
            found[controls.version] = deepcopy(controls)
    return found


def _replayed(settings: FraudSettings, secret: bytes | None, quiet: bool) -> ReplayReport:
    began = monotonic()
    bootstrap = reach(settings, "operator")
    with closing(RecordedVerdicts(bootstrap)) as recorded:
        with _progress("reading verdicts", None, quiet) as bar:
            count = recorded.load(bar.update)
        controls = by_version(told_controls(bootstrap)[0], recorded.rule_versions())
        with _progress("judging again", count, quiet) as bar:
            made = FlowReplay(
                recorded, lambda: ReplayedState(settings, secret), controls, on_verdict=lambda: bar.update(1)
            )
            made.judge_all()
        return ReplayReport(
            made.compared,
            made.compared - made.differing,
            made.differing,
            made.other_rules,
            recorded.unordered,
            made.untold,
            len(recorded.runs()),
            round(monotonic() - began, 1),
            made.differences,
        )


@contextmanager
def _progress(label: str, length: int | None, quiet: bool) -> Iterator[Any]:
    with click.progressbar(length=length or 0, label=label, file=sys.stderr, hidden=quiet, show_pos=True) as bar:
        yield bar


def _secret(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


def _lines(report: ReplayReport) -> Iterator[str]:
    yield f"{report.verdicts} verdicts of {report.runs} runs judged again in {report.seconds} s"
    yield f"{report.equal} equal, {report.differing} differ"
    if report.other_rules:
        yield f"{report.other_rules} by rules that are on no topic any more: scores compared, outcomes not"
    if report.earlier_releases:
        yield f"{report.earlier_releases} of earlier releases, which recorded no order: not compared"
    if report.untold:
        yield f"{report.untold} of killed runs, after one that never reached Kafka: not compared"
    for found in report.differences:
        for name, (recorded, now) in found.fields.items():
            place = f"{found.payment} (run {found.run}, position {found.position})"
            yield f"{place} {name}: {recorded!r} is now {now!r}"
