"""The tables' common ground: names of constraints (Alembic needs them on SQLite) and column types.

Times are integer microseconds UTC, JSON is text, money is integer minor units: no driver converts anything,
so the same SQL text runs on SQLite and PostgreSQL.
"""

from sqlalchemy import BigInteger, Integer, MetaData

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Micros = BigInteger
Minor = BigInteger
Serial = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself on SQLite
