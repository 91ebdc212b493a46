"""Notifications of the last hour by channel and outcome."""

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


class ChannelCounts(msgspec.Struct, frozen=True):
    """One channel: how many messages were delivered, suppressed, failed."""

    name: str
    delivered: int
    suppressed: int
    failed: int


def channels(table: Table) -> list[ChannelCounts]:
    """The counts of each channel."""
    return [ChannelCounts(NAMES.get(name, name), *counts) for name, *counts in table.rows]


def show(lines: list[ChannelCounts]) -> None:
    """Show a line for each channel."""
    with card("messages", "Notifications", "last hour"):
        html("messages.html", channels=lines)
