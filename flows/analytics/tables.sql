-- The tables of the warehouse. No primary keys on what grows: at 10 million payments an upsert through an index took
-- 230 ms for 500 rows, a MERGE that is told how old its rows can be 10 ms. Times are UTC, amounts minor units.

CREATE SCHEMA IF NOT EXISTS store;

CREATE TABLE IF NOT EXISTS store.payments (
    id VARCHAR, sequence BIGINT, state VARCHAR, status VARCHAR,
    amount BIGINT, amount_captured BIGINT, amount_refunded BIGINT, currency VARCHAR,
    customer VARCHAR, merchant VARCHAR, instrument VARCHAR, processor VARCHAR, attempts BIGINT, capture VARCHAR,
    method VARCHAR, card VARCHAR, brand VARCHAR, bin VARCHAR, last4 VARCHAR, country VARCHAR,
    risk_outcome VARCHAR, risk_source VARCHAR, risk_score DOUBLE, risk_reasons VARCHAR[], risk_model VARCHAR,
    waited_ms DOUBLE, decline_code VARCHAR,
    occurred_at TIMESTAMP, created_at TIMESTAMP, updated_at TIMESTAMP, recorded_at TIMESTAMP, ingested_at TIMESTAMP,
    trace_id VARCHAR
);
ALTER TABLE store.payments ADD COLUMN IF NOT EXISTS trace_id VARCHAR;

-- Kept by deltas in the transaction that changes a payment; a payment stays in the minute of its created_at.
CREATE TABLE IF NOT EXISTS store.payment_minutes (
    minute TIMESTAMP, currency VARCHAR, processor VARCHAR, state VARCHAR, count BIGINT, amount BIGINT
);

CREATE TABLE IF NOT EXISTS store.verdicts (
    event VARCHAR, payment VARCHAR, instrument VARCHAR, merchant VARCHAR,
    outcome VARCHAR, source VARCHAR, score DOUBLE, reasons VARCHAR[], features JSON, model VARCHAR, rules VARCHAR,
    flow_sequence BIGINT, input_partition BIGINT, input_offset BIGINT, latency_ms DOUBLE,
    occurred_at TIMESTAMP, recorded_at TIMESTAMP, ingested_at TIMESTAMP
);

CREATE TABLE IF NOT EXISTS store.labels (
    event VARCHAR, payment VARCHAR, instrument VARCHAR, merchant VARCHAR, label VARCHAR, source VARCHAR,
    amount BIGINT, currency VARCHAR, features JSON, score DOUBLE, model VARCHAR,
    occurred_at TIMESTAMP, recorded_at TIMESTAMP, ingested_at TIMESTAMP
);

CREATE TABLE IF NOT EXISTS store.notifications (
    event VARCHAR, payment VARCHAR, cause VARCHAR, sequence BIGINT, kind VARCHAR, channel VARCHAR, address VARCHAR,
    outcome VARCHAR, reason VARCHAR, message_id VARCHAR, recorded_at TIMESTAMP, ingested_at TIMESTAMP
);

CREATE TABLE IF NOT EXISTS store.controls (
    id VARCHAR, kind VARCHAR, setting JSON, recorded_at TIMESTAMP, ingested_at TIMESTAMP
);

CREATE TABLE IF NOT EXISTS store.dead_letters (
    event VARCHAR, topic VARCHAR, partition BIGINT, "offset" BIGINT, reason VARCHAR,
    recorded_at TIMESTAMP, ingested_at TIMESTAMP
);

-- Where to read on, in the transaction of the rows that came before. Small, so it may have a key.
CREATE TABLE IF NOT EXISTS store.offsets (
    topic VARCHAR, partition BIGINT, next_offset BIGINT, newest_at TIMESTAMP, ingested_at TIMESTAMP,
    PRIMARY KEY (topic, partition)
);

-- How many records are not read yet, as it was last looked at.
CREATE TABLE IF NOT EXISTS store.lags (
    topic VARCHAR, partition BIGINT, lag BIGINT, ingested_at TIMESTAMP, PRIMARY KEY (topic, partition)
);
