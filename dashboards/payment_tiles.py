"""What the warehouse knows of one payment: verdict and features, postings, reviews, messages, and its origin."""

from itertools import groupby

from connectors.warehouse import Table
from dashboards import formats, staff, tables
from dashboards.look import Look
from dashboards.message_tiles import KINDS, outcome_cell
from dashboards.page import html
from dashboards.tables import Cell, Column, Tone
from dashboards.tile import Tile
from dashboards.wording import CHANNELS, account_words, listed, processor_name, words

AT_FIRST = 10  # features; the others follow on demand
LEDGER = [Column("Time"), Column("Operation"), Column("Account"), Column("Amount", "right")]
REVIEWS = [Column("Review"), Column("Opened"), Column("Why"), Column("Decision")]
MESSAGES = [Column("Time"), Column("By"), Column("About", wide=True), Column("To", wide=True), Column("Outcome")]
CALLS = [Column("Time"), Column("What"), Column("Answer"), Column("Amount", "right"), Column("Took", "right")]
CALL_TONES: dict[str, Tone] = {"succeeded": "succeeded", "declined": "failed", "failed": "failed"}
SOURCES = {"model": "the model", "rules": "the rules", "stand_in": "the stand-in: no verdict came in time"}


def _draw_verdict(table: Table, _look: Look) -> None:
    [row] = table.by_name()
    facts = [
        ("Reasons", listed(row["reasons"]) or formats.NONE),
        ("Decided by", SOURCES.get(row["source"], formats.NONE)),
        ("The gateway waited", formats.millis(row["waited_ms"])),
        ("The fraud check took", formats.millis(row["check_ms"])),
        ("Model", row["model"] or formats.NONE),
    ]
    if row["check_outcome"] and row["check_outcome"] != row["outcome"]:
        later = ", ".join([row["check_outcome"], *map(words, row["check_reasons"] or ())])
        facts.insert(0, ("The check said, later", later))
    if row["label"]:
        facts.insert(0, ("Turned out to be", f"{row['label']}, says {row['label_source']}"))
    score = formats.NONE if row["score"] is None else f"{row['score']:.2f}"
    html("verdict.html", outcome=row["outcome"], score=score, facts=facts)


def _draw_features(table: Table, _look: Look) -> None:
    lines = [
        (words(name), _figure(value), _against(below, above), "flag" if named else "")
        for name, value, named, below, above in table.rows
    ]
    html("features.html", first=lines[:AT_FIRST], others=lines[AT_FIRST:])


def _figure(value: float) -> str:
    """Some four digits that count: nobody compares more by eye."""
    return formats.shortened(value, 4 if abs(value) < 1 else 2 if abs(value) < 100 else 1)


def _against(below: float | None, above: float | None) -> str:
    """How unusual it is: by the share of others that lie below or above it."""
    if below is None or above is None or max(below, above) < 0.5:
        return "usual"
    share = formats.percent(max(below, above), 1)
    return f"above {share}" if below >= above else f"below {share}"


def _postings(table: Table, look: Look, merchant: str) -> list[list[Cell | str]]:
    return [
        [
            look.shown(row["recorded_at"]),
            Cell(words(row["kind"]).capitalize(), note=row["operation"]),
            _account(row["account"], merchant),
            formats.money(row["amount"], row["currency"]),
        ]
        for row in table.by_name()
    ]


def _account(account: str, merchant: str) -> str:
    kind, _, party = account.partition(":")
    return account_words(kind, party, merchant)


def _draw_ledger(table: Table, look: Look) -> None:
    lines = _postings(table, look, "the merchant")
    by_currency = groupby(sorted(table.by_name(), key=lambda row: row["currency"]), lambda row: row["currency"])
    for currency, rows in by_currency:
        total = sum(row["amount"] for row in rows)
        said = Cell("Sum", tone="" if total == 0 else "failed", note="" if total == 0 else "it should be 0")
        lines.append([said, "", "", formats.money(total, currency)])
    tables.table(LEDGER, lines, "Postings of this payment")


def _draw_calls(table: Table, look: Look) -> None:
    lines: list[list[Cell | str]] = [
        [
            look.shown(at),
            f"{words(kind).capitalize()} at {processor_name(name)}",
            Cell(words(status), note=words(code), tone=CALL_TONES.get(status, "")),
            formats.money(minor, currency),
            formats.millis(took_ms),
        ]
        for at, kind, name, status, minor, currency, took_ms, code in table.rows
    ]
    tables.table(CALLS, lines, "Calls to processors for this payment")


def _draw_reviews(table: Table, look: Look) -> None:
    lines: list[list[Cell | str]] = [
        [
            Cell(row["id"], href=f"reviews?review={row['id']}"),
            look.shown(row["opened_at"]),
            listed(row["reasons"]),
            Cell(words(row["decision"] or "open"), note=_by(row["decided_by"])),
        ]
        for row in table.by_name()
    ]
    tables.table(REVIEWS, lines, "Reviews of this payment")


def _by(decided_by: str | None) -> str:
    return f"by {staff.named(decided_by)}" if decided_by else ""


def _draw_messages(table: Table, look: Look) -> None:
    lines: list[list[Cell | str]] = [
        [
            look.shown(row["recorded_at"]),
            CHANNELS.get(row["channel"], row["channel"]),
            KINDS.get(row["kind"], words(row["kind"])),
            row["address"],
            outcome_cell(row["outcome"], row["reason"]),
        ]
        for row in table.by_name()
    ]
    tables.table(MESSAGES, lines, "Messages about this payment")


def _draw_origin(table: Table, look: Look) -> None:
    [row] = table.by_name()
    facts = [
        ("Happened", look.shown(row["occurred_at"])),
        ("Country of the payer", row["country"] or formats.NONE),
        ("Sold by", row["trading_name"] or formats.NONE),
        ("BIN", row["bin"] or formats.NONE),
        ("Trace, as in the logs", row["trace_id"] or formats.NONE),
        ("Event shown here", str(row["sequence"])),
        ("Reached the warehouse after", formats.millis(row["on_its_way_ms"])),
    ]
    html("facts.html", facts=facts)


# A verdict comes within the second, or once the fraud flow is back; one after more than a day stands in Fraud.
VERDICT = Tile(
    "payment-verdict",
    "Fraud check",
    "What was decided about this payment, by whom, why, and how long did the gateway wait for it?",
    """
SELECT p.risk_outcome AS outcome, p.risk_source AS source, p.risk_score AS score, p.risk_reasons AS reasons,
       coalesce(p.risk_model, r.model) AS model, p.waited_ms, r.latency_ms AS check_ms, r.outcome AS check_outcome,
       r.reasons AS check_reasons, l.label, l.source AS label_source
FROM (FROM payments WHERE id = $id AND $born(created_at)) p
LEFT JOIN (FROM verdicts WHERE payment = $id AND $born(recorded_at)) r ON r.payment = p.id
LEFT JOIN (FROM labels WHERE payment = $id ORDER BY recorded_at DESC LIMIT 1) l ON l.payment = p.id
WHERE p.risk_outcome IS NOT NULL
""",
    _draw_verdict,
    nothing="It was not judged.",
    fills=False,
)

# An id begins with its time: its first six digits say it to 17 minutes (2^20 ms). So few are read, of any number.
FEATURES = Tile(
    "payment-features",
    "Features",
    "Which of its features are named by the verdict, and which are unusual among those of about the same time?",
    """
WITH judged AS (SELECT reasons, features FROM verdicts WHERE payment = $id AND $born(recorded_at)),
near AS (
    SELECT features FROM verdicts
    WHERE $born(recorded_at) AND payment >= left($id, 10) AND payment < left($id, 10) || '~' AND payment <> $id
    ORDER BY recorded_at DESC LIMIT 500
),
own AS (
    SELECT f.key AS name, f.value, list_contains(reasons, f.key) AS named
    FROM (SELECT reasons, unnest(map_entries(features::MAP(VARCHAR, DOUBLE))) AS f FROM judged)
),
others AS (
    SELECT f.key AS name, f.value FROM (SELECT unnest(map_entries(features::MAP(VARCHAR, DOUBLE))) AS f FROM near)
)
SELECT name, own.value, coalesce(named, false) AS named,
       count(*) FILTER (others.value < own.value) / nullif(count(others.value), 0) AS below,
       count(*) FILTER (others.value > own.value) / nullif(count(others.value), 0) AS above
FROM own LEFT JOIN others USING (name) GROUP BY ALL
ORDER BY named DESC, greatest(below, above) DESC NULLS LAST, name
""",
    _draw_features,
    note="against 500 of the same time",
    nothing="The fraud flow has not spoken: there are no features.",
    fills=False,
)

LEDGER_TILE = Tile(
    "payment-ledger",
    "Postings",
    "What moved on which account of the ledger, and does it come to nothing?",
    """
SELECT recorded_at, operation, kind, account, amount, currency FROM ledger
WHERE payment = $id AND $since_born(recorded_at) ORDER BY recorded_at, operation, sequence, number
""",
    _draw_ledger,
    note="they add up to 0",
    nothing="Nothing was posted: no money was reserved or captured.",
    fills=False,
)
# A merchant sees its own accounts alone: what stands against them, and makes a sum of nothing, is not its own.
OWN_LEDGER = Tile(
    "own-payment-ledger",
    "Postings",
    "What moved on our accounts by this payment?",
    LEDGER_TILE.sql,
    lambda table, look: tables.table(LEDGER, _postings(table, look, "you"), "Postings of this payment"),
    note="what is held for you and due to you, as negative amounts",
    nothing="Nothing was posted: no money was reserved or captured.",
    for_merchants=True,
    fills=False,
)
OWN_CALLS = Tile(
    "own-payment-calls",
    "Calls to processors",
    "What were processors asked about this payment, and what did they say?",
    """
SELECT created_at, kind, processor, status, amount, currency, milliseconds, decline_code FROM operations
WHERE payment = $id ORDER BY created_at, id
""",
    _draw_calls,
    note="those that have ended, and how they ended",
    nothing="No call has ended yet.",
    for_merchants=True,
    fills=False,
)

REVIEW = Tile(
    "payment-reviews",
    "Reviews",
    "Was it held for a person, and what did they decide?",
    """
SELECT id, kind, reasons, opened_at, decision, decided_by, decided_at FROM reviews
WHERE payment = $id ORDER BY opened_at
""",
    _draw_reviews,
    nothing="Nobody was asked about it.",
    fills=False,
)

MESSAGES_TILE = Tile(
    "payment-messages",
    "Messages",
    "What was sent to whom about this payment, and what became of it?",
    """
SELECT recorded_at, channel, kind, address, outcome, reason FROM notifications
WHERE payment = $id AND $since_born(recorded_at) ORDER BY recorded_at, channel
""",
    _draw_messages,
    nothing="Nothing was sent.",
    fills=False,
)

ORIGIN = Tile(
    "payment-origin",
    "Origin",
    "When and where did it begin, and by which trace do the logs know it?",
    """
SELECT p.occurred_at, p.country, p.bin, m.trading_name, p.trace_id, p.sequence,
       epoch_ms(p.ingested_at - p.recorded_at)::DOUBLE AS on_its_way_ms
FROM (FROM payments WHERE id = $id AND $born(created_at)) p LEFT JOIN merchants m ON m.id = p.merchant
""",
    _draw_origin,
    nothing="The warehouse does not know it yet: that takes about a second.",
    fills=False,
)

TILES = (VERDICT, FEATURES, LEDGER_TILE, OWN_LEDGER, OWN_CALLS, REVIEW, MESSAGES_TILE, ORIGIN)
