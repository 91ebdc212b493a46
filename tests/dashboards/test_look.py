"""What an address says is looked at, and the statements that ask for it."""

from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from dashboards.look import PERIODS, STEPS, STEPS_MAX, Look, read

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def warehouse() -> duckdb.DuckDBPyConnection:
    """Two merchants' payments, and a macro that knows of one of them only later."""
    con = duckdb.connect()
    con.execute("""
        SET TimeZone = 'UTC';
        CREATE VIEW payments AS
        SELECT 'acc_' || n % 2 AS merchant, TIMESTAMP '2026-11-01 12:00:00' + INTERVAL (n) MINUTE AS created_at,
               'acc_' || n % 2 AS customer,
               md5_number_lower('acc_' || n % 2) >> 32 AS customer_hash,
               'EUR' AS currency, 'visa' AS processor, 'captured' AS state, 100 AS amount, 100 AS amount_captured,
               0 AS amount_refunded
        FROM range(10) r(n);
        CREATE VIEW payments_by_minute AS SELECT created_at AS minute, 1 AS count FROM payments;
        CREATE MACRO payments_as_of(moment) AS TABLE FROM main.payments WHERE created_at <= moment;
    """)
    return con


def asked(con: duckdb.DuckDBPyConnection, look: Look, sql: str) -> object:
    [(value,)] = con.execute(look.statement(sql)).fetchall()
    return value


def test_an_address_says_the_period_and_the_zone() -> None:
    assert read({}) == Look()
    assert read({"period": "7d", "tz": "Asia/Tokyo"}) == Look("7d", zone="Asia/Tokyo")
    look = read({"from": "2026-11-01T00:00", "to": "2026-11-02T00:00"}, "Europe/Berlin")
    assert (look.since, look.length) == (datetime(2026, 10, 31, 23, tzinfo=UTC), timedelta(days=1))


@pytest.mark.parametrize(
    "query",
    [
        {"period": "never", "tz": "Mars/Olympus"},
        {"from": "2026-11-02T00:00", "to": "2026-11-01T00:00"},
        {"from": "2026-11-01T00:00"},
        {"from": "x'; DROP", "to": "0001-01-01T00:00+14:00", "at": "9999-12-31T23:59-14:00"},
        {"from": "0001-01-01T00:00+00:00", "to": "2026-11-01T00:00", "at": "9999-12-31T23:59+00:00"},
    ],
)
def test_what_cannot_be_meant_is_passed_over(query: dict[str, str]) -> None:
    assert read(query) == Look()


@pytest.mark.parametrize("period", PERIODS)
def test_a_course_has_a_bounded_number_of_steps(period: str) -> None:
    look = Look(period)
    assert look.step in STEPS
    assert 1 <= look.length / look.step <= STEPS_MAX


def test_all_who_look_at_the_same_period_ask_the_same() -> None:
    assert Look("1h").statement("$since $until") == Look("1h", zone="Asia/Tokyo").statement("$since $until")


def test_the_period_bounds_what_is_asked(warehouse: duckdb.DuckDBPyConnection) -> None:
    look = Look(since=NOON, until=NOON + timedelta(minutes=4))
    sql = "SELECT count(*) FROM payments WHERE created_at >= $since AND created_at < $until"
    assert asked(warehouse, look, sql) == 4


def test_minutes_and_rows_begin_with_the_same_payment(warehouse: duckdb.DuckDBPyConnection) -> None:
    look = Look(since=NOON + timedelta(minutes=3, seconds=40), until=NOON + timedelta(minutes=8))
    rows = "SELECT count(*) FROM payments WHERE created_at >= $since AND created_at < $until"
    minutes = "SELECT sum(count)::INT FROM payments_by_minute WHERE minute >= $since AND minute < $until"
    assert asked(warehouse, look, rows) == asked(warehouse, look, minutes) == 5
    assert asked(warehouse, Look("1h"), "SELECT epoch_us($since) % 60000000") == 0
    assert look.span()[0] == NOON + timedelta(minutes=3)
    given = read({"from": "2026-11-01T10:00:40", "to": "2026-11-01T11:00:20"})
    assert given.span() == (NOON - timedelta(hours=2), NOON - timedelta(hours=1))


def test_payments_are_shown_as_they_stood(warehouse: duckdb.DuckDBPyConnection) -> None:
    look = Look(at=NOON + timedelta(minutes=5))
    for sql in ("SELECT count(*) FROM payments", "WITH paid AS (FROM payments) SELECT count(*) FROM paid"):
        assert (asked(warehouse, Look(), sql), asked(warehouse, look, sql)) == (10, 6)


@pytest.mark.parametrize("is_it", ["merchant = $id", "$is(merchant)", "$is(customer)"])
@pytest.mark.parametrize(
    ("id", "found"), [("acc_1", 5), ("' OR '1' = '1", 0), ("$since", 0), ("acc_1'--", 0), ("", 0)]
)
def test_a_statement_may_be_about_one_thing_whatever_its_id_is(
    warehouse: duckdb.DuckDBPyConnection, id: str, found: int, is_it: str
) -> None:
    look = Look(since=NOON, until=NOON + timedelta(hours=1))
    sql = f"SELECT count(*) FROM payments WHERE {is_it} AND created_at >= $since"
    assert asked(warehouse, Look(), look.statement(sql, id)) == found


def test_a_sample_is_of_times_in_a_row(warehouse: duckdb.DuckDBPyConnection) -> None:
    seconds = "SELECT TIMESTAMP '2026-11-01' + INTERVAL (n) SECOND AS moment FROM range(100000) r(n)"
    counts = "count(*), count(DISTINCT date_trunc('minute', moment))"
    sql = f"SELECT {counts} FROM ({seconds}) WHERE $sampled(moment)"
    for one_in in (1, 2, 64):
        [(found, minutes)] = warehouse.execute(Look().statement(sql, one_in=one_in)).fetchall()
        assert found == pytest.approx(100_000 / one_in, rel=0.05)
        assert found > 8 * minutes


def test_names_within_a_text_of_somebodys_are_no_places(warehouse: duckdb.DuckDBPyConnection) -> None:
    look = Look(since=NOON, until=NOON + timedelta(hours=1), zone="Europe/Berlin")
    for text in ("$zone", "it''s $since", "$id$until''", "''"):
        told = asked(warehouse, look, f"SELECT '{text}' || $zone || $id")
        assert told == text.replace("''", "'") + "Europe/Berlin"
