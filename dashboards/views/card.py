"""A card (or a PayPal account), by its instrument: who paid with it, where, and how that went."""

from connectors.warehouse import Table
from dashboards import formats, subject_page, subject_tiles
from dashboards.look import Look
from dashboards.page import html
from dashboards.page_entry import PageEntry
from dashboards.session_checks import STAFF, Person
from dashboards.subject_tiles import Together
from dashboards.tile import Tile


def draw(person: Person) -> None:
    """Show the card that the address names."""
    instrument = subject_page.subject_id("card")
    if not instrument:
        return
    html("page_head.html", title="Card", note=formats.plain(instrument, 80))
    wide = (FIGURES, COURSE, LATEST)
    subject_page.lay_out(person, instrument, wide, (EVER, CUSTOMERS, MERCHANTS, DECLINES, REVIEWS))


def _draw_ever(table: Table, look: Look) -> None:
    [row] = table.by_name()
    if not row["payments"]:
        html("nothing.html", words="Nobody ever paid with it, or the warehouse does not know it.")
        return
    facts = [
        ("Card", subject_tiles.instrument(row)),
        ("BIN", row["bin"] or formats.NONE),
        ("Payments", formats.count(row["payments"])),
        ("First", look.shown(row["first_at"])),
        ("Last", look.shown(row["last_at"])),
        ("Customers", formats.count(row["customers"])),
        ("Merchants", formats.count(row["merchants"])),
        ("Countries of the payers", ", ".join(row["countries"] or ()) or formats.NONE),
    ]
    html("facts.html", facts=facts)


EVER = Tile(
    "card-ever",
    "In all",
    "Which card is it, and how many people paid with it?",
    """
SELECT any_value(method) AS method, any_value(brand) AS brand, any_value(last4) AS last4, any_value(bin) AS bin,
       count(*)::BIGINT AS payments, min(created_at) AS first_at, max(created_at) AS last_at,
       count(DISTINCT customer)::BIGINT AS customers, count(DISTINCT merchant)::BIGINT AS merchants,
       list_sort(list(DISTINCT country) FILTER (country IS NOT NULL)) AS countries
FROM payments WHERE $is(instrument)
""",
    _draw_ever,
    note="whatever the time above",
    fills=False,
)
FIGURES = subject_tiles.figures("card")
COURSE = subject_tiles.course("card")
LATEST = subject_tiles.latest("card")
DECLINES = subject_tiles.declines("card")
REVIEWS = subject_tiles.open_reviews("card")
CUSTOMERS = subject_tiles.together(
    "card", Together("customer", "Customers", "Customer", "Which customers paid with this card?")
)
MERCHANTS = subject_tiles.together(
    "card", Together("merchant", "Merchants", "Merchant", "To which merchants was paid with this card?")
)

PAGE = PageEntry("card", "Card", draw, STAFF, "linked", 20)
