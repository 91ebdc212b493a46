"""A customer: what it paid, how well that went, and with which cards."""

from connectors.warehouse import Table
from dashboards import formats, subject_page, subject_tiles
from dashboards.look import Look
from dashboards.page import html
from dashboards.page_entry import PageEntry, link
from dashboards.session_checks import STAFF, Person
from dashboards.subject_tiles import Together
from dashboards.tile import Tile


def draw(person: Person) -> None:
    """Show the customer that the address names."""
    customer_id = subject_page.subject_id("customer")
    if not customer_id:
        return
    html("page_head.html", title="Customer", note=formats.plain(customer_id, 80))
    link("Account, in People", "people", ":material/person:", account=customer_id)
    wide = (FIGURES, COURSE, LATEST)
    subject_page.lay_out(person, customer_id, wide, (EVER, CARDS, DECLINES, REVIEWS))


def _draw_ever(table: Table, look: Look) -> None:
    [row] = table.by_name()
    if not row["payments"]:
        html("nothing.html", words="This customer never paid, or the warehouse does not know it.")
        return
    facts = [
        ("Payments", formats.count(row["payments"])),
        ("First", look.shown(row["first_at"])),
        ("Last", look.shown(row["last_at"])),
        ("Cards", formats.count(row["cards"])),
        ("Merchants", formats.count(row["merchants"])),
        ("Countries", ", ".join(row["countries"] or ()) or formats.NONE),
    ]
    html("facts.html", facts=facts)


EVER = Tile(
    "customer-ever",
    "In all",
    "Since when is it a customer, and where does it pay from?",
    """
SELECT count(*)::BIGINT AS payments, min(created_at) AS first_at, max(created_at) AS last_at,
       count(DISTINCT instrument)::BIGINT AS cards, count(DISTINCT merchant)::BIGINT AS merchants,
       list_sort(list(DISTINCT country) FILTER (country IS NOT NULL)) AS countries
FROM payments WHERE $is(customer)
""",
    _draw_ever,
    note="whatever the time above",
    fills=False,
)
FIGURES = subject_tiles.figures("customer")
COURSE = subject_tiles.course("customer")
LATEST = subject_tiles.latest("customer")
DECLINES = subject_tiles.declines("customer")
REVIEWS = subject_tiles.open_reviews("customer")
CARDS = subject_tiles.together(
    "customer", Together("card", "Cards", "Card", "With which cards, and PayPal, did this customer pay?")
)

PAGE = PageEntry("customer", "Customer", draw, STAFF, "linked", 10)
