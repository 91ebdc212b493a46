"""How far the figures are behind the books, topic by topic."""

import msgspec

from connectors.warehouse import Table
from dashboards import formats
from dashboards.look import Look
from dashboards.page import html
from dashboards.tile import Tile

LATE_S = 5  # seconds of age at which a topic is marked


class TopicHealth(msgspec.Struct, frozen=True):
    """One topic: records read, records still to read, and the age of the warehouse's data of it."""

    name: str
    records: int
    lag: int
    age: str
    late: bool


def health(table: Table) -> list[TopicHealth]:
    """A line for each topic."""
    found = []
    for topic, lag, age_ms, records in table.rows:
        age_s = max(0, age_ms) / 1000
        found.append(TopicHealth(topic.removesuffix(".v1"), records, lag, formats.age(age_s), age_s > LATE_S))
    return found


def _draw(table: Table, _look: Look) -> None:
    html("health.html", topics=health(table))


HEALTH = Tile(
    "health",
    "Pipeline",
    "How far is the warehouse behind Kafka, topic by topic?",
    """
SELECT topic, sum(lag)::BIGINT AS records_to_read, max(age_ms)::BIGINT AS age_ms,
       sum(next_offset)::BIGINT AS records
FROM pipeline_health GROUP BY topic ORDER BY topic
""",
    _draw,
    note="Kafka to warehouse",
    nothing="No topic has been read yet.",
)
