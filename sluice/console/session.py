"""One conversation with the warehouse: what is asked is answered on the terminal, in one shape."""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from shutil import get_terminal_size
from typing import NoReturn

import click

from connectors.warehouse import Table, WarehouseError, WarehouseReader
from sluice.console.catalog import Catalog, read_catalog
from sluice.console.shapes import SHAPES, Shape, as_table
from sluice.console.tokens import BadParameter, filled

NOT_AWAITED = (
    "Not waited for any longer. The warehouse takes no other statement of yours until it is done with this one,"
    " or has ended it."
)


class Session:
    """`shape` and `given` (values of parameters by name) may be changed while it goes on."""

    def __init__(self, reader: WarehouseReader, shape: Shape, given: dict[str, str]) -> None:
        self._reader = reader
        self.shape = shape
        self.given = given
        self._catalog: Catalog | None = None
        self._runs_on = list[Callable[[], bool]]()  # of each statement that nobody waits for

    def answer(self, statement: str, place: str = "") -> bool:
        """Print the answer, or one line with the error and its `place`; whether there was an answer."""
        try:
            table = self._await(filled(statement, self.given))
        except (WarehouseError, BadParameter) as error:
            click.echo(f"Error: {place}{error}", err=True)
            return False
        self._show(table)
        return True

    def catalog(self) -> Catalog:
        """The views that may be asked; none where the warehouse does not tell."""
        if self._catalog is None:
            try:
                self._catalog = read_catalog(self._reader.query)
            except WarehouseError as error:
                click.echo(f"Error: {error}", err=True)
                return {}
        return self._catalog

    def _show(self, table: Table) -> None:
        if not sys.stdout.isatty():
            click.echo(SHAPES[self.shape](table), color=True)  # else click takes escape codes out of the data
            return
        width, height = get_terminal_size()
        shown = as_table(table, width) if self.shape == "table" else SHAPES[self.shape](table)
        safe = "".join(sign if sign.isprintable() or sign == "\n" else "·" for sign in shown)
        if safe.count("\n") >= height:
            click.echo_via_pager(f"{safe}\n")
        else:
            click.echo(safe)

    def _await(self, statement: str) -> Table:
        """The answer to a statement, which Ctrl-C does not end. Raises `WarehouseError`, `KeyboardInterrupt`.

        DuckDB keeps Python from signals while it waits for the network. An answer that nobody waits for is taken
        and thrown away: the warehouse is done with a statement when its last row was fetched.
        """
        answer = Future[Table]()
        thread = threading.Thread(target=_ask, args=(self._reader, statement, answer), daemon=True)
        thread.start()
        try:
            wait([answer])
        except KeyboardInterrupt:
            self._runs_on.append(thread.is_alive)
            raise
        thread.join()
        return answer.result()

    def end(self, code: int) -> NoReturn:
        """End the process. Python would abort where a thread that nobody waits for is in DuckDB."""
        if any(runs_on() for runs_on in self._runs_on):
            sys.stdout.flush()
            os._exit(code)
        sys.exit(code)


def _ask(reader: WarehouseReader, statement: str, answer: Future[Table]) -> None:
    try:
        answer.set_result(reader.query(statement))
    except BaseException as error:
        answer.set_exception(error)
