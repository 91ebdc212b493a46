"""What customers were told."""

import msgspec

from connectors.warehouse import Table
from dashboards.page import card, html

QUERY = """
SELECT channel, count(*) FILTER (outcome = 'delivered') AS delivered,
       count(*) FILTER (outcome = 'suppressed') AS suppressed, count(*) FILTER (outcome = 'failed') AS failed
FROM notifications
WHERE recorded_at >= now()::TIMESTAMP - INTERVAL 1 HOUR
GROUP BY channel ORDER BY channel
"""

NAMES = {"email": "E-mail", "sms": "SMS", "webhook": "Webhook"}


class Channel(msgspec.Struct, frozen=True):
    """One channel and what became of its messages."""

    name: str
    delivered: int
    suppressed: int
    failed: int


def channels(table: Table) -> list[Channel]:
    """A line for each channel."""
    return [Channel(NAMES.get(name, name), *counts) for name, *counts in table.rows]


def show(lines: list[Channel]) -> None:
    """The lines."""
    with card("messages", "Notifications", "last hour"):
        html("messages.html", channels=lines)
