"""What Alembic runs: the books' tables against one SQLite file (`gateway/books/engine.py`)."""

import importlib
import pkgutil

from alembic import context

import gateway.books
from gateway.books.engine import sqlite_engine
from gateway.books.tables import metadata

for module in pkgutil.iter_modules(gateway.books.__path__):
    importlib.import_module(f"gateway.books.{module.name}")

engine = sqlite_engine(context.config.attributes["books"])
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
engine.dispose()
