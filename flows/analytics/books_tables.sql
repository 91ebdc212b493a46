-- Tables of operations, ledger, reviews and accounts: of topics that tell of what stands in the books beside payments.

-- A topic that an older file passed over is read from its beginning.
DELETE FROM store.offsets WHERE topic IN (
    SELECT topic FROM (VALUES ('operations.v1', 'operations'), ('reviews.v1', 'reviews'), ('accounts.v1', 'accounts'))
        AS filled(topic, name)
    WHERE name NOT IN (SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store')
);

CREATE TABLE IF NOT EXISTS store.operations (
    id VARCHAR, sequence BIGINT, payment VARCHAR, attempt VARCHAR, attempt_number BIGINT, merchant VARCHAR,
    processor VARCHAR, kind VARCHAR, status VARCHAR, amount BIGINT, currency VARCHAR,
    created_at TIMESTAMP, finished_at TIMESTAMP, milliseconds DOUBLE, parent VARCHAR, part BIGINT, final BOOLEAN,
    refund VARCHAR, replaces VARCHAR, requested_by VARCHAR, processor_reference VARCHAR, decline_code VARCHAR,
    detail VARCHAR, recorded_at TIMESTAMP, ingested_at TIMESTAMP
);

-- Kept as payment_minutes is (minutes.py). A file from before these tables has them from its operations, once.
CREATE TABLE IF NOT EXISTS store.operation_minutes AS
SELECT date_trunc('minute', created_at) AS minute, processor, kind, status, sequence > 1 AS was_unknown,
       attempt_number > 1 AS took_over, count(*) AS count
FROM store.operations GROUP BY ALL ORDER BY minute;
CREATE TABLE IF NOT EXISTS store.operation_changes AS FROM store.operation_minutes LIMIT 0;

-- Append-only, and what the balances are told by: a repeat of an event whose rows are gone would be counted again, so
-- they stay as long as it may come again (retention.py).
CREATE TABLE IF NOT EXISTS store.ledger (
    operation VARCHAR, sequence BIGINT, number BIGINT, payment VARCHAR, merchant VARCHAR, processor VARCHAR,
    kind VARCHAR, account VARCHAR, amount BIGINT, currency VARCHAR, recorded_at TIMESTAMP, ingested_at TIMESTAMP
);

-- Both by deltas of the rows that are new in the ledger, in the transaction that writes those. Kept for ever.
CREATE TABLE IF NOT EXISTS store.balances (
    account VARCHAR, currency VARCHAR, amount BIGINT, entries BIGINT, updated_at TIMESTAMP
);
CREATE TABLE IF NOT EXISTS store.ledger_days (
    day TIMESTAMP, account VARCHAR, currency VARCHAR, merchant VARCHAR, processor VARCHAR, kind VARCHAR,
    amount BIGINT, entries BIGINT
);

CREATE TABLE IF NOT EXISTS store.reviews (
    id VARCHAR, sequence BIGINT, payment VARCHAR, kind VARCHAR, merchant VARCHAR, amount BIGINT, currency VARCHAR,
    reasons VARCHAR[], opened_at TIMESTAMP, decision VARCHAR, decided_by VARCHAR, decided_at TIMESTAMP,
    recorded_at TIMESTAMP, ingested_at TIMESTAMP
);

CREATE TABLE IF NOT EXISTS store.accounts (
    id VARCHAR, sequence BIGINT, role VARCHAR, disabled BOOLEAN, erased BOOLEAN, trading_name VARCHAR,
    created_at TIMESTAMP, recorded_at TIMESTAMP, ingested_at TIMESTAMP
);
