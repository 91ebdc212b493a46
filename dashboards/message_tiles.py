"""Tiles of messages to payers: what was sent, what not and why, how fast, and those of one payment or address."""

import re

from connectors.warehouse import Table
from dashboards import formats, tables
from dashboards.look import Look
from dashboards.page import COLOURS, chart, points
from dashboards.tables import Cell, Column, Tone, payment_href
from dashboards.tile import Tile
from dashboards.wording import CHANNELS, words

KINDS = {"transaction_completed": "Payment ended", "refund": "Refund"}
OUTCOMES: dict[str, tuple[str, Tone]] = {
    "delivered": ("delivered", "succeeded"),
    "suppressed": ("held back", "pending"),
    "failed": ("failed", "failed"),
}
REASONS = {
    "not_available": "This channel is not built yet",
    "not_confirmed": "The address was never confirmed",
    "no_address": "There is no address for this channel",
    "too_old": "It was too old to be of use",
    "quiet_hours": "It was due in the recipient's quiet hours",
    "rate": "The recipient has had enough messages",
    "mail_malformed": "The address is no mail address",
    "mail_no_smtputf8": "The mail server cannot write to this address",
    "smtp_unreachable": "The mail server did not answer for too long",
    "sms_unreachable": "The SMS provider did not answer for too long",
    "sms_unreadable": "The SMS provider answered what nobody understands",
    "sms_21211": "The number is no phone number",
    "sms_21610": "The recipient wants no messages of ours",
    "sms_21614": "The number cannot take messages",
}
# RFC 5321, 4.2.1: a code that begins with 4 may pass; it did not, in the time that we try.
CODES = (
    (re.compile(r"smtp_(4\d\d)\Z"), "The mail server put it off for too long"),
    (re.compile(r"smtp_(\d+)\Z"), "The mail server refused it"),
    (re.compile(r"sms_(\d+)\Z"), "The SMS provider refused it"),
)
SENT = [Column("Channel"), Column("About")]
SENT += [Column(title, "right") for title in ("Delivered", "Held back", "Failed", "Delivered of all")]
WHY = [Column("Why"), Column("What became of it"), Column("Channel", wide=True), Column("Messages", "right")]
WHY += [Column("Last", "right", wide=True)]
SPEED = [Column("Channel"), *(Column(title, "right") for title in ("Delivered", "Half within", "99% within"))]
LISTED = [
    Column("When"),
    Column("Outcome"),
    Column("Why", wide=True),
    Column("Channel"),
    Column("About", wide=True),
]
LISTED += [Column("Address", wide=True), Column("Payment", id=True)]


def plain_reason(reason: str | None) -> str:
    """Why a message failed or was held back, for people; a server's own code stands behind it."""
    if not reason:
        return formats.NONE
    if reason in REASONS:
        return REASONS[reason]
    for pattern, said in CODES:
        if code := pattern.match(reason):
            return f"{said} ({code[1]})"
    return words(reason)


def _channel(name: str) -> str:
    return CHANNELS.get(name, name)


def outcome_cell(name: str, reason: str | None = None) -> Cell:
    """What became of a message, with the `reason` behind it."""
    text, tone = OUTCOMES.get(name, (name, ""))
    return Cell(text, plain_reason(reason) if reason else "", tone)


def _draw_sent(table: Table, _look: Look) -> None:
    lines: list[list[Cell | str]] = [
        [
            _channel(channel),
            KINDS.get(kind, words(kind)),
            *(formats.count(count) for count in counts),
            formats.percent(counts[0], sum(counts)),
        ]
        for channel, kind, *counts in table.rows
    ]
    tables.table(SENT, lines, "Messages by channel and what they are about")


def _draw_course(table: Table, look: Look) -> None:
    times = [row[0] for row in table.rows]
    series = [
        {"name": text, "type": "bar", "stack": "all", "barMaxWidth": 18, "color": COLOURS[tone or "quiet"]}
        | {"data": points(look, times, [row[at] for row in table.rows])}
        for at, (text, tone) in enumerate(OUTCOMES.values(), start=1)
    ]
    chart("messages-course", "Messages by outcome", "", 230, series, look)


def _draw_why(table: Table, look: Look) -> None:
    lines: list[list[Cell | str]] = [
        [
            plain_reason(reason),
            outcome_cell(outcome),
            _channel(channel),
            formats.count(count),
            look.shown(last, seconds=False),
        ]
        for reason, outcome, channel, count, last in table.rows
    ]
    tables.table(WHY, lines, "Reasons why messages were not delivered")


def _draw_speed(table: Table, _look: Look) -> None:
    lines: list[list[Cell | str]] = [
        [_channel(channel), formats.count(count), formats.millis(p50), formats.millis(p99)]
        for channel, count, p50, p99 in table.rows
    ]
    tables.table(SPEED, lines, "Time to delivery by channel")


def _draw_listed(table: Table, look: Look) -> None:
    lines: list[list[Cell | str]] = [
        [
            look.shown(at),
            outcome_cell(outcome),
            plain_reason(reason),
            _channel(channel),
            KINDS.get(kind, words(kind)),
            address or formats.NONE,
            Cell(payment, href=payment_href(payment)),
        ]
        for at, outcome, reason, channel, kind, address, payment in table.rows
    ]
    tables.table(LISTED, lines, "Messages, newest first")


SENT_MESSAGES = Tile(
    "messages-sent",
    "Sent and not sent",
    "How many messages of each channel and kind were delivered, held back, or failed in this time?",
    """
SELECT channel, kind, count(*) FILTER (outcome = 'delivered') AS delivered,
       count(*) FILTER (outcome = 'suppressed') AS held_back, count(*) FILTER (outcome = 'failed') AS failed
FROM notifications WHERE recorded_at >= $since AND recorded_at < $until
GROUP BY channel, kind ORDER BY channel, kind DESC
""",
    _draw_sent,
    nothing="Nobody was to be told of anything in this time.",
)
MESSAGES_COURSE = Tile(
    "messages-course",
    "Course",
    "When in this time were messages delivered, held back, or given up?",
    """
WITH counted AS (
    SELECT time_bucket(INTERVAL 1 $grain, recorded_at) AS begins, outcome, count(*) AS messages
    FROM notifications WHERE recorded_at >= $since AND recorded_at < $until GROUP BY ALL
)
SELECT time_bucket($step, begins AT TIME ZONE 'UTC' AT TIME ZONE $zone) AS local_time,
       coalesce(sum(messages) FILTER (outcome = 'delivered'), 0)::BIGINT AS delivered,
       coalesce(sum(messages) FILTER (outcome = 'suppressed'), 0)::BIGINT AS held_back,
       coalesce(sum(messages) FILTER (outcome = 'failed'), 0)::BIGINT AS failed
FROM counted GROUP BY local_time ORDER BY local_time
""",
    _draw_course,
)
WHY_NOT = Tile(
    "messages-why-not",
    "Why not",
    "For which reasons were messages of this time held back, or failed?",
    """
SELECT reason, outcome, channel, count(*) AS messages, max(recorded_at) AS last_at
FROM notifications WHERE recorded_at >= $since AND recorded_at < $until AND outcome <> 'delivered'
GROUP BY reason, outcome, channel ORDER BY messages DESC, reason, channel LIMIT 40
""",
    _draw_why,
    nothing="Everything was delivered.",
)
DELIVERY_TIME = Tile(
    "messages-time",
    "Time to delivery",
    "How long after the event that they tell of were messages of this time handed over?",
    """
SELECT channel, count(*) AS delivered,
       quantile_cont(epoch_ms(recorded_at - caused_at), 0.5) FILTER (is_sampled) AS p50_ms,
       quantile_cont(epoch_ms(recorded_at - caused_at), 0.99) FILTER (is_sampled) AS p99_ms
FROM (SELECT *, $sampled(recorded_at) AS is_sampled FROM notifications)
WHERE recorded_at >= $since AND recorded_at < $until AND outcome = 'delivered' AND caused_at IS NOT NULL
GROUP BY channel ORDER BY channel
""",
    _draw_speed,
    note="from the event in the books; sampled",
    nothing="Nothing was delivered in this time.",
)
LATEST_FAILURES = Tile(
    "messages-failed",
    "Latest failures",
    "Which messages of this time failed last, and of which payments?",
    """
SELECT recorded_at, outcome, reason, channel, kind, address, payment FROM notifications
WHERE recorded_at >= $since AND recorded_at < $until AND outcome = 'failed'
ORDER BY recorded_at DESC, message_id LIMIT 20
""",
    _draw_listed,
    note="newest first",
    nothing="No message failed in this time.",
)
MESSAGES_OF = Tile(
    "messages-of",
    "Found",
    "What was sent about this payment, or to this address, in this time?",
    """
SELECT recorded_at, outcome, reason, channel, kind, address, payment FROM notifications
WHERE recorded_at >= $since AND recorded_at < $until AND $since_born(recorded_at)
  AND (payment = $id OR address = $id)
ORDER BY recorded_at DESC, message_id LIMIT 100
""",
    _draw_listed,
    note="newest first, 100 at most",
    nothing="Nothing was sent about it in this time. A longer period may have it.",
    fills=False,
)
