"""Aggregates, kept by deltas in the transaction that writes the rows they are of.

They are the truth for ever: retention takes rows away, and no aggregate reads one again. A sum of scores is a
decimal: of doubles it would depend on the order in which they came.
"""

# Whatever changed leaves the sums as it was and comes in as it is. The temporary table `changed` has each payment
# of a batch as it is now, and as it was (`old_…`) where it `is_known`. `there`: of which minutes they are.
COUNT_MINUTES = """
MERGE INTO store.payment_minutes m USING (
    SELECT minute, currency, processor, state, sum(n)::BIGINT AS count, sum(n * amount)::BIGINT AS amount,
           sum(n * captured)::BIGINT AS amount_captured, sum(n * refunded)::BIGINT AS amount_refunded
    FROM (
        SELECT date_trunc('minute', created_at) AS minute, currency, processor, state, 1 AS n, amount,
               amount_captured AS captured, amount_refunded AS refunded
        FROM changed
        UNION ALL
        SELECT date_trunc('minute', created_at), old_currency, old_processor, old_state, -1, old_amount,
               old_captured, old_refunded
        FROM changed WHERE is_known
    ) GROUP BY ALL HAVING sum(n) <> 0 OR sum(n * amount) <> 0 OR sum(n * captured) <> 0 OR sum(n * refunded) <> 0
) delta
ON m.minute = delta.minute AND m.currency = delta.currency AND m.state = delta.state
   AND m.processor IS NOT DISTINCT FROM delta.processor AND {there}
WHEN MATCHED THEN UPDATE SET
    count = m.count + delta.count, amount = m.amount + delta.amount,
    amount_captured = m.amount_captured + delta.amount_captured,
    amount_refunded = m.amount_refunded + delta.amount_refunded
WHEN NOT MATCHED THEN INSERT BY NAME
"""

COUNT_RISK = """
MERGE INTO store.risk_minutes m USING (
    SELECT minute, outcome, source, currency, sum(n)::BIGINT AS count, sum(n * amount)::BIGINT AS amount
    FROM (
        SELECT date_trunc('minute', created_at) AS minute, risk_outcome AS outcome, risk_source AS source,
               currency, 1 AS n, amount
        FROM changed WHERE risk_outcome IS NOT NULL
        UNION ALL
        SELECT date_trunc('minute', created_at), old_risk_outcome, old_risk_source, old_currency, -1, old_amount
        FROM changed WHERE old_risk_outcome IS NOT NULL
    ) GROUP BY ALL HAVING sum(n) <> 0 OR sum(n * amount) <> 0
) delta
ON m.minute = delta.minute AND m.outcome = delta.outcome AND m.source = delta.source
   AND m.currency = delta.currency AND {there}
WHEN MATCHED THEN UPDATE SET count = m.count + delta.count, amount = m.amount + delta.amount
WHEN NOT MATCHED THEN INSERT BY NAME
"""

# The temporary table `added` has the rows of a batch that were not there yet; $oldest is the first of their times.
COUNT_BALANCES = """
MERGE INTO store.balances b USING (
    SELECT account, currency, sum(amount)::BIGINT AS amount, count(*) AS entries, max(recorded_at) AS updated_at
    FROM added GROUP BY ALL
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
    FROM added GROUP BY ALL
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
    FROM added WHERE score IS NOT NULL GROUP BY ALL
) delta
ON q.hour = delta.hour AND q.model IS NOT DISTINCT FROM delta.model
   AND q.hour >= date_trunc('hour', $oldest::TIMESTAMP)
WHEN MATCHED THEN UPDATE SET
    labels = q.labels + delta.labels, frauds = q.frauds + delta.frauds,
    fraud_scores = q.fraud_scores + delta.fraud_scores, scores = q.scores + delta.scores,
    squared_errors = q.squared_errors + delta.squared_errors
WHEN NOT MATCHED THEN INSERT BY NAME
"""
