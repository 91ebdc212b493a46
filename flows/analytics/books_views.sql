-- Views of what stands in the books beside payments, and of controls by column: as views.sql, a contract.

CREATE OR REPLACE VIEW operations AS
SELECT id, payment, attempt, attempt_number, merchant, processor, kind, status, amount, currency,
       created_at, finished_at, milliseconds, decline_code, parent, part, final, refund, replaces, requested_by,
       processor_reference, detail, sequence, recorded_at, ingested_at
FROM store.operations;
COMMENT ON VIEW operations IS 'Every call to a processor as it stands now, one row each, from the moment its end is known or it stays without an answer.';
COMMENT ON COLUMN operations.id IS 'op_…: the request id that the processor sees';
COMMENT ON COLUMN operations.payment IS 'pay_…';
COMMENT ON COLUMN operations.attempt IS 'att_…: the try at a processor it belongs to, and the reference in the processor''s records';
COMMENT ON COLUMN operations.attempt_number IS 'counts the attempts of the payment from 1';
COMMENT ON COLUMN operations.merchant IS 'the account that sells';
COMMENT ON COLUMN operations.processor IS 'visa, mastercard or paypal';
COMMENT ON COLUMN operations.kind IS 'order (moves no money), authorize, sale, capture, void, refund or reversal';
COMMENT ON COLUMN operations.status IS 'succeeded, declined, failed or unknown (the processor was silent, and is asked)';
COMMENT ON COLUMN operations.amount IS 'in minor units';
COMMENT ON COLUMN operations.currency IS 'ISO 4217';
COMMENT ON COLUMN operations.created_at IS 'when it was written, before the call, UTC';
COMMENT ON COLUMN operations.finished_at IS 'when its end was known, UTC; null while it is unknown';
COMMENT ON COLUMN operations.milliseconds IS 'from the call until its end was known; null while it is not';
COMMENT ON COLUMN operations.decline_code IS 'why it was declined or failed';
COMMENT ON COLUMN operations.parent IS 'the operation it follows or takes back';
COMMENT ON COLUMN operations.part IS 'of a capture: counts those of its authorization from 1';
COMMENT ON COLUMN operations.final IS 'of a capture: whether it lets the rest go';
COMMENT ON COLUMN operations.refund IS 'ref_… where it is a call of a refund';
COMMENT ON COLUMN operations.replaces IS 'the operation that was given up and that it does anew';
COMMENT ON COLUMN operations.requested_by IS 'the account that asked for it; null where it follows by itself';
COMMENT ON COLUMN operations.processor_reference IS 'the processor''s own id of it';
COMMENT ON COLUMN operations.detail IS 'the processor''s own words, without card data';
COMMENT ON COLUMN operations.sequence IS 'number of its event; above 1 it was unknown before, or a reversal was sent again';
COMMENT ON COLUMN operations.recorded_at IS 'when the books recorded the event this row shows, UTC';
COMMENT ON COLUMN operations.ingested_at IS 'when that event was written here, UTC';

CREATE OR REPLACE VIEW operations_by_minute AS
SELECT minute, processor, kind, status, was_unknown, took_over, count
FROM store.operation_minutes ANTI JOIN store.operation_changes USING (minute) WHERE count > 0
UNION ALL
SELECT minute, processor, kind, status, was_unknown, took_over, sum(count)::BIGINT
FROM (
    FROM store.operation_minutes SEMI JOIN store.operation_changes USING (minute)
    UNION ALL BY NAME FROM store.operation_changes
) GROUP BY ALL HAVING sum(count) > 0;
COMMENT ON VIEW operations_by_minute IS 'Calls to processors by the minute of created_at, as they stand now, kept for ever.';
COMMENT ON COLUMN operations_by_minute.minute IS 'beginning of the minute, UTC';
COMMENT ON COLUMN operations_by_minute.processor IS 'visa, mastercard or paypal';
COMMENT ON COLUMN operations_by_minute.kind IS 'order, authorize, sale, capture, void, refund or reversal';
COMMENT ON COLUMN operations_by_minute.status IS 'of the calls counted';
COMMENT ON COLUMN operations_by_minute.was_unknown IS 'whether operations.sequence is above 1: they were unknown before, or a reversal was sent again';
COMMENT ON COLUMN operations_by_minute.took_over IS 'whether operations.attempt_number is above 1: another processor was tried before';
COMMENT ON COLUMN operations_by_minute.count IS 'operations';

CREATE OR REPLACE VIEW attempts AS
SELECT attempt AS id, payment, min(attempt_number) AS number, merchant, processor, currency,
       coalesce(max(amount) FILTER (kind IN ('authorize', 'sale')), max(amount)) AS amount,
       coalesce(max(status) FILTER (kind IN ('authorize', 'sale')), max(status) FILTER (kind = 'order')) AS status,
       coalesce(max(decline_code) FILTER (kind IN ('authorize', 'sale')),
                max(decline_code) FILTER (kind = 'order')) AS decline_code,
       count(*) AS operations, min(created_at) AS created_at,
       max(finished_at) FILTER (kind IN ('authorize', 'sale')) AS finished_at
FROM operations GROUP BY attempt, payment, merchant, processor, currency;
COMMENT ON VIEW attempts IS 'Every try of a payment at a processor, one row each: what became of its authorization or sale.';
COMMENT ON COLUMN attempts.id IS 'att_…: the reference in the processor''s records';
COMMENT ON COLUMN attempts.payment IS 'pay_…';
COMMENT ON COLUMN attempts.number IS 'counts those of the payment from 1; above 1 another processor was tried before';
COMMENT ON COLUMN attempts.merchant IS 'the account that sells';
COMMENT ON COLUMN attempts.processor IS 'visa, mastercard or paypal';
COMMENT ON COLUMN attempts.currency IS 'ISO 4217';
COMMENT ON COLUMN attempts.amount IS 'asked of the processor, in minor units';
COMMENT ON COLUMN attempts.status IS 'of the authorization or sale: succeeded, declined, failed or unknown; before there is one, of the order';
COMMENT ON COLUMN attempts.decline_code IS 'why it was declined or failed';
COMMENT ON COLUMN attempts.operations IS 'calls so far: captures, voids and refunds too';
COMMENT ON COLUMN attempts.created_at IS 'when its first call was written, UTC';
COMMENT ON COLUMN attempts.finished_at IS 'when the end of the authorization or sale was known, UTC';

CREATE OR REPLACE VIEW ledger AS
SELECT operation, sequence, number, payment, merchant, processor, kind, account, amount, currency,
       recorded_at, ingested_at
FROM store.ledger;
COMMENT ON VIEW ledger IS 'Every entry of the books'' ledger, append-only. Those of one event of an operation add up to 0.';
COMMENT ON COLUMN ledger.operation IS 'op_…: what moved the money';
COMMENT ON COLUMN ledger.sequence IS 'number of its event that did; with operation and number the key of an entry';
COMMENT ON COLUMN ledger.number IS 'counts the entries of that event from 0';
COMMENT ON COLUMN ledger.payment IS 'pay_…';
COMMENT ON COLUMN ledger.merchant IS 'the account that sells';
COMMENT ON COLUMN ledger.processor IS 'visa, mastercard or paypal';
COMMENT ON COLUMN ledger.kind IS 'of the operation: authorize, sale, capture, void, refund or reversal';
COMMENT ON COLUMN ledger.account IS 'hold:… is reserved and not captured yet, due:… what a processor owes us (due:visa, positive) and we owe a merchant (due:acc_…, negative)';
COMMENT ON COLUMN ledger.amount IS 'moved onto the ledger account, in minor units';
COMMENT ON COLUMN ledger.currency IS 'ISO 4217; never add amounts of two';
COMMENT ON COLUMN ledger.recorded_at IS 'when the books posted it, UTC';
COMMENT ON COLUMN ledger.ingested_at IS 'when it was written here, UTC';

CREATE OR REPLACE VIEW balances AS
SELECT account, split_part(account, ':', 1) AS kind, split_part(account, ':', 2) AS party, currency,
       amount, entries, updated_at
FROM store.balances;
COMMENT ON VIEW balances IS 'What each account of the ledger comes to now, by currency: the sum of all its entries, also of those that are here no more.';
COMMENT ON COLUMN balances.account IS 'such as due:visa or hold:acc_…';
COMMENT ON COLUMN balances.kind IS 'hold (reserved and not captured yet) or due (owed)';
COMMENT ON COLUMN balances.party IS 'the processor, which owes us what is positive, or the merchant, whom we owe what is negative';
COMMENT ON COLUMN balances.currency IS 'ISO 4217; never add amounts of two';
COMMENT ON COLUMN balances.amount IS 'in minor units';
COMMENT ON COLUMN balances.entries IS 'entries of the ledger in it';
COMMENT ON COLUMN balances.updated_at IS 'when the books posted the newest of them, UTC';

CREATE OR REPLACE VIEW ledger_by_day AS
SELECT day::DATE AS day, account, currency, merchant, processor, kind, amount, entries FROM store.ledger_days;
COMMENT ON VIEW ledger_by_day IS 'What moved on each account of the ledger by the UTC day of posting, kept for ever.';
COMMENT ON COLUMN ledger_by_day.day IS 'UTC, by ledger.recorded_at';
COMMENT ON COLUMN ledger_by_day.account IS 'such as due:visa or hold:acc_…';
COMMENT ON COLUMN ledger_by_day.currency IS 'ISO 4217; never add amounts of two';
COMMENT ON COLUMN ledger_by_day.merchant IS 'the account that sells';
COMMENT ON COLUMN ledger_by_day.processor IS 'visa, mastercard or paypal';
COMMENT ON COLUMN ledger_by_day.kind IS 'of the operations: authorize, sale, capture, void, refund or reversal';
COMMENT ON COLUMN ledger_by_day.amount IS 'sum of ledger.amount, in minor units';
COMMENT ON COLUMN ledger_by_day.entries IS 'entries of the ledger in it';

CREATE OR REPLACE VIEW reviews AS
SELECT id, payment, kind, merchant, amount, currency, reasons, opened_at, decision, decided_by, decided_at,
       CASE WHEN decision IS NULL THEN 'open' WHEN decided_by IS NULL THEN 'expired' ELSE 'decided' END AS status,
       epoch_ms(coalesce(decided_at, now()::TIMESTAMP) - opened_at) / 1000 AS open_s,
       sequence, recorded_at, ingested_at
FROM store.reviews;
COMMENT ON VIEW reviews IS 'Every payment that waits or waited for a person, as its review stands now, one row each.';
COMMENT ON COLUMN reviews.id IS 'rev_…';
COMMENT ON COLUMN reviews.payment IS 'pay_…';
COMMENT ON COLUMN reviews.kind IS 'held (before it was captured) or late (its block came after it was captured)';
COMMENT ON COLUMN reviews.merchant IS 'the account that sells';
COMMENT ON COLUMN reviews.amount IS 'of the payment, in minor units';
COMMENT ON COLUMN reviews.currency IS 'ISO 4217';
COMMENT ON COLUMN reviews.reasons IS 'why it was held, as a list';
COMMENT ON COLUMN reviews.opened_at IS 'UTC';
COMMENT ON COLUMN reviews.decision IS 'approve or reject; null while it is open';
COMMENT ON COLUMN reviews.decided_by IS 'the account of staff that decided; null where the time limit or a late block did';
COMMENT ON COLUMN reviews.decided_at IS 'UTC';
COMMENT ON COLUMN reviews.status IS 'open, decided (by a person) or expired (by the time limit or a late block)';
COMMENT ON COLUMN reviews.open_s IS 'how long it was open, in seconds; of an open one until now';
COMMENT ON COLUMN reviews.sequence IS 'number of its event this row shows: 1 opened it, 2 ended it';
COMMENT ON COLUMN reviews.recorded_at IS 'when the books recorded that event, UTC';
COMMENT ON COLUMN reviews.ingested_at IS 'when it was written here, UTC';

CREATE OR REPLACE VIEW accounts AS
SELECT id, role, disabled, erased, created_at, recorded_at, ingested_at FROM store.accounts;
COMMENT ON VIEW accounts IS 'What became of accounts, one row each: of those that staff made or changed, and of erased ones. Who somebody is stands nowhere here.';
COMMENT ON COLUMN accounts.id IS 'acc_…';
COMMENT ON COLUMN accounts.role IS 'customer, merchant, analyst or admin';
COMMENT ON COLUMN accounts.disabled IS 'whether nobody logs in with it';
COMMENT ON COLUMN accounts.erased IS 'whether nothing is known of the person any more';
COMMENT ON COLUMN accounts.created_at IS 'the time in its id, UTC; null where that has none';
COMMENT ON COLUMN accounts.recorded_at IS 'when the books recorded what this row shows, UTC';
COMMENT ON COLUMN accounts.ingested_at IS 'when that was written here, UTC';

CREATE OR REPLACE VIEW merchants AS
SELECT id, trading_name, created_at AS since, disabled, recorded_at, ingested_at
FROM store.accounts WHERE trading_name IS NOT NULL;
COMMENT ON VIEW merchants IS 'Who sells, by the name they trade under. One that was erased is not here: join from the left.';
COMMENT ON COLUMN merchants.id IS 'acc_…: what is merchant in other views';
COMMENT ON COLUMN merchants.trading_name IS 'of the firm';
COMMENT ON COLUMN merchants.since IS 'the time in its id, UTC; null where that has none';
COMMENT ON COLUMN merchants.disabled IS 'whether nobody logs in with it';
COMMENT ON COLUMN merchants.recorded_at IS 'when the books recorded what this row shows, UTC';
COMMENT ON COLUMN merchants.ingested_at IS 'when that was written here, UTC';

CREATE OR REPLACE VIEW rules AS
SELECT id, setting ->> 'feature' AS feature, (setting ->> 'threshold')::DOUBLE AS threshold,
       setting ->> 'outcome' AS outcome, setting ->> 'hold' AS hold,
       coalesce((setting ->> 'enabled')::BOOLEAN, setting ->> 'mode' = 'live') AS enabled,
       setting ->> 'reason' AS reason, recorded_at, ingested_at,
       coalesce(setting ->> 'expression', concat(setting ->> 'feature', ' >= ', setting ->> 'threshold')) AS expression,
       coalesce(setting ->> 'mode', if((setting ->> 'enabled')::BOOLEAN, 'live', 'off')) AS mode,
       (setting ->> 'version')::BIGINT AS version, setting -> 'snoozed' AS snoozed, setting ->> 'changed_by' AS changed_by
FROM store.controls WHERE kind IN ('rule', 'fraud_rule') AND (setting ->> 'removed') IS DISTINCT FROM 'true';
COMMENT ON VIEW rules IS 'The fraud rules in force, one row each: those a stack starts with (of 1970), and as analysts set them.';
COMMENT ON COLUMN rules.id IS 'of the rule; stands in risk.reasons where it is met';
COMMENT ON COLUMN rules.feature IS 'of a rule of the former kind: what is compared, a key of risk.features or score';
COMMENT ON COLUMN rules.threshold IS 'of a rule of the former kind: at or above it the rule is met';
COMMENT ON COLUMN rules.outcome IS 'at least this then: flag, review or block';
COMMENT ON COLUMN rules.hold IS 'of a review: authorized (the issuer reserves the money first) or unsent (it is not asked yet)';
COMMENT ON COLUMN rules.enabled IS 'whether it is live';
COMMENT ON COLUMN rules.reason IS 'what whoever set it wrote';
COMMENT ON COLUMN rules.recorded_at IS 'when it was set, UTC';
COMMENT ON COLUMN rules.ingested_at IS 'when it was written here, UTC';
COMMENT ON COLUMN rules.expression IS 'where it holds, the rule is met';
COMMENT ON COLUMN rules.mode IS 'live, shadow (only noted in risk.shadow_met) or off';
COMMENT ON COLUMN rules.version IS 'counts its changes from 1; null for one of the former kind';
COMMENT ON COLUMN rules.snoozed IS 'customers that it passes over, each until when, as a JSON list';
COMMENT ON COLUMN rules.changed_by IS 'the account that changed it last; empty for what a stack starts with';

CREATE OR REPLACE VIEW lists AS
SELECT id, setting ->> 'list' AS list, setting ->> 'kind' AS kind, setting ->> 'value' AS value,
       setting ->> 'reason' AS reason, (setting ->> 'expires_at')::TIMESTAMPTZ::TIMESTAMP AS expires_at,
       recorded_at, ingested_at, setting ->> 'owner' AS owner
FROM store.controls WHERE kind IN ('list_entry', 'listing');
COMMENT ON VIEW lists IS 'The entries of the block and allow lists, one row each.';
COMMENT ON COLUMN lists.id IS 'of the entry';
COMMENT ON COLUMN lists.list IS 'block or allow; a block goes before an allow';
COMMENT ON COLUMN lists.kind IS 'card, bin, customer, merchant, ip, country or device; instrument in entries of earlier releases';
COMMENT ON COLUMN lists.value IS 'by kind: the instrument of a card, a BIN, an account, a country; an address, network or device as the keyed hash that payments carry';
COMMENT ON COLUMN lists.reason IS 'of entries of earlier releases; others have it in the books alone (GET /v1/lists)';
COMMENT ON COLUMN lists.expires_at IS 'until when it counts, UTC; null: for ever';
COMMENT ON COLUMN lists.recorded_at IS 'when it was set, UTC';
COMMENT ON COLUMN lists.ingested_at IS 'when it was written here, UTC';
COMMENT ON COLUMN lists.owner IS 'the account that made it, or renewed it last';
