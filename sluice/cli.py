"""The `sluice` command. A subcommand's module is imported when it is called, so `--help` is fast."""

import importlib
from typing import Any

import click

from schemas.settings import BadSetting

# name: (module:command, what --help says)
COMMANDS = {
    "up": ("sluice.up:up", "Start the stack and keep it running."),
    "status": ("sluice.status:status", "Show each process: state, pid, uptime, lag, restarts."),
    "demo": ("sluice.demo:demo", "The stack, and shoppers that keep paying."),
    "replay": ("sluice.replay:replay", "Send the transactions of a Parquet file as real payments."),
    "reconcile": ("sluice.reconcile:reconcile", "Compare books, processors, Kafka and warehouse."),
    "evaluate": ("sluice.evaluate:evaluate", "Measure the fraud model on a labelled file, offline."),
    "sql": ("sluice.sql:sql", "Ask the running warehouse in SQL."),
    "keys": ("sluice.keys:keys", "Rotate the vault's key."),
}


class Lazy(click.Group):
    """A group that knows its commands by name and text before it imports any."""

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
        """Run the command; a setting or a file that is wrong is one line, not a traceback."""
        try:
            return super().invoke(ctx)
        except (BadSetting, OSError) as error:
            raise click.ClickException(str(error)) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and texts from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Lazy)
def main() -> None:
    """Sluice, a payment gateway whose every movement is an event."""
