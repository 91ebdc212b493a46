"""Bring the books to the newest revision; runs before they are opened."""

from pathlib import Path

from alembic import command
from alembic.config import Config

SCRIPTS = Path(__file__).parent / "migrations"


def alembic_config(books: Path) -> Config:
    """Alembic's configuration for the SQLite file `books`; no ini file."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["books"] = books
    return config


def migrate(books: Path) -> None:
    """Upgrade the SQLite file `books`, which is made if it is not there."""
    command.upgrade(alembic_config(books), "head")
