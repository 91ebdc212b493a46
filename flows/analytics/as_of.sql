-- Payments as they stood at a moment, from the rows that are there and those that were replaced since. What a clock ahead
-- of ours recorded was true from when it came. Names are whole:
-- a reader who is not staff asks from a connection that finds no other ones. {catalog}: the name of this database.

-- The moment, where all versions that it needs are kept. Raises an error elsewhere.
CREATE OR REPLACE MACRO {catalog}.store.kept_moment(moment) AS CASE
    WHEN moment::TIMESTAMPTZ::TIMESTAMP < (SELECT max(begins_at) FROM {catalog}.store.history) THEN error(
        'payments_as_of knows moments from ' || (SELECT max(begins_at)::VARCHAR FROM {catalog}.store.history) || ' UTC on'
    )
    WHEN moment::TIMESTAMPTZ > now() THEN error('payments_as_of knows no moment that is still to come')
    ELSE moment::TIMESTAMPTZ::TIMESTAMP
END;

CREATE OR REPLACE MACRO {catalog}.main.payments_as_of(moment) AS TABLE
FROM {catalog}.main.payments WHERE least(recorded_at, ingested_at) <= {catalog}.store.kept_moment(moment)
UNION ALL BY NAME
SELECT * EXCLUDE (replaced_at) FROM {catalog}.store.payments
WHERE least(recorded_at, ingested_at) <= {catalog}.store.kept_moment(moment)
  AND replaced_at > {catalog}.store.kept_moment(moment);
