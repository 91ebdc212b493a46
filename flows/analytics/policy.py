"""Views by role: what of the warehouse a reader sees, from the decisions in `policy.toml`.

Whoever is not staff has views of their own under the same names. They are temporary, of the one connection that
runs the statement: nothing is written to the file, and no connection has anybody else's.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from connectors.warehouse import quoted
from schemas.accounts import SqlReader

# Below a LIMIT (no number is larger) DuckDB moves no condition of the reader's, where it would see rows that are
# not theirs and tell of them by its time. It does move them into a materialized CTE. What it knows of a column of
# all rows, such as the largest amount, it uses above a LIMIT too, and answers at once where nothing can be found:
# of what comes out of TRY it knows nothing.
BARRIER = "LIMIT 4611686018427387904"
OPAQUE = "try({0}) AS {0}"


class ViewPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who sees the columns of one view; `policy.toml` says what each field means."""

    everyone: str = ""
    without_cards: str = ""
    own: str = ""
    staff: str = ""
    merchant: str | None = None
    own_rows: str | None = None
    arguments: str | None = None

    def columns(self, reader: SqlReader) -> list[str]:
        """What a reader other than staff sees of it; nothing where they do not see the view."""
        if reader.sees == "own":
            has_rows = self.merchant is not None or self.own_rows is not None
            return f"{self.everyone} {self.own}".split() if has_rows else []
        return f"{self.everyone} {self.without_cards}".split()

    def decided(self) -> list[str]:
        """The columns that somebody decided about."""
        return f"{self.everyone} {self.without_cards} {self.own} {self.staff}".split()


class RoleViews:
    """The decisions about all views. `catalog`: the name of the database that has them."""

    def __init__(self, catalog: str, views: Mapping[str, ViewPolicy] | None = None) -> None:
        self._catalog = catalog
        self.views = decisions() if views is None else dict(views)

    def seen(self, reader: SqlReader) -> set[str]:
        """The names of the views and macros that a reader other than staff sees."""
        return {name for name, view in self.views.items() if view.columns(reader)}

    def definitions(self, reader: SqlReader, names: Iterable[str]) -> str:
        """The statements that make the named ones of a reader's views."""
        return ";\n".join(self._definition(reader, name) for name in sorted(self.seen(reader).intersection(names)))

    def _definition(self, reader: SqlReader, name: str) -> str:
        arguments = self.views[name].arguments
        rows = self._rows(reader, name)
        return (
            f"CREATE TEMP VIEW {name} AS {rows}"
            if arguments is None
            else f"CREATE TEMP MACRO {name}({arguments}) AS TABLE {rows}"
        )

    def _rows(self, reader: SqlReader, name: str) -> str:
        view = self.views[name]
        if reader.sees == "own" and view.own_rows is not None:
            return view.own_rows.replace("{payments}", f"({self._rows(reader, 'payments')})")
        columns = [f'"{column}"' for column in view.columns(reader)]
        source = f"{self._catalog}.main.{name}" + (f"({view.arguments})" if view.arguments else "")
        shown = f"SELECT {', '.join(columns)} FROM {source}"  # noqa: S608 (no text of a reader's)
        if reader.sees != "own":
            return shown
        opaque = ", ".join(OPAQUE.format(column) for column in columns)
        own = f"{shown} WHERE {view.merchant} = {quoted(reader.merchant_id or '')} {BARRIER}"
        return f"SELECT {opaque} FROM ({own})"  # noqa: S608 (no text of a reader's)


def decisions() -> dict[str, ViewPolicy]:
    """`policy.toml`, by the name of the view."""
    return msgspec.toml.decode(Path(__file__).with_name("policy.toml").read_bytes(), type=dict[str, ViewPolicy])
