"""The command: every check one after the other, a table, and exit code 1 where one failed."""

from pathlib import Path

import click
import msgspec

from sluice.cli import DATA
from sluice.doctor import configuration, machine, services
from sluice.doctor.diagnoses import Check, Diagnosis, failed
from sluice.settings import StackSettings
from sluice.up import stack_settings

MARKS = {"ok": "ok", "unknown": "–", "warning": "look", "failed": "FAILED"}


@click.command()
@DATA
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def doctor(data: Path | None, as_json: bool) -> None:
    """Check machine, settings, secrets and what the stack reaches; exit 1 where something cannot work.

    It changes nothing. What does not run is no failure: before a start as well as beside a running stack.
    """
    found = [finding for check in checks(stack_settings(data)) for finding in _looked(check)]
    click.echo(msgspec.json.encode(found).decode() if as_json else table(found))
    if any(finding.state == "failed" for finding in found):
        raise SystemExit(1)


def checks(settings: StackSettings) -> list[Check]:
    """All of them, in the order in which one mends things."""
    return [
        machine.python,
        machine.packages,
        configuration.modules,
        lambda: machine.broker_jars(settings),
        lambda: configuration.settings_of_processes(settings),
        lambda: configuration.data_directory(settings.data),
        lambda: configuration.secrets(settings),
        lambda: machine.disk(settings.data),
        machine.clock,
        lambda: machine.ports(settings),
        lambda: services.books(settings.data),
        lambda: services.kafka(settings),
        lambda: services.vault(settings.data),
        lambda: services.gateway(settings),
    ]


def table(found: list[Diagnosis]) -> str:
    """A line for each finding, and below it what to do."""
    lines = []
    for finding in found:
        lines.append(f"{finding.check:<19} {MARKS[finding.state]:<7} {finding.says}")
        if finding.remedy:
            lines.append(f"{'':<19} →       {finding.remedy}")
    return "\n".join(lines)


def _looked(check: Check) -> list[Diagnosis]:
    """What a check finds; one that cannot be made is a finding itself."""
    try:
        return check()
    except OSError as error:
        return [failed("doctor", str(error), "Mend that first.")]
