"""Rows from before persons had keys are sealed, a few at a time, from where the last start came to.

What is not walked goes by itself within a day, or once it is asked for anew: kept answers and confirmations.
"""

from typing import Any

import msgspec
from sqlalchemy import Connection, Table, bindparam, select, update

from gateway.books import persons
from gateway.books.accounts import accounts
from gateway.books.engine import overwrite
from gateway.books.payments import payments
from gateway.books.persons import ACCOUNT_TEXTS, PAYMENT_TEXTS, REFUND_TEXTS, PersonalColumns, is_sealed
from gateway.books.refunds import refunds
from gateway.books.sql import Statement
from gateway.books.tables import ABOVE_ALL_IDS, table_of

AT_ONCE = 100  # rows per transaction


class SealingRow(msgspec.Struct, frozen=True):
    """A row of `sealings`: a table is sealed up to the id `reached`."""

    name: str
    reached: str


sealings = table_of("sealings", SealingRow, primary_key=("name",))

_reached = Statement(select(sealings.c.reached).where(sealings.c.name == bindparam("of_name")))
_put = Statement(
    lambda insert: (put := insert(sealings)).on_conflict_do_update(
        index_elements=["name"], set_={"reached": put.excluded.reached}
    )
)


class SealedTable(msgspec.Struct, frozen=True):
    """A table whose columns are sealed. `keyed`: it has an `email_key`, which is hashed."""

    columns: PersonalColumns
    walk: Statement
    update: Statement
    keyed: bool = False


def _sealed_table(table: Table, columns: PersonalColumns, *, keyed: bool = False) -> SealedTable:
    names = [*columns.gone, *(["email_key"] if keyed else [])]
    shown = [table.c[name] for name in dict.fromkeys([columns.row_id, columns.person_id, *names])]
    past = table.c.id > bindparam("after_id", type_=table.c.id.type)
    # Locked: an erasure that comes meanwhile takes out what is written here.
    walk = select(*shown).where(past).order_by(table.c.id).limit(bindparam("most")).with_for_update(key_share=True)
    write = update(table).where(table.c.id == bindparam("of_id")).values({name: bindparam(name) for name in names})
    return SealedTable(columns, Statement(walk), Statement(write), keyed)


TABLES = {
    "accounts": _sealed_table(accounts, ACCOUNT_TEXTS, keyed=True),
    "payments": _sealed_table(payments, PAYMENT_TEXTS),
    "refunds": _sealed_table(refunds, REFUND_TEXTS),
}
WALKS = {name: table.walk for name, table in TABLES.items()}
UPDATES = {name: table.update for name, table in TABLES.items()}


def seal_some(conn: Connection, name: str) -> bool:
    """Seal the next rows of a table; False once there are none."""
    table, reached = TABLES[name], _reached(conn, of_name=name).scalar() or ""
    if reached == ABOVE_ALL_IDS:
        return False
    rows = [row._asdict() for row in table.walk(conn, after_id=reached, most=AT_ONCE)]
    changed = [row for row in rows if _is_plain(table, row)]
    persons.require(conn, {row[table.columns.person_id] for row in changed}, make=True)
    table.update.many(conn, [_sealed(conn, table, row) for row in changed])
    if len(rows) < AT_ONCE:
        overwrite(conn)  # what stood there in clear is not left in the log
    _put(conn, name=name, reached=rows[-1]["id"] if len(rows) == AT_ONCE else ABOVE_ALL_IDS)
    return True


def _is_plain(table: SealedTable, row: dict[str, Any]) -> bool:
    gone = table.columns.gone
    return any(row[name] and row[name] != gone[name] and not is_sealed(row[name]) for name in gone)


def _sealed(conn: Connection, table: SealedTable, row: dict[str, Any]) -> dict[str, Any]:
    done = {name: row[name] for name in table.columns.gone if is_sealed(row[name])}  # one by one, as it changed
    values = persons.sealed_values(conn, table.columns, row | dict.fromkeys(done)) | done | {"of_id": row["id"]}
    if table.keyed:
        email_key: str | None = row["email_key"]
        is_address = email_key is not None and "@" in email_key
        values["email_key"] = persons.lookup(conn, email_key) if email_key and is_address else email_key
    return values
