"""A backtest's statements: which judged payments of a span would have met a condition, and what they were."""

from datetime import UTC, datetime

from schemas.expressions import Expression, names_of, sql_of
from schemas.expressions.tree import Has
from schemas.features import FEATURES, LAYOUT, NUMBERS

SPAN_PAYMENTS = 50_000  # of one statement: it ends long before the limits of the process that is asked

FIELDS = {
    "amount": "p.amount::DOUBLE",
    "amount_eur": "p.amount_eur_cents::DOUBLE / 100",
    "currency": "p.currency",
    "brand": "p.brand",
    "bin": "p.bin",
    "country": "p.country",
    "method": "p.method",
    "merchant": "p.merchant",
    "customer": "p.customer",
    "hour": "hour(p.occurred_at)::DOUBLE",
    "weekday": "isodow(p.occurred_at)::DOUBLE",
    # Older verdicts do not say whether rules saw it.
    "score": "CASE WHEN v.score_live IS NOT FALSE THEN v.score END",
}

# Of each payment the first verdict. Where a fault kept rules from being looked at, they met nothing.
JUDGED = """
SELECT *, {condition} AS met FROM (
    SELECT v.payment AS payment_id, v.recorded_at AS judged_at, p.currency AS paid_in, p.amount AS asked, p.status,
           l.label{columns}
    FROM ({verdicts}) v
    JOIN payments p ON p.id = v.payment
    LEFT JOIN (
        SELECT payment, arg_max(label, (recorded_at, event)) AS label FROM labels
        WHERE recorded_at >= {begin} GROUP BY payment
    ) l ON l.payment = v.payment
)
"""
# A verdict of a release with other features has them as JSON alone.
VERDICTS = """
SELECT payment, recorded_at, score, score_live{numbers} FROM store.verdicts WHERE {within} AND layout = '{layout}'
UNION ALL
SELECT payment, recorded_at, score, score_live{texts} FROM (
    SELECT *, json_transform(features, '{{{structure}}}') AS read FROM store.verdicts
    WHERE {within} AND layout IS DISTINCT FROM '{layout}'
)
"""
WITHIN = """
recorded_at >= {begin} AND recorded_at < {end}
AND NOT (score_live IS NULL
         AND (listed IS NOT NULL OR list_has_any(reasons, ['scoring_error', 'occurred_at_ahead'])))
"""
FIGURES = """
SELECT date_trunc('week', judged_at)::DATE AS week, paid_in AS currency, count(*) AS payments,
       count_if(met) AS hits,
       count_if(met AND label = 'fraud') AS frauds_caught, count_if(met AND {good}) AS good_lost,
       coalesce(sum(asked) FILTER (met AND label = 'fraud'), 0)::BIGINT AS caught,
       coalesce(sum(asked) FILTER (met AND {good}), 0)::BIGINT AS lost,
       coalesce(sum(asked::DOUBLE ^ 2) FILTER (met AND label = 'fraud'), 0) AS caught_squares,
       coalesce(sum(asked::DOUBLE ^ 2) FILTER (met AND {good}), 0) AS lost_squares{known}
FROM ({judged}) GROUP BY ALL ORDER BY ALL
"""
# A sale that is known as good, or that was paid and nobody called fraud.
GOOD = "(label = 'good' OR (label IS NULL AND status = 'succeeded'))"

# The minutes with which so many more have been judged.
CUTS = """
SELECT minute FROM (
    SELECT minute, n, sum(n) OVER (ORDER BY minute) AS total FROM (
        SELECT date_trunc('minute', recorded_at) AS minute, count(*) AS n FROM verdicts
        WHERE recorded_at >= {begin} AND recorded_at < {end} GROUP BY ALL
    )
) WHERE total // {most} > (total - n) // {most} AND minute > {begin} ORDER BY minute
"""


def cuts(begin: datetime, end: datetime) -> str:
    """What asks where to cut a span, so that each part has about `SPAN_PAYMENTS` payments. Times are UTC."""
    return CUTS.format(begin=_moment(begin), end=_moment(end), most=SPAN_PAYMENTS)


def figures(expression: Expression, begin: datetime, end: datetime) -> str:
    """What asks for the figures of a span, by week and currency; `known_…`: how many had a value of a name."""
    known = "".join(
        f", count_if({sql_of(Has(name), FEATURES)}) AS known_{name}" for name in sorted(names_of(expression))
    )
    return FIGURES.format(judged=judged(expression, begin, end), good=GOOD, known=known)


def judged(expression: Expression, begin: datetime, end: datetime) -> str:
    """What asks for the payments judged from `begin` to before `end` (UTC), and which of them `met` it."""
    names, span = sorted(names_of(expression)), {"begin": _moment(begin), "end": _moment(end)}
    return JUDGED.format(
        condition=sql_of(expression, FEATURES),
        columns="".join(f', {_value(name)} AS "{name}"' for name in names),
        verdicts=_verdicts([name for name in names if name in NUMBERS], WITHIN.format(**span)),
        **span,
    )


def _verdicts(read: list[str], within: str) -> str:
    """The verdicts with the features that are `read`, each a column of its name."""
    return VERDICTS.format(
        within=within,
        layout=LAYOUT,
        numbers="".join(f', numbers[{NUMBERS.index(name) + 1}] AS "{name}"' for name in read),
        texts="".join(f', read."{name}"' for name in read),
        structure=", ".join(f'"{name}": "DOUBLE"' for name in read or NUMBERS[:1]),
    )


def _value(name: str) -> str:
    value = FIELDS.get(name, f'v."{name}"')
    return value if FEATURES[name].type == "text" else f"coalesce({value}, 'nan'::DOUBLE)"


def _moment(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ')}'"
