"""Aggregates of rows, kept by deltas in the transaction that writes those.

They are the truth for ever: retention takes rows away, and no aggregate reads one again. A sum of scores is a
decimal: of doubles it would depend on the order in which they came.
"""

# How the sums of operations change by `rows`, which come (`sign` +) or go (-); minutes.py adds that up.
NOTE_OPERATIONS = """
INSERT INTO store.operation_changes BY NAME
SELECT date_trunc('minute', created_at) AS minute, processor, kind, status, sequence > 1 AS was_unknown,
       attempt_number > 1 AS took_over, {sign}count(*) AS count
FROM {rows} GROUP BY ALL
"""

# `{fresh}` has the rows of a batch that were not there yet; $oldest is the first of their times.
COUNT_BALANCES = """
MERGE INTO store.balances b USING (
    SELECT account, currency, sum(amount)::BIGINT AS amount, count(*) AS entries, max(recorded_at) AS updated_at
    FROM {fresh} GROUP BY ALL
) delta
ON b.account = delta.account AND b.currency = delta.currency
WHEN MATCHED THEN UPDATE SET amount = b.amount + delta.amount, entries = b.entries + delta.entries,
    updated_at = greatest(b.updated_at, delta.updated_at)
WHEN NOT MATCHED THEN INSERT BY NAME
"""

COUNT_LEDGER_DAYS = """
MERGE INTO store.ledger_days d USING (
    SELECT date_trunc('day', recorded_at) AS day, account, currency, merchant, processor, kind,
           sum(amount)::BIGINT AS amount, count(*) AS entries
    FROM {fresh} GROUP BY ALL
) delta
ON d.day = delta.day AND d.account = delta.account AND d.currency = delta.currency AND d.merchant = delta.merchant
   AND d.processor = delta.processor AND d.kind = delta.kind AND d.day >= date_trunc('day', $oldest::TIMESTAMP)
WHEN MATCHED THEN UPDATE SET amount = d.amount + delta.amount, entries = d.entries + delta.entries
WHEN NOT MATCHED THEN INSERT BY NAME
"""

# Of a model's version (kind-recipe-labels learned-their number) the first two parts: each label makes a new one.
COUNT_LABELS = """
MERGE INTO store.label_hours q USING (
    SELECT date_trunc('hour', recorded_at) AS hour, array_to_string(string_split(model, '-')[:2], '-') AS model,
           count(*) AS labels, count(*) FILTER (label = 'fraud') AS frauds,
           coalesce(sum(score::DECIMAL(18, 15)) FILTER (label = 'fraud'), 0) AS fraud_scores,
           sum(score::DECIMAL(18, 15)) AS scores,
           sum(((score - (label = 'fraud')::INT) ** 2)::DECIMAL(18, 15)) AS squared_errors
    FROM {fresh} WHERE score IS NOT NULL GROUP BY ALL
) delta
ON q.hour = delta.hour AND q.model IS NOT DISTINCT FROM delta.model
   AND q.hour >= date_trunc('hour', $oldest::TIMESTAMP)
WHEN MATCHED THEN UPDATE SET
    labels = q.labels + delta.labels, frauds = q.frauds + delta.frauds,
    fraud_scores = q.fraud_scores + delta.fraud_scores, scores = q.scores + delta.scores,
    squared_errors = q.squared_errors + delta.squared_errors
WHEN NOT MATCHED THEN INSERT BY NAME
"""
