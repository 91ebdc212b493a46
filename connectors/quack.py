"""DuckDB's own client and server protocol, from the wheels that carry it: nothing is downloaded at run time."""

from importlib.resources import files
from pathlib import Path

import duckdb

EXTENSIONS = ("httpfs", "quack")  # quack travels over httpfs


def load_quack(con: duckdb.DuckDBPyConnection) -> None:
    """Make `quack_serve` and `quack_query` known. To be called before external access is turned off."""
    for name in EXTENSIONS:
        con.execute(f"LOAD {quoted(str(_extension(name)))}")


def quoted(text: str) -> str:
    """`text` as a literal of SQL. (To bind it as a parameter would import pandas: a second for every reader.)"""
    return "'" + text.replace("'", "''") + "'"


def _extension(name: str) -> Path:
    folder = files(f"duckdb_extension_{name}") / "extensions" / f"v{duckdb.__version__}"
    return Path(str(folder / f"{name}.duckdb_extension"))
