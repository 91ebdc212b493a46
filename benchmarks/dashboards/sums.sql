-- What is kept of all entries and of those who sell, once every slice is there.

DELETE FROM store.ledger_days;
INSERT INTO store.ledger_days BY NAME
SELECT date_trunc('day', recorded_at) AS day, account, currency, merchant, processor, kind, sum(amount)::BIGINT AS amount,
       count(*) AS entries
FROM store.ledger GROUP BY ALL ORDER BY day;

DELETE FROM store.risk_minutes;
INSERT INTO store.risk_minutes BY NAME
SELECT date_trunc('minute', created_at) AS minute, risk_outcome AS outcome, risk_source AS source, currency, count(*) AS count,
       sum(amount)::BIGINT AS amount
FROM store.standing WHERE risk_outcome IS NOT NULL GROUP BY ALL ORDER BY minute;

DELETE FROM store.operation_minutes;
INSERT INTO store.operation_minutes BY NAME
SELECT date_trunc('minute', created_at) AS minute, processor, kind, status, sequence > 1 AS was_unknown,
       attempt_number > 1 AS took_over, count(*) AS count
FROM store.operations GROUP BY ALL ORDER BY minute;

DELETE FROM store.label_hours;
INSERT INTO store.label_hours BY NAME
SELECT date_trunc('hour', recorded_at) AS hour, model, count(*) AS labels, count(*) FILTER (label = 'fraud') AS frauds,
       coalesce(sum(score::DECIMAL(18, 15)) FILTER (label = 'fraud'), 0) AS fraud_scores,
       sum(score::DECIMAL(18, 15)) AS scores,
       sum(((score - (label = 'fraud')::INT) ** 2)::DECIMAL(18, 15)) AS squared_errors
FROM store.labels WHERE score IS NOT NULL GROUP BY ALL ORDER BY hour;

DELETE FROM store.balances;
INSERT INTO store.balances BY NAME
SELECT account, currency, sum(amount)::BIGINT AS amount, count(*) AS entries, max(recorded_at) AS updated_at
FROM store.ledger GROUP BY ALL;

DELETE FROM store.accounts;
INSERT INTO store.accounts BY NAME
SELECT merchant AS id, 1 AS sequence, 'merchant' AS role, false AS disabled, false AS erased, 'Shop ' || upper(merchant[5:10])
           AS trading_name, min(created_at) AS created_at, min(created_at) AS recorded_at, min(created_at) AS ingested_at
FROM store.standing GROUP BY merchant;
