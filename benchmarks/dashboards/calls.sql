-- What the books tell beside payments, of the `slice` that benchmarks/warehouse/history.sql made: calls to processors, the
-- entries they posted, reviews. Made of the payments, so all of it agrees with them.

CREATE OR REPLACE TEMP MACRO id_of(prefix, payment, what) AS prefix || payment[5:14] || md5(what || payment)[:16];

CREATE OR REPLACE TEMP TABLE calls AS
WITH asked AS (
    SELECT *, CASE WHEN state IN ('authorized', 'in_review', 'voided', 'partially_captured') THEN 'authorize' ELSE 'sale' END
           AS first_kind
    FROM slice
), each AS (
    SELECT id AS payment, merchant, processor, currency, created_at AS asked_at, first_kind AS kind, amount, decline_code,
           CASE WHEN state IN ('declined', 'failed') THEN state ELSE 'succeeded' END AS status, NULL AS follows
    FROM asked
    UNION ALL BY NAME
    SELECT id AS payment, merchant, processor, currency, created_at + INTERVAL 10 SECOND AS asked_at,
           CASE state WHEN 'voided' THEN 'void' ELSE 'capture' END AS kind,
           CASE state WHEN 'voided' THEN amount ELSE amount_captured END AS amount, 'succeeded' AS status, 'authorize' AS follows
    FROM asked WHERE state IN ('voided', 'partially_captured')
    UNION ALL BY NAME
    SELECT id AS payment, merchant, processor, currency, created_at + INTERVAL 1 MINUTE AS asked_at, 'refund' AS kind,
           amount_refunded AS amount, 'succeeded' AS status, first_kind AS follows
    FROM asked WHERE amount_refunded > 0
)
SELECT id_of('op_', payment, kind) AS id, 1::BIGINT AS sequence, payment, id_of('att_', payment, '') AS attempt,
       1::BIGINT AS attempt_number, merchant, processor, kind, status, amount, currency, asked_at AS created_at,
       40 + share(payment, 'took') * 60 + CASE WHEN share(payment, 'slow') > 0.99 THEN 600 ELSE 0 END AS milliseconds,
       CASE WHEN follows IS NOT NULL THEN id_of('op_', payment, follows) END AS parent, 1::BIGINT AS part, kind <> 'capture' AS final,
       CASE kind WHEN 'refund' THEN 'ref_' || payment[5:] END AS refund, 'ref-' || md5(kind || payment)[:12] AS processor_reference,
       decline_code, CASE status WHEN 'succeeded' THEN '' ELSE 'refused' END AS detail
FROM each;

INSERT INTO store.operations BY NAME
SELECT *, created_at + to_microseconds((1000 * milliseconds)::BIGINT) AS finished_at,
       created_at + to_microseconds((1000 * milliseconds)::BIGINT) AS recorded_at, created_at + INTERVAL 300 MILLISECONDS AS ingested_at
FROM calls;

-- A sale or a capture is due, what is authorized is on hold; a capture takes its part off the hold, a void all of it.
INSERT INTO store.ledger BY NAME
WITH moves AS (
    SELECT *, unnest(CASE kind WHEN 'authorize' THEN [('hold', 1)] WHEN 'void' THEN [('hold', -1)]
                     WHEN 'capture' THEN [('due', 1), ('hold', -1)] WHEN 'refund' THEN [('due', -1)]
                     ELSE [('due', 1)] END::STRUCT(side VARCHAR, sign BIGINT)[]) AS move
    FROM calls WHERE status = 'succeeded'
), entries AS (
    SELECT *, unnest([(0, processor, amount), (1, merchant, -amount)]::STRUCT(number BIGINT, party VARCHAR, amount BIGINT)[]) AS entry
    FROM moves
)
SELECT id AS operation, sequence, entry.number + CASE WHEN kind = 'capture' AND move.side = 'hold' THEN 2 ELSE 0 END AS number,
       payment, merchant, processor, kind, move.side || ':' || entry.party AS account, move.sign * entry.amount AS amount,
       currency, created_at + to_microseconds((1000 * milliseconds)::BIGINT) AS recorded_at,
       created_at + INTERVAL 300 MILLISECONDS AS ingested_at
FROM entries;

INSERT INTO store.reviews BY NAME
SELECT id_of('rev_', id, '') AS id, CASE state WHEN 'in_review' THEN 1 ELSE 2 END AS sequence, id AS payment, 'held' AS kind, merchant,
       amount, currency, risk_reasons AS reasons, created_at AS opened_at,
       CASE state WHEN 'in_review' THEN NULL WHEN 'voided' THEN 'reject' ELSE 'approve' END AS decision,
       CASE WHEN state <> 'in_review' THEN 'acc_' || md5('reviewer')[:26] END AS decided_by,
       CASE WHEN state <> 'in_review' THEN created_at + INTERVAL 5 MINUTE END AS decided_at,
       created_at AS recorded_at, ingested_at
FROM slice WHERE risk_outcome = 'review';
