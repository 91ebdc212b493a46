"""The `sluice` command, and what its subcommands share. A subcommand is imported when it is called.

So `--help` is fast.
"""

import importlib
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from schemas.money import in_use
from schemas.settings import BadSetting
from schemas.times import EPOCH, as_utc

# name: (module:command, what --help says)
COMMANDS = {
    "init": ("sluice.init:init", "Make a production data directory, and the first admin."),
    "admin": ("sluice.admin:admin", "Make an admin's account, or name a reader, on the machine itself."),
    "sql-tokens": ("sluice.sql_tokens:sql_tokens", "Make, list and revoke tokens for SQL, on the machine itself."),
    "up": ("sluice.up:up", "Start the stack and keep it running."),
    "status": ("sluice.status:status", "Show each process: state, pid, uptime, lag, restarts."),
    "doctor": ("sluice.doctor.command:doctor", "Check machine, settings, secrets and who is reached."),
    "run": ("sluice.run:run", "Become one process of the stack, as in a container."),
    "ready": ("sluice.run:ready", "Exit 0 if one process of the stack is ready."),
    "demo": ("sluice.up:demo", "The stack, and shoppers that keep paying."),
    "replay": ("sluice.replay:replay", "Send the transactions of a Parquet file as real payments."),
    "reconcile": ("sluice.reconcile.command:reconcile", "Compare books, processors, Kafka and warehouse."),
    "prune": ("sluice.prune:prune", "Delete from the books what nobody asks for any more."),
    "fraud": ("sluice.fraud_replay:fraud", "Judge all recorded payments again: are the scores the same?"),
    "evaluate": ("sluice.evaluate:evaluate", "Measure the fraud model on a labelled file, offline."),
    "sql": ("sluice.sql:sql", "Ask the running warehouse in SQL."),
    "warehouse": ("sluice.warehouse:warehouse", "Rebuild the warehouse, hash it, export it."),
    "backup": ("sluice.backup.command:backup", "Copy books, vault, persons' keys or secrets, each apart."),
    "restore": ("sluice.backup.command:restore", "Put back a copy of `sluice backup`."),
    "outbox": ("sluice.outbox:outbox_command", "Send events again that Kafka lost; tell of what was never told."),
    "dead-letters": ("sluice.dead_letters:dead_letters", "List records nobody could read; send them again."),
    "kafka": ("sluice.kafka:kafka", "Make topics, users and rights at Kafka; let a team read."),
    "keys": ("sluice.keys:keys", "Rotate the vault's key, that of tokens, or any other secret."),
    "vault": ("sluice.vault:vault", "Make certificates for vaults on other hosts; say which of two serves."),
    "audit": ("sluice.audit:audit", "Verify or write out what the vault's cards were opened for."),
}


LONGEST = timedelta(days=36_500)  # what is added to a date must be one
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Duration(click.ParamType[timedelta]):
    """An option such as `7d`, `12h`, `30m`, `45s`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The duration; a usage error where the text is none."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,9})([smhd])", value)
        if found is None:
            self.fail(f"{value!r} is not a duration such as 7d, 12h, 30m or 45s", param, ctx)
        duration = timedelta(**{UNITS[found[2]]: int(found[1])})
        if duration > LONGEST:
            self.fail(f"{value!r} is more than {LONGEST.days}d", param, ctx)
        return duration


class Currency(click.ParamType[str]):
    """An option such as `EUR`."""

    name = "currency"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The code; a usage error where one cannot pay in it."""
        if not in_use(value):
            self.fail(f"{value!r} is not a currency of ISO 4217 with minor units", param, ctx)
        return value


DURATION = Duration()
CURRENCY = Currency()


class Moment(click.ParamType[datetime]):
    """An option such as `2026-11-26T14:00:00Z`; without a zone it is UTC."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time; a usage error where the text is none."""
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-11-26T14:00:00Z", param, ctx)
        moment = as_utc(moment)
        if moment < EPOCH:
            self.fail(f"{value!r} is before 1970", param, ctx)
        return moment


MOMENT = Moment()
DATA = click.option(
    "--data", type=click.Path(path_type=Path), help="The data directory (SLUICE_DATA, default ./data)."
)


class LazyGroup(click.Group):
    """A group that lists its commands from the table and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself, imported now; None where the name is unknown."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a wrong setting or file is reported in one line, without a traceback."""
        try:
            return super().invoke(ctx)
        except (BadSetting, OSError) as error:
            raise click.ClickException(str(error)) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and texts from the table, without an import."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup)
def main() -> None:
    """Sluice, a payment gateway whose every movement is an event."""
