-- The rows of the books' tables, each a view of its name, of the payments that were created from `since` on in the warehouse
-- `full`. Names are the books' columns; what is missing is null there.

CREATE TEMP VIEW paid AS FROM "full".store.standing WHERE created_at >= getvariable('since');
CREATE TEMP VIEW called AS FROM "full".store.operations WHERE created_at >= getvariable('since') AND payment IN (SELECT id FROM paid);

CREATE TEMP VIEW payments AS
SELECT id, instrument AS stream_key, customer AS customer_id, merchant AS merchant_id, amount, currency, method, card AS card_id, brand,
       bin, last4, CASE method WHEN 'card' THEN md5(instrument) END AS fingerprint, capture, country, epoch_us(occurred_at) AS occurred_at,
       CASE WHEN hash(id) % 3 = 0 THEN 'order ' || id[21:] END AS reference, epoch_us(created_at) AS created_at, state,
       CASE WHEN status <> 'pending' THEN status END AS announced, CASE state WHEN 'in_review' THEN 'judged' ELSE 'finished' END AS recovery_point,
       sequence AS version, sequence, amount_captured, amount_refunded, processor, decline_code, risk_outcome,
       json_object('outcome', risk_outcome, 'source', risk_source, 'score', risk_score, 'reasons', risk_reasons, 'model', risk_model,
                   'waited_ms', waited_ms)::VARCHAR AS risk,
       attempts, epoch_us(updated_at) AS updated_at
FROM paid;

CREATE TEMP VIEW attempts AS
SELECT attempt AS id, payment AS payment_id, 1 AS number, any_value(processor) AS processor, epoch_us(min(created_at)) AS created_at
FROM called GROUP BY attempt, payment;

CREATE TEMP VIEW operations AS
SELECT id, payment AS payment_id, attempt AS attempt_id, processor, kind, parent AS parent_id, amount, currency, part, final,
       refund AS refund_id, CASE kind WHEN 'refund' THEN 2 WHEN 'authorize' THEN 0 WHEN 'sale' THEN 0 ELSE 1 END AS ordinal,
       status, processor_reference, decline_code, detail, 0 AS checks, epoch_us(created_at) AS created_at,
       epoch_us(finished_at) AS finished_at, sequence
FROM called;

CREATE TEMP VIEW postings AS
SELECT row_number() OVER (ORDER BY recorded_at, operation, number) AS id, 'operation' AS source_kind, operation AS source_id,
       payment AS payment_id, account, amount, currency, epoch_us(recorded_at) AS recorded_at
FROM "full".store.ledger WHERE recorded_at >= getvariable('since') AND payment IN (SELECT id FROM paid);

CREATE TEMP VIEW verdicts AS
SELECT row_number() OVER (ORDER BY recorded_at) AS id, payment AS payment_id, true AS applied, source, outcome, score, model,
       features::VARCHAR AS features, epoch_us(recorded_at) AS recorded_at
FROM "full".store.verdicts WHERE recorded_at >= getvariable('since');

CREATE TEMP VIEW refunds AS
SELECT id, payment AS payment_id, customer AS customer_id, merchant AS merchant_id, currency, epoch_us(created_at) AS created_at, amount,
       amount AS amount_refunded, status, epoch_us(updated_at) AS updated_at
FROM "full".store.refunds WHERE created_at >= getvariable('since') AND payment IN (SELECT id FROM paid);

CREATE TEMP VIEW held AS
SELECT r.*, p.risk_score FROM "full".store.reviews r JOIN paid p ON p.id = r.payment WHERE r.opened_at >= getvariable('since');

CREATE TEMP VIEW reviews AS
SELECT id, payment AS payment_id, epoch_us(opened_at) AS opened_at, decision, CASE WHEN decision IS NOT NULL THEN 'known' END AS reason,
       decided_by, epoch_us(decided_at) AS decided_at, kind, sequence, round(amount * risk_score)::BIGINT AS expected_loss,
       round(amount * risk_score)::BIGINT AS loss_rank
FROM held;

CREATE TEMP VIEW review_reasons AS
SELECT id AS review_id, unnest(reasons) AS reason, decision IS NULL AS is_open, round(amount * risk_score)::BIGINT AS loss_rank FROM held;
