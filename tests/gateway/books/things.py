"""What tests of transactions write and read: names in a table `things`, each with a number."""

from sqlalchemy import Connection, column, insert, select, table, update

from gateway.books.engine import announce

THINGS = table("things", column("name"), column("number"))


def put(conn: Connection, name: str) -> None:
    """Write a name, and announce it. Raises `IntegrityError` where it is there."""
    conn.execute(insert(THINGS).values(name=name))
    announce(conn, name)


def names(conn: Connection) -> list[str]:
    """The names, sorted."""
    return list(conn.execute(select(THINGS.c.name).order_by(THINGS.c.name)).scalars())


def number(conn: Connection, name: str) -> int:
    """The number of a thing."""
    return int(conn.execute(select(THINGS.c.number).where(THINGS.c.name == name)).scalar_one())


def set_number(conn: Connection, name: str, value: int) -> int:
    """Write the number of a thing; how many things have this name."""
    return conn.execute(update(THINGS).where(THINGS.c.name == name).values(number=value)).rowcount
