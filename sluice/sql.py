"""`sluice sql`: asks the running process `sql`, here or on another host, once, by a script or at a prompt."""

import re
import sys
from pathlib import Path
from typing import Any, TextIO

import click
from msgspec.structs import replace

from connectors.keyfiles import SecretMissing
from connectors.warehouse import WarehouseReader
from schemas.settings import load
from sluice.console.prompt import converse
from sluice.console.session import Session
from sluice.console.shapes import Shape
from sluice.console.tokens import statements_of
from sluice.settings import AskerSettings, token_file_named

HERE = {"localhost", "127.0.0.1", "[::1]"}
ADDRESS = re.compile(r"(?P<scheme>https?)://(?P<host>[\w.-]+|\[[\da-fA-F:.]+\]):\d{1,5}")
INTERRUPTED = 130  # as a shell says it


class ParameterType(click.ParamType[tuple[str, str]]):
    """An option such as `currency=EUR`."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Name and value; a usage error where there is no name."""
        name, equals, text = value.partition("=")
        if not equals or not name.isidentifier():
            self.fail(f"{value!r} is not NAME=VALUE, such as currency=EUR", param, ctx)
        return name, text


@click.command()
@click.argument("query", required=False)
@click.option(
    "-f", "--file", "script", type=click.File(encoding="utf-8"), help="Ask what a file asks; - is stdin."
)
@click.option("-p", "--param", "given", multiple=True, type=ParameterType(), help="The text of $NAME; repeatable.")
@click.option("--csv", "shape", flag_value="csv", help="Print CSV.")
@click.option("--json", "shape", flag_value="json", help="Print a list of objects.")
@click.option("--lines", "shape", flag_value="lines", help="Print a line for each value.")
@click.option("--table", "shape", flag_value="table", default=True, help="Print a table (default).")
@click.option("--host", metavar="URL", help="Where to ask: https://sql.example:9443. [SLUICE_SQL]")
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Whose certificates to trust. [SLUICE_SQL_CA]",
)
@click.option("--token-file", type=click.File(), help="Your token. [SLUICE_SQL_TOKEN_FILE, SLUICE_SQL_TOKEN]")
@click.option("--plain", is_flag=True, help="Ask another host without TLS: who listens reads your token.")
def sql(
    query: str | None,
    script: TextIO | None,
    given: tuple[tuple[str, str], ...],
    shape: Shape,
    host: str | None,
    ca: Path | None,
    token_file: TextIO | None,
    plain: bool,
) -> None:
    """Ask the warehouse: one SELECT, SHOW, DESCRIBE, PIVOT or EXPLAIN. Without QUERY, a prompt.

    The views are payments, refunds, payments_by_minute, payments_by_hour, payments_by_day, operations, attempts,
    ledger, ledger_by_day, balances, reviews, risk, verdicts, risk_outcomes_by_minute, labels, model_quality,
    rules, lists, controls, accounts, merchants, notifications, alerts, dead_letters and pipeline_health, and
    payments_as_of(moment); `DESCRIBE payments` shows the columns of one. Times are UTC, amounts minor units. Of a
    file the statements are asked one after another, up to the first that has no answer.
    """
    if query is not None and script is not None:
        raise click.UsageError("QUERY or --file, not both")
    settings = load(AskerSettings)
    settings = replace(settings, sql=host or settings.sql, sql_ca=ca or settings.sql_ca)
    own = token_file.read().strip() if token_file else settings.sql_token
    named = token_file.name if token_file else token_file_named()
    if named and not own:  # as a failed command leaves it; this machine's reader would see more than its owner
        raise click.ClickException(f"{named} has no token in it")
    session = Session(_reader(settings, own, plain), shape, dict(given))
    try:
        if query is not None:
            answered = session.answer(query)
        elif script is not None:
            answered = _run(session, script)
        else:
            answered = converse(session, settings.sql_history)
    except KeyboardInterrupt:
        session.end(INTERRUPTED)
    except UnicodeDecodeError:
        raise click.ClickException(f"{script.name if script else 'what comes by the pipe'} is not UTF-8") from None
    session.end(0 if answered else 1)


def _reader(settings: AskerSettings, own: str, plain: bool) -> WarehouseReader:
    """As whom to ask: a person by their token; on this machine else the reader `sql`."""
    is_here = _check_address(settings.sql_url(), plain)
    if not own and not is_here and not sys.stdin.isatty():
        raise click.ClickException("another host wants your token: --token-file, or SLUICE_SQL_TOKEN_FILE")
    if not own and not is_here:
        own = click.prompt("Token", hide_input=True, err=True)
    try:
        return WarehouseReader(settings, "sql", own_token=own or None)
    except SecretMissing as error:
        raise click.ClickException(f"{error}; your own token: --token-file, or SLUICE_SQL_TOKEN_FILE") from None


def _check_address(url: str, plain: bool) -> bool:
    """Whether it is this machine's. A usage error where it is none, or another host's without TLS."""
    found = ADDRESS.fullmatch(url)
    if found is None:
        raise click.ClickException(f"{url} is no address such as https://sql.example:9443")
    is_here = found["host"] in HERE
    if found["scheme"] == "http" and not is_here and not plain:
        raise click.ClickException(f"{url} has no TLS: ask by https://, or see --plain")
    return is_here


def _run(session: Session, script: TextIO) -> bool:
    """Whether all statements of a script have an answer; the first that has none is the last that is asked."""
    for statement in statements_of(script.read()):
        if not session.answer(statement.text, f"{script.name}:{statement.line}: "):
            return False
    return True
