-- The tables of the warehouse. No primary keys on what grows: at 10 million payments an upsert through an index took
-- 230 ms for 500 rows, a MERGE that is told how old its rows can be 10 ms. Times are UTC, amounts minor units.

CREATE SCHEMA IF NOT EXISTS store;

-- Each payment as it stands, and, as long as `payments_as_of` may ask for it, as it stood until `replaced_at`.
CREATE TABLE IF NOT EXISTS store.payments (
    id VARCHAR, sequence BIGINT, state VARCHAR, status VARCHAR,
    amount BIGINT, amount_captured BIGINT, amount_refunded BIGINT, currency VARCHAR,
    customer VARCHAR, merchant VARCHAR, instrument VARCHAR, processor VARCHAR, attempts BIGINT, capture VARCHAR,
    method VARCHAR, card VARCHAR, brand VARCHAR, bin VARCHAR, last4 VARCHAR, country VARCHAR,
    risk_outcome VARCHAR, risk_source VARCHAR, risk_score DOUBLE, risk_reasons VARCHAR[], risk_model VARCHAR,
    waited_ms DOUBLE, decline_code VARCHAR,
    occurred_at TIMESTAMP, created_at TIMESTAMP, updated_at TIMESTAMP, recorded_at TIMESTAMP, ingested_at TIMESTAMP,
    trace_id VARCHAR, amount_capturable BIGINT, last_refusal_kind VARCHAR, last_refusal_code VARCHAR,
    replaced_at TIMESTAMP
);
ALTER TABLE store.payments ADD COLUMN IF NOT EXISTS trace_id VARCHAR;
ALTER TABLE store.payments ADD COLUMN IF NOT EXISTS amount_capturable BIGINT DEFAULT 0;  -- as events without it say
ALTER TABLE store.payments ADD COLUMN IF NOT EXISTS last_refusal_kind VARCHAR;
ALTER TABLE store.payments ADD COLUMN IF NOT EXISTS last_refusal_code VARCHAR;
ALTER TABLE store.payments ADD COLUMN IF NOT EXISTS amount_eur_cents BIGINT;
ALTER TABLE store.payments ADD COLUMN IF NOT EXISTS replaced_at TIMESTAMP;
ALTER TABLE store.payments ADD COLUMN IF NOT EXISTS customer_hash UINTEGER;
ALTER TABLE store.payments ADD COLUMN IF NOT EXISTS instrument_hash UINTEGER;
-- A file from before has what was replaced in a table of its own.
CREATE TABLE IF NOT EXISTS store.payment_versions AS FROM store.payments LIMIT 0;
BEGIN;
INSERT INTO store.payments BY NAME FROM store.payment_versions;
DROP TABLE store.payment_versions;
COMMIT;
UPDATE store.payments SET customer_hash = md5_number_lower(customer) >> 32 WHERE customer_hash IS NULL AND customer IS NOT NULL;
UPDATE store.payments SET instrument_hash = md5_number_lower(instrument) >> 32
WHERE instrument_hash IS NULL AND instrument IS NOT NULL;
CREATE OR REPLACE VIEW store.standing AS SELECT * EXCLUDE (replaced_at) FROM store.payments WHERE replaced_at IS NULL;

-- Since when replaced rows are kept: a file from before knows nothing of earlier moments.
CREATE TABLE IF NOT EXISTS store.history AS
SELECT now()::TIMESTAMP AS begins_at WHERE EXISTS (FROM store.payments);

-- A refund as it stands. It is no part of the aggregates: there its payment tells what was given back.
CREATE TABLE IF NOT EXISTS store.refunds (
    id VARCHAR, payment VARCHAR, sequence BIGINT, amount BIGINT, currency VARCHAR, status VARCHAR, decline_code VARCHAR,
    customer VARCHAR, merchant VARCHAR, processor VARCHAR, brand VARCHAR,
    created_at TIMESTAMP, updated_at TIMESTAMP, recorded_at TIMESTAMP, ingested_at TIMESTAMP
);

-- A payment stays in the minute of its created_at. What batches change is noted in payment_changes first.
CREATE TABLE IF NOT EXISTS store.payment_minutes (
    minute TIMESTAMP, currency VARCHAR, processor VARCHAR, state VARCHAR, count BIGINT, amount BIGINT,
    amount_captured BIGINT, amount_refunded BIGINT
);
ALTER TABLE store.payment_minutes ADD COLUMN IF NOT EXISTS amount_captured BIGINT;
ALTER TABLE store.payment_minutes ADD COLUMN IF NOT EXISTS amount_refunded BIGINT;
-- A file from before these columns has their sums from its payments, once; a state that nothing is left in has zero.
UPDATE store.payment_minutes m SET amount_captured = p.captured, amount_refunded = p.refunded
FROM (
    SELECT date_trunc('minute', created_at) AS minute, currency, processor, state,
           sum(amount_captured)::BIGINT AS captured, sum(amount_refunded)::BIGINT AS refunded
    FROM store.standing
    WHERE created_at >= (SELECT min(minute) FROM store.payment_minutes WHERE amount_captured IS NULL)
    GROUP BY ALL
) p
WHERE m.amount_captured IS NULL AND m.minute = p.minute AND m.currency = p.currency AND m.state = p.state
  AND m.processor IS NOT DISTINCT FROM p.processor;
UPDATE store.payment_minutes SET amount_captured = 0, amount_refunded = 0 WHERE amount_captured IS NULL;

-- Kept as payment_minutes is. A file from before these tables has them from what it has, once.
CREATE TABLE IF NOT EXISTS store.payment_hours AS
SELECT date_trunc('hour', minute) AS hour, currency, processor, state, sum(count)::BIGINT AS count, sum(amount)::BIGINT AS amount,
       sum(amount_captured)::BIGINT AS amount_captured, sum(amount_refunded)::BIGINT AS amount_refunded
FROM store.payment_minutes GROUP BY ALL;

CREATE TABLE IF NOT EXISTS store.risk_minutes AS
SELECT date_trunc('minute', created_at) AS minute, risk_outcome AS outcome, risk_source AS source, currency,
       count(*) AS count, sum(amount)::BIGINT AS amount
FROM store.standing WHERE risk_outcome IS NOT NULL GROUP BY ALL;

-- By how much batches changed the three tables of sums, until that is put into them, once a minute (minutes.py).
CREATE TABLE IF NOT EXISTS store.payment_changes (
    minute TIMESTAMP, currency VARCHAR, processor VARCHAR, state VARCHAR, outcome VARCHAR, source VARCHAR,
    count BIGINT, amount BIGINT, amount_captured BIGINT, amount_refunded BIGINT
);

CREATE TABLE IF NOT EXISTS store.verdicts (
    event VARCHAR, payment VARCHAR, instrument VARCHAR, merchant VARCHAR,
    outcome VARCHAR, source VARCHAR, score DOUBLE, reasons VARCHAR[], features JSON, model VARCHAR, rules VARCHAR,
    flow_sequence BIGINT, input_partition BIGINT, input_offset BIGINT, latency_ms DOUBLE,
    occurred_at TIMESTAMP, recorded_at TIMESTAMP, ingested_at TIMESTAMP, hold VARCHAR,
    rules_met VARCHAR[], shadow_met VARCHAR[]
);
ALTER TABLE store.verdicts ADD COLUMN IF NOT EXISTS hold VARCHAR DEFAULT 'authorized';  -- as verdicts without it say
ALTER TABLE store.verdicts ADD COLUMN IF NOT EXISTS listed VARCHAR;

ALTER TABLE store.verdicts ADD COLUMN IF NOT EXISTS intake JSON;

CREATE TABLE IF NOT EXISTS store.alerts (
    event VARCHAR, id VARCHAR, sequence BIGINT, kind VARCHAR, subject VARCHAR, source VARCHAR, facts JSON,
    occurred_at TIMESTAMP, recorded_at TIMESTAMP, over_at TIMESTAMP, ingested_at TIMESTAMP
);
ALTER TABLE store.verdicts ADD COLUMN IF NOT EXISTS rules_met VARCHAR[];
ALTER TABLE store.verdicts ADD COLUMN IF NOT EXISTS shadow_met VARCHAR[];
ALTER TABLE store.verdicts ADD COLUMN IF NOT EXISTS score_live BOOLEAN;
ALTER TABLE store.verdicts ADD COLUMN IF NOT EXISTS counterfactual JSON;
ALTER TABLE store.verdicts ADD COLUMN IF NOT EXISTS numbers DOUBLE[];
ALTER TABLE store.verdicts ADD COLUMN IF NOT EXISTS layout VARCHAR;

CREATE TABLE IF NOT EXISTS store.labels (
    event VARCHAR, payment VARCHAR, instrument VARCHAR, merchant VARCHAR, label VARCHAR, source VARCHAR,
    amount BIGINT, currency VARCHAR, features JSON, score DOUBLE, model VARCHAR,
    occurred_at TIMESTAMP, recorded_at TIMESTAMP, ingested_at TIMESTAMP
);

-- Kept by deltas of the labels that are new; sums of scores are decimals, which add up in any order. A file from before
-- this table has it from its labels, once.
CREATE TABLE IF NOT EXISTS store.label_hours AS
SELECT date_trunc('hour', recorded_at) AS hour, array_to_string(string_split(model, '-')[:2], '-') AS model,
       count(*) AS labels, count(*) FILTER (label = 'fraud') AS frauds,
       coalesce(sum(TRY_CAST(score AS DECIMAL(18, 15))) FILTER (label = 'fraud'), 0) AS fraud_scores,
       sum(TRY_CAST(score AS DECIMAL(18, 15))) AS scores,
       sum(TRY_CAST((score - (label = 'fraud')::INT) ** 2 AS DECIMAL(18, 15))) AS squared_errors
FROM store.labels WHERE score IS NOT NULL GROUP BY ALL;

CREATE TABLE IF NOT EXISTS store.notifications (
    event VARCHAR, payment VARCHAR, cause VARCHAR, sequence BIGINT, kind VARCHAR, channel VARCHAR, address VARCHAR,
    outcome VARCHAR, reason VARCHAR, message_id VARCHAR, recorded_at TIMESTAMP, ingested_at TIMESTAMP,
    caused_at TIMESTAMP
);
ALTER TABLE store.notifications ADD COLUMN IF NOT EXISTS caused_at TIMESTAMP;
UPDATE store.notifications SET caused_at = recorded_at WHERE caused_at IS NULL;

CREATE TABLE IF NOT EXISTS store.controls (
    id VARCHAR, kind VARCHAR, setting JSON, recorded_at TIMESTAMP, ingested_at TIMESTAMP
);

CREATE TABLE IF NOT EXISTS store.dead_letters (
    event VARCHAR, topic VARCHAR, partition BIGINT, "offset" BIGINT, reason VARCHAR,
    recorded_at TIMESTAMP, ingested_at TIMESTAMP
);

-- Where to read on, in the transaction of the rows that came before. Small, so it may have a key. `told_offset`: where
-- the last batch began; up to there, what changed was told on `payments.latest.v1`.
CREATE TABLE IF NOT EXISTS store.offsets (
    topic VARCHAR, partition BIGINT, next_offset BIGINT, newest_at TIMESTAMP, ingested_at TIMESTAMP,
    PRIMARY KEY (topic, partition)
);

ALTER TABLE store.offsets ADD COLUMN IF NOT EXISTS told_offset BIGINT;  -- null in a file from before `payments.latest.v1`
ALTER TABLE store.offsets ADD COLUMN IF NOT EXISTS told_at TIMESTAMP;

-- How many records are not read yet, as it was last looked at.
CREATE TABLE IF NOT EXISTS store.lags (
    topic VARCHAR, partition BIGINT, lag BIGINT, ingested_at TIMESTAMP, PRIMARY KEY (topic, partition)
);

-- What is left of payments that retention took away: as much as a late event has to find of what was counted, and
-- what the views of risk show.
CREATE TABLE IF NOT EXISTS store.payment_stubs (
    id VARCHAR, sequence BIGINT, created_at TIMESTAMP, recorded_at TIMESTAMP, state VARCHAR, currency VARCHAR,
    processor VARCHAR, amount BIGINT, amount_captured BIGINT, amount_refunded BIGINT,
    risk_outcome VARCHAR, risk_source VARCHAR, waited_ms DOUBLE, trace_id VARCHAR
);

-- Before which time (of the books) retention left no row in a table.
CREATE TABLE IF NOT EXISTS store.pruned (name VARCHAR PRIMARY KEY, before TIMESTAMP);

-- What decided each payment, also of those of which retention left a stub.
CREATE OR REPLACE VIEW store.judged AS
SELECT id, created_at, currency, amount, risk_outcome, risk_source, waited_ms FROM store.standing
UNION ALL
SELECT id, created_at, currency, amount, risk_outcome, risk_source, waited_ms FROM store.payment_stubs;
