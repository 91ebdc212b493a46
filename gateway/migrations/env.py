"""What Alembic runs: the books' tables against the database of one URL (`gateway/books/opening.py`)."""

import importlib
import pkgutil

from alembic import context
from sqlalchemy import Connection, text

import gateway.books
from gateway.books.opening import run_once
from gateway.books.tables import metadata

LOCK = 7_370_001  # of PostgreSQL's advisory locks: two gateways that start at once migrate one after the other

for module in pkgutil.iter_modules(gateway.books.__path__):
    importlib.import_module(f"gateway.books.{module.name}")


def run(conn: Connection) -> None:
    """Run the migrations that were asked for, all of them in one transaction."""
    is_sqlite = conn.dialect.name == "sqlite"
    context.configure(connection=conn, target_metadata=metadata, render_as_batch=is_sqlite)
    if not is_sqlite:
        conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    with context.begin_transaction():
        context.run_migrations()


run_once(context.config.attributes["books"], run)
