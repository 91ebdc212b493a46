"""Money: what was sold, taken and given back, by currency; amounts of two currencies are never added."""

from connectors.warehouse import Table
from dashboards import formats, tables, tile
from dashboards.look import Look
from dashboards.look_bar import look_of
from dashboards.page import html
from dashboards.page_entry import PageEntry
from dashboards.session_checks import STAFF, Person
from dashboards.tables import Column
from dashboards.tile import Tile

COLUMNS = [Column("Currency"), *(Column(title, "right") for title in ("Payments", "Asked", "Taken", "Given back"))]


def draw(person: Person) -> None:
    """Show the page."""
    html("page_head.html", title="Money", note="what was sold, taken and given back")
    tile.show(VOLUMES, look_of(person))


def _draw_volumes(table: Table, _look: Look) -> None:
    lines = [
        [currency, formats.count(count), *(formats.amount(minor, currency) for minor in sums)]
        for currency, count, *sums in table.rows
    ]
    tables.table(COLUMNS, lines, "Volumes by currency")


VOLUMES = Tile(
    "volumes",
    "Volumes",
    "How much was sold, taken and given back in each currency?",
    """
SELECT currency, sum(count)::BIGINT AS payments, sum(amount)::BIGINT AS asked,
       sum(amount_captured)::BIGINT AS captured, sum(amount_refunded)::BIGINT AS refunded
FROM payments_by_minute WHERE minute >= $since AND minute < $until
GROUP BY currency ORDER BY payments DESC
""",
    _draw_volumes,
    for_merchants=True,
)

PAGE = PageEntry("money", "Money", draw, STAFF, "work", 60)
