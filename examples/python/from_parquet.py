"""Begin with the Parquet of a night: fill the database of `outcomes.py`, which goes on from there. Needs `duckdb`.

    python examples/python/from_parquet.py data/export/latest --database outcomes.sqlite3
    python examples/python/outcomes.py --database outcomes.sqlite3

All records before the offsets in its manifest are in an export. It may know some later ones, too; these come again
from the topic, and change nothing.
"""

import argparse
import json
import sqlite3
from pathlib import Path

import duckdb
from outcomes import EVENTS, GO_ON, TABLES, TAKE

ROWS = """
SELECT id, sequence, merchant, currency, state, amount_captured, amount_refunded
FROM read_parquet(?, hive_partitioning = true)
"""
BATCH = 10_000


def fill(database: str, export: Path, prefix: str) -> int:
    """Write payments and offsets in one transaction, and return how many payments. Raises `SystemExit`."""
    offsets = json.loads((export / "manifest.json").read_text())["offsets"][EVENTS]
    found = duckdb.execute(ROWS, [f"{export}/payments/*/*.parquet"])
    rows = sqlite3.connect(database)
    rows.executescript(TABLES)
    if rows.execute("SELECT count(*) FROM offsets").fetchone() != (0,):
        raise SystemExit(f"{database} has been read into already")
    with rows:
        while batch := found.fetchmany(BATCH):
            rows.executemany(TAKE, batch)
        rows.executemany(GO_ON, [(prefix + EVENTS, *place) for place in enumerate(offsets)])
    return int(rows.execute("SELECT count(*) FROM payments").fetchone()[0])


def main() -> None:
    """Fill as asked on the command line."""
    asked = argparse.ArgumentParser()
    asked.add_argument("export", type=Path, help="the directory of one night; of a link the night it points to")
    asked.add_argument("--database", default="outcomes.sqlite3")
    asked.add_argument("--prefix", default="", help="what the names of the topics begin with")
    given = asked.parse_args()
    print(f"{fill(given.database, given.export.resolve(), given.prefix)} payments")


if __name__ == "__main__":
    main()
