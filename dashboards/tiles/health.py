"""How far the figures are behind the books, topic by topic."""

import msgspec

from connectors.warehouse import Table
from dashboards import formats
from dashboards.page import card, html

QUERY = """
SELECT topic, sum(lag)::BIGINT AS lag, max(age_ms)::BIGINT AS age_ms, max(delay_ms) AS delay_ms,
       sum(next_offset)::BIGINT AS records
FROM pipeline_health GROUP BY topic ORDER BY topic
"""

LATE_S = 5  # seconds of age at which a topic is marked


class TopicHealth(msgspec.Struct, frozen=True):
    """One topic: records read, records still to read, and the age of the warehouse's data of it."""

    name: str
    records: int
    lag: int
    age: str
    late: bool


class PipelineHealth(msgspec.Struct, frozen=True):
    """All topics. `age_s` is the highest age of a topic in seconds; None where none was ever read."""

    age_s: float | None
    topics: list[TopicHealth]


def health(table: Table, asked_ago_s: float) -> PipelineHealth:
    """The figures, `asked_ago_s` seconds after the query."""
    ages = [max(0, row[2]) / 1000 + asked_ago_s for row in table.rows]
    topics = [
        TopicHealth(row[0].removesuffix(".v1"), row[4], row[1], formats.age(age), age > LATE_S)
        for row, age in zip(table.rows, ages, strict=True)
    ]
    return PipelineHealth(max(ages, default=None), topics)


def show(figures: PipelineHealth) -> None:
    """Show a line for each topic."""
    with card("health", "Pipeline", "Kafka to warehouse"):
        html("health.html", topics=figures.topics)
