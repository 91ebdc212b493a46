-- Payments number $first to $last, $apart microseconds apart and the first of all at $began, straight into the tables. All
-- that the views show agrees: minutes with payments, refunds with amounts given back, verdicts with what decided.

CREATE OR REPLACE TEMP MACRO pick(names, number, salt) AS names[(1 + hash(number, salt) % len(names))::BIGINT];
CREATE OR REPLACE TEMP MACRO share(number, salt) AS (hash(number, salt) % 1000000) / 1000000;
-- As schemas/ids.py writes one: Crockford's digits.
CREATE OR REPLACE TEMP MACRO made_id(prefix, moment, number) AS
    prefix || translate(lpad(lower(to_base(epoch_ms(moment), 32)), 10, '0'), 'ijklmnopqrstuv', 'jkmnpqrstvwxyz')
    || substr(md5(prefix || number), 1, 16);

CREATE OR REPLACE TEMP TABLE slice AS
WITH numbered AS (
    SELECT range AS number, (hash(range, 'customer') % 200000)::BIGINT AS buyer, (hash(range, 'shop') % 2000)::BIGINT AS shop,
           $began::TIMESTAMP + to_microseconds(range * $apart) AS created_at
    FROM range($first, $last + 1)
),
chosen AS (
    SELECT *, pick(['card', 'card', 'card', 'paypal'], number, 'method') AS method,
           (100 + hash(number, 'amount') % 40000)::BIGINT AS amount,
           CASE WHEN share(number, 'end') < 0.84 THEN 'captured' WHEN share(number, 'end') < 0.93 THEN 'declined'
                WHEN share(number, 'end') < 0.96 AND share(number, 'score') > 0.99 THEN 'in_review'
                WHEN share(number, 'end') < 0.96 THEN 'authorized' WHEN share(number, 'end') < 0.98 THEN 'voided'
                WHEN share(number, 'end') < 0.99 THEN 'failed' ELSE 'partially_captured' END AS state,
           share(number, 'refund') < 0.04 AS is_refunded, share(number, 'score') AS score
    FROM numbered
)
SELECT made_id('pay_', created_at, number) AS id, CASE WHEN is_refunded AND state = 'captured' THEN 4 ELSE 2 END AS sequence,
       state, CASE WHEN state IN ('captured', 'partially_captured') THEN 'succeeded'
                   WHEN state IN ('declined', 'failed', 'voided') THEN 'failed' ELSE 'pending' END AS status,
       amount, CASE state WHEN 'captured' THEN amount WHEN 'partially_captured' THEN amount // 2 ELSE 0 END
           AS amount_captured,
       CASE WHEN is_refunded AND state = 'captured' THEN amount // 2 ELSE 0 END AS amount_refunded,
       pick(['EUR', 'EUR', 'USD', 'GBP', 'CHF', 'JPY'], number, 'currency') AS currency,
       'acc_' || md5('buyer' || buyer)[:26] AS customer, 'acc_' || md5('shop' || shop)[:26] AS merchant,
       CASE method WHEN 'card' THEN 'ins_' || md5('instrument' || buyer)[:26] ELSE 'acc_' || md5('buyer' || buyer)[:26] END
           AS instrument,
       CASE method WHEN 'card' THEN pick(['visa', 'mastercard'], buyer, 'brand') ELSE 'paypal' END AS processor,
       1 AS attempts, 'automatic' AS capture, method,
       CASE method WHEN 'card' THEN 'card_' || md5('card' || buyer)[:26] END AS card,
       CASE method WHEN 'card' THEN pick(['visa', 'mastercard'], buyer, 'brand') END AS brand,
       CASE method WHEN 'card' THEN (400000 + hash(buyer, 'bin') % 9000)::VARCHAR END AS bin,
       CASE method WHEN 'card' THEN lpad((hash(buyer, 'last4') % 10000)::VARCHAR, 4, '0') END AS last4,
       pick(['DE', 'AT', 'CH', 'FR', 'GB', 'US'], buyer, 'country') AS country,
       CASE WHEN score > 0.99 THEN 'review' WHEN score > 0.97 THEN 'flag' ELSE 'allow' END AS risk_outcome,
       CASE WHEN share(number, 'source') < 0.999 THEN 'model' ELSE 'stand_in' END AS risk_source, score AS risk_score,
       CASE WHEN score > 0.97 THEN ['velocity_10m', 'amount'] ELSE ['usual_amount'] END AS risk_reasons,
       'logistic-1' AS risk_model, 2 + share(number, 'waited') * 20 AS waited_ms,
       CASE state WHEN 'declined' THEN pick(['insufficient_funds', 'generic_decline', 'expired_card'], number, 'code')
                  WHEN 'failed' THEN 'processor_error' END AS decline_code,
       created_at AS occurred_at, created_at, created_at + INTERVAL 80 MILLISECONDS AS updated_at,
       created_at + INTERVAL 80 MILLISECONDS AS recorded_at, created_at + INTERVAL 300 MILLISECONDS AS ingested_at,
       md5('trace' || number) AS trace_id,
       CASE WHEN state IN ('authorized', 'in_review') THEN amount
            WHEN state = 'partially_captured' THEN amount - amount // 2 ELSE 0 END AS amount_capturable
FROM chosen;

INSERT INTO store.payments BY NAME
SELECT *, md5_number_lower(customer) >> 32 AS customer_hash, md5_number_lower(instrument) >> 32 AS instrument_hash FROM slice;

INSERT INTO store.refunds BY NAME
SELECT 'ref_' || id[5:] AS id, id AS payment, sequence, amount_refunded AS amount, currency, 'succeeded' AS status,
       customer, merchant, processor, brand, created_at + INTERVAL 1 MINUTE AS created_at,
       created_at + INTERVAL 1 MINUTE AS updated_at, created_at + INTERVAL 1 MINUTE AS recorded_at,
       created_at + INTERVAL 1 MINUTE AS ingested_at
FROM slice WHERE amount_refunded > 0;

INSERT INTO store.payment_minutes BY NAME
SELECT date_trunc('minute', created_at) AS minute, currency, processor, state, count(*) AS count, sum(amount)::BIGINT AS amount,
       sum(amount_captured)::BIGINT AS amount_captured, sum(amount_refunded)::BIGINT AS amount_refunded
FROM slice GROUP BY ALL;

INSERT INTO store.payment_hours BY NAME
SELECT date_trunc('hour', created_at) AS hour, currency, processor, state, count(*) AS count, sum(amount)::BIGINT AS amount,
       sum(amount_captured)::BIGINT AS amount_captured, sum(amount_refunded)::BIGINT AS amount_refunded
FROM slice GROUP BY ALL;

INSERT INTO store.verdicts BY NAME
SELECT 'evt_' || id[5:] AS event, id AS payment, instrument, merchant, risk_outcome AS outcome, 'model' AS source,
       risk_score AS score, risk_reasons AS reasons,
       json_object('card_count_1h', 1.0, 'amount_over_mean', round(risk_score * 4, 3)) AS features,
       risk_model AS model, 'rules-1' AS rules, row_number() OVER () AS flow_sequence, 2 AS input_partition,
       row_number() OVER () AS input_offset, waited_ms AS latency_ms, occurred_at, created_at AS recorded_at,
       ingested_at, 'authorized' AS hold
FROM slice;

INSERT INTO store.labels BY NAME
SELECT 'evt_l' || id[5:] AS event, id AS payment, instrument, merchant, 'fraud' AS label, 'analyst' AS source, amount,
       currency, risk_score AS score, risk_model AS model, occurred_at, created_at + INTERVAL 1 DAY AS recorded_at,
       ingested_at
FROM slice WHERE risk_score > 0.99;

INSERT INTO store.notifications BY NAME
SELECT 'evt_n' || id[5:] AS event, id AS payment, 'evt_c' || id[5:] AS cause, sequence, 'transaction_completed' AS kind,
       'email' AS channel, 'c…@example.com' AS address, 'delivered' AS outcome, '<' || id || '@sluice>' AS message_id,
       updated_at + INTERVAL 2 SECONDS AS recorded_at, ingested_at, updated_at AS caused_at
FROM slice WHERE status <> 'pending';
