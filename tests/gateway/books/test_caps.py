"""The stand-in's caps: never more than the cap is spent, whatever is asked in which order."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from gateway.books.caps import caps, give_back, spend
from tests.gateway.databases import Databases, Kind

DAY = date(2026, 11, 23)
CAP = 1000

asked = st.lists(st.tuples(st.integers(1, 600), st.booleans()), max_size=30)


@given(payments=asked)
def test_a_cap_bounds_what_is_spent_and_takes_back_what_was_declined(
    databases: Databases, database: Kind, payments: list[tuple[int, bool]]
) -> None:
    with databases.transaction(database) as conn:
        used = 0
        for amount, declined in payments:
            allowed = spend(conn, "card", DAY, amount, CAP)
            assert allowed == (used + amount <= CAP)
            if allowed and declined:
                give_back(conn, "card", DAY, amount)
            used += amount if allowed and not declined else 0
        assert used <= CAP
        assert (conn.execute(caps.select()).scalars().first() is not None) == bool(payments)


def test_days_and_subjects_have_caps_of_their_own(conn: Connection) -> None:
    assert spend(conn, "card", DAY, CAP, CAP)
    assert not spend(conn, "card", DAY, 1, CAP)
    assert spend(conn, "card", date(2026, 11, 24), CAP, CAP)
    assert spend(conn, "merchant", DAY, CAP, CAP)
