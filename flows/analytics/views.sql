-- What readers ask (docs/sql.md): names and columns are a contract. Columns are added at the end, none is removed.

CREATE OR REPLACE VIEW payments AS
SELECT id, status, state, amount, amount_captured, amount_refunded, currency, customer, merchant, processor, brand,
       country, risk_outcome, risk_score, decline_code, occurred_at, created_at, updated_at,
       recorded_at, ingested_at, sequence, risk_source, risk_reasons, risk_model, waited_ms,
       attempts, capture, method, card, bin, last4, instrument, trace_id,
       amount_capturable, last_refusal_kind, last_refusal_code, amount_eur_cents, customer_hash, instrument_hash
FROM store.standing;
COMMENT ON VIEW payments IS 'Every payment as it stands now, one row each.';
COMMENT ON COLUMN payments.id IS 'pay_…';
COMMENT ON COLUMN payments.status IS 'pending, succeeded or failed';
COMMENT ON COLUMN payments.state IS 'processing, requires_action, in_review, authorized, partially_captured, captured, voided, declined, failed or unknown';
COMMENT ON COLUMN payments.amount IS 'asked, in minor units (cents for EUR)';
COMMENT ON COLUMN payments.amount_captured IS 'captured so far, in minor units';
COMMENT ON COLUMN payments.amount_refunded IS 'refunded so far, in minor units';
COMMENT ON COLUMN payments.currency IS 'ISO 4217';
COMMENT ON COLUMN payments.customer IS 'the account that pays';
COMMENT ON COLUMN payments.merchant IS 'the account that sells';
COMMENT ON COLUMN payments.processor IS 'visa, mastercard or paypal; null before routing';
COMMENT ON COLUMN payments.brand IS 'what is printed on the card; null for PayPal';
COMMENT ON COLUMN payments.country IS 'of the payer''s IP address, ISO 3166-1 alpha-2';
COMMENT ON COLUMN payments.risk_outcome IS 'of the verdict that decided: allow, flag, review or block';
COMMENT ON COLUMN payments.risk_score IS 'of that verdict: probability of fraud, 0 to 1; null where no model spoke';
COMMENT ON COLUMN payments.decline_code IS 'why it was declined or failed';
COMMENT ON COLUMN payments.occurred_at IS 'when it happened at the payer''s, UTC';
COMMENT ON COLUMN payments.created_at IS 'when the books took it in, UTC';
COMMENT ON COLUMN payments.updated_at IS 'when it last changed in the books, UTC';
COMMENT ON COLUMN payments.recorded_at IS 'when the books recorded the event this row shows, UTC';
COMMENT ON COLUMN payments.ingested_at IS 'when that event was written here, UTC; minus recorded_at it is the age of the row at its birth';
COMMENT ON COLUMN payments.sequence IS 'number of that event in the payment';
COMMENT ON COLUMN payments.risk_source IS 'of the verdict that decided: model, rules or stand_in';
COMMENT ON COLUMN payments.risk_reasons IS 'of the verdict that decided, as a list';
COMMENT ON COLUMN payments.risk_model IS 'version of the model that decided';
COMMENT ON COLUMN payments.waited_ms IS 'from the first commit to the arrival of the verdict, in milliseconds';
COMMENT ON COLUMN payments.attempts IS 'tries at a processor';
COMMENT ON COLUMN payments.capture IS 'automatic or manual';
COMMENT ON COLUMN payments.method IS 'card or paypal';
COMMENT ON COLUMN payments.card IS 'the card''s token';
COMMENT ON COLUMN payments.bin IS 'first digits of the card';
COMMENT ON COLUMN payments.last4 IS 'last four digits of the card';
COMMENT ON COLUMN payments.instrument IS 'a keyed hash of the card''s number, or the PayPal customer: the key of the fraud features';
COMMENT ON COLUMN payments.trace_id IS 'trace (W3C) of its first event, 32 hex digits as in the log; null where that had none';
COMMENT ON COLUMN payments.amount_capturable IS 'reserved and not captured yet, in minor units; 0 in events from before it was told';
COMMENT ON COLUMN payments.last_refusal_kind IS 'what the processor refused last: capture, void or refund; the payment stayed as it was';
COMMENT ON COLUMN payments.last_refusal_code IS 'why, a decline code';
COMMENT ON COLUMN payments.amount_eur_cents IS 'amount in euro cents by the rate of the day it happened; null where there is none, and in events from before it was told';
COMMENT ON COLUMN payments.customer_hash IS 'md5_number_lower(customer) >> 32: compared besides customer, it finds one customer''s payments among millions in a fraction of the time';
COMMENT ON COLUMN payments.instrument_hash IS 'md5_number_lower(instrument) >> 32, for the same';

CREATE OR REPLACE VIEW refunds AS
SELECT id, payment, amount, currency, status, decline_code, customer, merchant, processor, brand,
       created_at, updated_at, recorded_at, ingested_at, sequence
FROM store.refunds;
COMMENT ON VIEW refunds IS 'Every refund as it stands now, one row each. Once none of a payment is pending, those that succeeded add up to its amount_refunded.';
COMMENT ON COLUMN refunds.id IS 'ref_…';
COMMENT ON COLUMN refunds.payment IS 'pay_…';
COMMENT ON COLUMN refunds.amount IS 'in minor units; refunded where it succeeded, else asked';
COMMENT ON COLUMN refunds.currency IS 'ISO 4217';
COMMENT ON COLUMN refunds.status IS 'pending, succeeded or failed; only what succeeded was refunded';
COMMENT ON COLUMN refunds.decline_code IS 'why it failed; where it succeeded, why less was refunded than was asked';
COMMENT ON COLUMN refunds.customer IS 'the account that paid';
COMMENT ON COLUMN refunds.merchant IS 'the account that sold';
COMMENT ON COLUMN refunds.processor IS 'of the payment: visa, mastercard or paypal';
COMMENT ON COLUMN refunds.brand IS 'of the payment''s card; null for PayPal';
COMMENT ON COLUMN refunds.created_at IS 'when it was asked for, UTC';
COMMENT ON COLUMN refunds.updated_at IS 'when it last changed in the books, UTC';
COMMENT ON COLUMN refunds.recorded_at IS 'when the books recorded the event this row shows, UTC';
COMMENT ON COLUMN refunds.ingested_at IS 'when that event was written here, UTC';
COMMENT ON COLUMN refunds.sequence IS 'number of that event in the payment';

-- Sums of which batches noted no change are as they stand; to the others that is added (minutes.py). Of all of them to be
-- added up anew a question of ten million payments would take fifty times as long.
CREATE OR REPLACE VIEW payments_by_minute AS
SELECT minute, currency, processor, state, count, amount, amount_captured, amount_refunded
FROM store.payment_minutes ANTI JOIN store.payment_changes USING (minute) WHERE count > 0
UNION ALL
SELECT minute, currency, processor, state, sum(count)::BIGINT, sum(amount)::BIGINT,
       sum(amount_captured)::BIGINT, sum(amount_refunded)::BIGINT
FROM (
    FROM store.payment_minutes SEMI JOIN store.payment_changes USING (minute)
    UNION ALL BY NAME SELECT * EXCLUDE (outcome, source) FROM store.payment_changes
) GROUP BY minute, currency, processor, state HAVING sum(count) > 0;
COMMENT ON VIEW payments_by_minute IS 'Payments by the minute of created_at, as they stand now.';
COMMENT ON COLUMN payments_by_minute.minute IS 'beginning of the minute, UTC';
COMMENT ON COLUMN payments_by_minute.currency IS 'ISO 4217; never add amounts of two';
COMMENT ON COLUMN payments_by_minute.processor IS 'visa, mastercard or paypal; null before routing';
COMMENT ON COLUMN payments_by_minute.state IS 'of the payments counted';
COMMENT ON COLUMN payments_by_minute.count IS 'payments';
COMMENT ON COLUMN payments_by_minute.amount IS 'sum of payments.amount, in minor units';
COMMENT ON COLUMN payments_by_minute.amount_captured IS 'captured of these payments so far, whenever it was, in minor units';
COMMENT ON COLUMN payments_by_minute.amount_refunded IS 'refunded of these payments so far, whenever it was, in minor units';

CREATE OR REPLACE VIEW payments_by_hour AS
WITH changes AS (
    SELECT date_trunc('hour', minute) AS hour, * EXCLUDE (minute, outcome, source) FROM store.payment_changes
)
SELECT hour, currency, processor, state, count, amount, amount_captured, amount_refunded
FROM store.payment_hours ANTI JOIN changes USING (hour) WHERE count > 0
UNION ALL
SELECT hour, currency, processor, state, sum(count)::BIGINT, sum(amount)::BIGINT,
       sum(amount_captured)::BIGINT, sum(amount_refunded)::BIGINT
FROM (FROM store.payment_hours SEMI JOIN changes USING (hour) UNION ALL BY NAME FROM changes)
GROUP BY hour, currency, processor, state HAVING sum(count) > 0;
COMMENT ON VIEW payments_by_hour IS 'Payments by the hour of created_at, as they stand now.';
COMMENT ON COLUMN payments_by_hour.hour IS 'beginning of the hour, UTC';
COMMENT ON COLUMN payments_by_hour.currency IS 'ISO 4217; never add amounts of two';
COMMENT ON COLUMN payments_by_hour.processor IS 'visa, mastercard or paypal; null before routing';
COMMENT ON COLUMN payments_by_hour.state IS 'of the payments counted';
COMMENT ON COLUMN payments_by_hour.count IS 'payments';
COMMENT ON COLUMN payments_by_hour.amount IS 'sum of payments.amount, in minor units';
COMMENT ON COLUMN payments_by_hour.amount_captured IS 'captured of these payments so far, whenever it was, in minor units';
COMMENT ON COLUMN payments_by_hour.amount_refunded IS 'refunded of these payments so far, whenever it was, in minor units';

CREATE OR REPLACE VIEW payments_by_day AS
SELECT date_trunc('day', hour)::DATE AS day, currency, processor, state,
       sum(count)::BIGINT AS count, sum(amount)::BIGINT AS amount,
       sum(amount_captured)::BIGINT AS amount_captured, sum(amount_refunded)::BIGINT AS amount_refunded
FROM payments_by_hour GROUP BY ALL;
COMMENT ON VIEW payments_by_day IS 'Payments by the UTC day of created_at, as they stand now.';
COMMENT ON COLUMN payments_by_day.day IS 'UTC';
COMMENT ON COLUMN payments_by_day.currency IS 'ISO 4217; never add amounts of two';
COMMENT ON COLUMN payments_by_day.processor IS 'visa, mastercard or paypal; null before routing';
COMMENT ON COLUMN payments_by_day.state IS 'of the payments counted';
COMMENT ON COLUMN payments_by_day.count IS 'payments';
COMMENT ON COLUMN payments_by_day.amount IS 'sum of payments.amount, in minor units';
COMMENT ON COLUMN payments_by_day.amount_captured IS 'captured of these payments so far, whenever it was, in minor units';
COMMENT ON COLUMN payments_by_day.amount_refunded IS 'refunded of these payments so far, whenever it was, in minor units';

CREATE OR REPLACE VIEW risk AS
SELECT v.payment, v.outcome, v.source, v.score, v.reasons, v.model, v.rules, v.latency_ms, p.waited_ms,
       p.risk_outcome AS applied_outcome, p.risk_source AS applied_source,
       v.instrument, v.merchant, v.features, v.flow_sequence, v.input_partition, v.input_offset,
       v.occurred_at, v.recorded_at, v.ingested_at, v.hold, v.listed, v.rules_met, v.shadow_met,
       v.score_live, (v.counterfactual->>'$.amount')::BIGINT AS counterfactual_amount
FROM store.verdicts v LEFT JOIN store.judged p ON p.id = v.payment;
COMMENT ON VIEW risk IS 'The first verdict of the fraud flow on each payment. What decided it stands in payments.risk_*: the stand-in where the verdict came late.';
COMMENT ON COLUMN risk.payment IS 'pay_…';
COMMENT ON COLUMN risk.outcome IS 'allow, flag, review or block';
COMMENT ON COLUMN risk.source IS 'model or rules';
COMMENT ON COLUMN risk.score IS 'probability of fraud, 0 to 1; null where the model had nothing to say';
COMMENT ON COLUMN risk.reasons IS 'as a list';
COMMENT ON COLUMN risk.model IS 'version of the model';
COMMENT ON COLUMN risk.rules IS 'version of the rules';
COMMENT ON COLUMN risk.latency_ms IS 'from the record of the payment to the verdict, in milliseconds';
COMMENT ON COLUMN risk.waited_ms IS 'how long the gateway waited for the verdict it applied, in milliseconds';
COMMENT ON COLUMN risk.applied_outcome IS 'what decided the payment; differs where this verdict came late';
COMMENT ON COLUMN risk.applied_source IS 'model, rules or stand_in';
COMMENT ON COLUMN risk.instrument IS 'a keyed hash of the card''s number, or the PayPal customer';
COMMENT ON COLUMN risk.merchant IS 'the account that sells';
COMMENT ON COLUMN risk.features IS 'the numbers it was made from, as a JSON object';
COMMENT ON COLUMN risk.flow_sequence IS 'counts the verdicts of one run of the flow';
COMMENT ON COLUMN risk.input_partition IS 'partition of payments.v1 the payment stood in';
COMMENT ON COLUMN risk.input_offset IS 'its offset there';
COMMENT ON COLUMN risk.occurred_at IS 'of the payment, UTC';
COMMENT ON COLUMN risk.recorded_at IS 'of the verdict, UTC';
COMMENT ON COLUMN risk.ingested_at IS 'when it was written here, UTC';
COMMENT ON COLUMN risk.hold IS 'of a review: authorized (the issuer reserves the money first) or unsent (it is not asked yet)';
COMMENT ON COLUMN risk.listed IS 'of the list entry that decided; null where none did';
COMMENT ON COLUMN risk.rules_met IS 'ids of the live rules that it meets, the most severe first; null where it was not told yet';
COMMENT ON COLUMN risk.shadow_met IS 'ids of the rules that are only tried and would be met';
COMMENT ON COLUMN risk.score_live IS 'whether rules saw the score; null where a fault kept them from being looked at, and where it was not told yet';
COMMENT ON COLUMN risk.counterfactual_amount IS 'of what was held or blocked: with which amount it would have passed, in minor units; null where no amount helps or is known';

CREATE OR REPLACE VIEW verdicts AS
SELECT payment, outcome, source, score, reasons, model, rules, latency_ms, instrument, merchant, features, flow_sequence,
       input_partition, input_offset, occurred_at, recorded_at, ingested_at, hold, listed, rules_met, shadow_met,
       score_live, (counterfactual->>'$.amount')::BIGINT AS counterfactual_amount
FROM store.verdicts;
COMMENT ON VIEW verdicts IS 'As risk, without what was applied, for which that reads all payments: for questions about many verdicts.';
COMMENT ON COLUMN verdicts.payment IS 'pay_…';
COMMENT ON COLUMN verdicts.outcome IS 'allow, flag, review or block';
COMMENT ON COLUMN verdicts.source IS 'model or rules';
COMMENT ON COLUMN verdicts.score IS 'probability of fraud, 0 to 1; null where the model had nothing to say';
COMMENT ON COLUMN verdicts.reasons IS 'as a list';
COMMENT ON COLUMN verdicts.model IS 'version of the model';
COMMENT ON COLUMN verdicts.rules IS 'version of the rules';
COMMENT ON COLUMN verdicts.latency_ms IS 'from the record of the payment to the verdict, in milliseconds';
COMMENT ON COLUMN verdicts.instrument IS 'a keyed hash of the card''s number, or the PayPal customer';
COMMENT ON COLUMN verdicts.merchant IS 'the account that sells';
COMMENT ON COLUMN verdicts.features IS 'the numbers it was made from, as a JSON object';
COMMENT ON COLUMN verdicts.flow_sequence IS 'counts the verdicts of one run of the flow';
COMMENT ON COLUMN verdicts.input_partition IS 'partition of payments.v1 the payment stood in';
COMMENT ON COLUMN verdicts.input_offset IS 'its offset there';
COMMENT ON COLUMN verdicts.occurred_at IS 'of the payment, UTC';
COMMENT ON COLUMN verdicts.recorded_at IS 'of the verdict, UTC';
COMMENT ON COLUMN verdicts.ingested_at IS 'when it was written here, UTC';
COMMENT ON COLUMN verdicts.hold IS 'of a review: authorized (the issuer reserves the money first) or unsent (it is not asked yet)';
COMMENT ON COLUMN verdicts.listed IS 'of the list entry that decided; null where none did';
COMMENT ON COLUMN verdicts.rules_met IS 'ids of the live rules that it meets, the most severe first; null where it was not told yet';
COMMENT ON COLUMN verdicts.shadow_met IS 'ids of the rules that are only tried and would be met';
COMMENT ON COLUMN verdicts.score_live IS 'whether rules saw the score; null where a fault kept them from being looked at, and where it was not told yet';
COMMENT ON COLUMN verdicts.counterfactual_amount IS 'of what was held or blocked: with which amount it would have passed, in minor units; null where no amount helps or is known';

CREATE OR REPLACE VIEW risk_outcomes_by_minute AS
SELECT minute, outcome, source, currency, count, amount
FROM store.risk_minutes ANTI JOIN store.payment_changes USING (minute) WHERE count > 0
UNION ALL
SELECT minute, outcome, source, currency, sum(count)::BIGINT, sum(amount)::BIGINT
FROM (
    FROM store.risk_minutes SEMI JOIN store.payment_changes USING (minute)
    UNION ALL BY NAME
    SELECT minute, outcome, source, currency, count, amount FROM store.payment_changes WHERE outcome IS NOT NULL
) GROUP BY minute, outcome, source, currency HAVING sum(count) > 0;
COMMENT ON VIEW risk_outcomes_by_minute IS 'What decided the payments, by the minute of created_at.';
COMMENT ON COLUMN risk_outcomes_by_minute.minute IS 'beginning of the minute, UTC';
COMMENT ON COLUMN risk_outcomes_by_minute.outcome IS 'allow, flag, review or block';
COMMENT ON COLUMN risk_outcomes_by_minute.source IS 'model, rules or stand_in';
COMMENT ON COLUMN risk_outcomes_by_minute.currency IS 'ISO 4217; never add amounts of two';
COMMENT ON COLUMN risk_outcomes_by_minute.count IS 'payments';
COMMENT ON COLUMN risk_outcomes_by_minute.amount IS 'sum of payments.amount, in minor units';

CREATE OR REPLACE VIEW notifications AS
SELECT payment, channel, kind, outcome, reason, address, sequence, cause, message_id, event,
       recorded_at, ingested_at, caused_at
FROM store.notifications;
COMMENT ON VIEW notifications IS 'What was sent to whom, one row per message.';
COMMENT ON COLUMN notifications.payment IS 'pay_…';
COMMENT ON COLUMN notifications.channel IS 'email, sms or webhook';
COMMENT ON COLUMN notifications.kind IS 'what it was about: transaction_completed or refund';
COMMENT ON COLUMN notifications.outcome IS 'delivered, failed or suppressed';
COMMENT ON COLUMN notifications.reason IS 'why it failed or was suppressed';
COMMENT ON COLUMN notifications.address IS 'masked';
COMMENT ON COLUMN notifications.sequence IS 'number of the event in its payment that it told of';
COMMENT ON COLUMN notifications.cause IS 'id of that event';
COMMENT ON COLUMN notifications.message_id IS 'the same however often the message is sent';
COMMENT ON COLUMN notifications.event IS 'id of the event on notifications.v1';
COMMENT ON COLUMN notifications.recorded_at IS 'UTC';
COMMENT ON COLUMN notifications.ingested_at IS 'when it was written here, UTC';
COMMENT ON COLUMN notifications.caused_at IS 'when the event it told of was recorded, UTC';

CREATE OR REPLACE VIEW alerts AS
SELECT id, arg_max(kind, sequence) AS kind, arg_max(subject, sequence) AS subject, arg_max(source, sequence) AS source,
       arg_max(facts, sequence) AS facts, min(occurred_at) AS occurred_at, min(recorded_at) AS raised_at,
       max(over_at) AS over_at, max(ingested_at) AS ingested_at
FROM store.alerts GROUP BY id;
COMMENT ON VIEW alerts IS 'What needs, or needed, a person, one row per alert. Its topic keeps 90 days.';
COMMENT ON COLUMN alerts.id IS 'alr_…';
COMMENT ON COLUMN alerts.kind IS 'label_quota, label_burst, label_drift or precision_drop; others may come';
COMMENT ON COLUMN alerts.subject IS 'what it is about: the source of labels, a merchant, model';
COMMENT ON COLUMN alerts.source IS 'who raised it: gateway or fraud';
COMMENT ON COLUMN alerts.facts IS 'figures by name, as a JSON object';
COMMENT ON COLUMN alerts.occurred_at IS 'by the clock of what caused it, UTC';
COMMENT ON COLUMN alerts.raised_at IS 'when it was raised, UTC';
COMMENT ON COLUMN alerts.over_at IS 'when it was over, UTC; null while it stands';
COMMENT ON COLUMN alerts.ingested_at IS 'when its last event was written here, UTC';

CREATE OR REPLACE VIEW labels AS
SELECT payment, label, source, instrument, merchant, amount, currency, score, model, features, event,
       occurred_at, recorded_at, ingested_at
FROM store.labels;
COMMENT ON VIEW labels IS 'What was learned later about payments, one row per label.';
COMMENT ON COLUMN labels.payment IS 'pay_…';
COMMENT ON COLUMN labels.label IS 'fraud or good';
COMMENT ON COLUMN labels.source IS 'who says so';
COMMENT ON COLUMN labels.instrument IS 'a keyed hash of the card''s number, or the PayPal customer';
COMMENT ON COLUMN labels.merchant IS 'the account that sells';
COMMENT ON COLUMN labels.amount IS 'of the payment, in minor units';
COMMENT ON COLUMN labels.currency IS 'ISO 4217';
COMMENT ON COLUMN labels.score IS 'that the payment had; null where no verdict came';
COMMENT ON COLUMN labels.model IS 'that scored it';
COMMENT ON COLUMN labels.features IS 'as scored, as a JSON object; null: counted, not learned';
COMMENT ON COLUMN labels.event IS 'id of the event on labels.v1';
COMMENT ON COLUMN labels.occurred_at IS 'of the payment, UTC';
COMMENT ON COLUMN labels.recorded_at IS 'of the label, UTC';
COMMENT ON COLUMN labels.ingested_at IS 'when it was written here, UTC';

CREATE OR REPLACE VIEW model_quality AS
SELECT hour, model, labels, frauds,
       fraud_scores::DOUBLE / nullif(frauds, 0) AS score_fraud,
       (scores - fraud_scores)::DOUBLE / nullif(labels - frauds, 0) AS score_good,
       squared_errors::DOUBLE / labels AS brier, scores::DOUBLE AS expected_frauds
FROM store.label_hours;
COMMENT ON VIEW model_quality IS 'How the scores did against the labels that came in, by the hour of the label.';
COMMENT ON COLUMN model_quality.hour IS 'beginning of the hour, UTC';
COMMENT ON COLUMN model_quality.model IS 'that scored: its kind and recipe, whatever labels it had learned by then';
COMMENT ON COLUMN model_quality.labels IS 'labels of payments that had a score';
COMMENT ON COLUMN model_quality.frauds IS 'of these, fraud';
COMMENT ON COLUMN model_quality.score_fraud IS 'mean score of the frauds: should be near 1';
COMMENT ON COLUMN model_quality.score_good IS 'mean score of the others: should be near 0';
COMMENT ON COLUMN model_quality.brier IS 'mean squared error of the score (Brier score): 0 is perfect';
COMMENT ON COLUMN model_quality.expected_frauds IS 'sum of the scores: as many frauds there should be, if they are probabilities';

CREATE OR REPLACE VIEW controls AS
SELECT id, kind, setting, recorded_at, ingested_at FROM store.controls;
COMMENT ON VIEW controls IS 'The fraud rules and lists in force: those a stack starts with (of 1970), and as analysts set them.';
COMMENT ON COLUMN controls.id IS 'of the rule or list entry';
COMMENT ON COLUMN controls.kind IS 'fraud_rule, listing, or rule and list_entry of earlier releases';
COMMENT ON COLUMN controls.setting IS 'all of it, as a JSON object';
COMMENT ON COLUMN controls.recorded_at IS 'UTC';
COMMENT ON COLUMN controls.ingested_at IS 'when it was written here, UTC';

CREATE OR REPLACE VIEW dead_letters AS
SELECT topic, partition, "offset", reason, event, recorded_at, ingested_at FROM store.dead_letters;
COMMENT ON VIEW dead_letters IS 'Records nobody could read, one row each.';
COMMENT ON COLUMN dead_letters.topic IS 'where it stands';
COMMENT ON COLUMN dead_letters.partition IS 'where it stands';
COMMENT ON COLUMN dead_letters."offset" IS 'where it stands';
COMMENT ON COLUMN dead_letters.reason IS 'why nobody could read it';
COMMENT ON COLUMN dead_letters.event IS 'id of the event on dead_letter.v1; null: a dead letter that is itself unreadable';
COMMENT ON COLUMN dead_letters.recorded_at IS 'UTC';
COMMENT ON COLUMN dead_letters.ingested_at IS 'when it was written here, UTC';

CREATE OR REPLACE VIEW pipeline_health AS
SELECT l.topic, l.partition, coalesce(o.next_offset, 0) AS next_offset, l.lag,
       epoch_ms(now()::TIMESTAMP) - epoch_ms(CASE WHEN l.lag > 0 THEN o.newest_at ELSE l.ingested_at END) AS age_ms,
       epoch_ms(o.ingested_at) - epoch_ms(o.newest_at) AS delay_ms,
       o.newest_at, o.ingested_at AS committed_at, l.ingested_at AS checked_at
FROM store.lags l LEFT JOIN store.offsets o USING (topic, partition);
COMMENT ON VIEW pipeline_health IS 'How far the warehouse is behind Kafka, by topic and partition.';
COMMENT ON COLUMN pipeline_health.topic IS 'of Kafka';
COMMENT ON COLUMN pipeline_health.partition IS 'of the topic';
COMMENT ON COLUMN pipeline_health.next_offset IS 'where it reads on';
COMMENT ON COLUMN pipeline_health.lag IS 'records not read yet, when last looked at';
COMMENT ON COLUMN pipeline_health.age_ms IS 'how old this picture is: since the last look, or, while it lags, since the newest record here';
COMMENT ON COLUMN pipeline_health.delay_ms IS 'from the newest record''s time in Kafka to its commit here';
COMMENT ON COLUMN pipeline_health.newest_at IS 'Kafka''s time of the newest record here, UTC';
COMMENT ON COLUMN pipeline_health.committed_at IS 'when that was written here, UTC';
COMMENT ON COLUMN pipeline_health.checked_at IS 'when the lag was last looked at, about once a second, UTC';
