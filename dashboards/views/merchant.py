"""A merchant: what it sold, how well that went, what is owed to it, and what it should look at."""

from connectors.warehouse import Table
from dashboards import formats, subject_page, subject_tiles, tables
from dashboards.asking import ask
from dashboards.look import Look
from dashboards.page import html
from dashboards.page_entry import PageEntry, link
from dashboards.session_checks import STAFF, Person
from dashboards.subject_tiles import Together
from dashboards.tables import Cell, Column
from dashboards.tile import Tile

OWED = [Column("Account"), Column("Currency"), Column("Amount", "right"), Column("Changed", "right", wide=True)]


def draw(person: Person) -> None:
    """Show the merchant that the address names."""
    merchant_id = subject_page.subject_id("merchant")
    if not merchant_id:
        return
    name, note = _name(merchant_id), formats.plain(merchant_id, 80)
    html("page_head.html", title=name or "Merchant", note=f"Merchant · {note}" if name else note)
    link("People and settings, in Merchants", "merchants", ":material/group:", merchant=merchant_id)
    wide = (FIGURES, COURSE, LATEST)
    subject_page.lay_out(person, merchant_id, wide, (WHO, BALANCE, DECLINES, CUSTOMERS, REVIEWS))


def _name(merchant_id: str) -> str:
    """The trading name as the warehouse knows it; empty where it does not."""
    known = ask(WHO.statement(Look(), merchant_id)).table
    return formats.plain(known.rows[0][0] or "") if known and known.rows else ""


def _draw_who(table: Table, look: Look) -> None:
    [row] = table.by_name()
    facts = [
        ("Name", row["trading_name"] or formats.NONE),
        ("Since", look.shown(row["since"]) if row["since"] else formats.NONE),
        ("Login", "disabled" if row["disabled"] else "open"),
    ]
    html("facts.html", facts=facts)


def _draw_balance(table: Table, look: Look) -> None:
    """What the ledger has negative is owed to the merchant, and is shown so."""
    lines: list[list[Cell | str]] = [
        [
            "Owed to it" if row["kind"] == "due" else "Reserved for it",
            row["currency"],
            formats.amount(-row["amount"], row["currency"]),
            look.shown(row["updated_at"]),
        ]
        for row in table.by_name()
    ]
    tables.table(OWED, lines, "Balance by currency")


WHO = Tile(
    "merchant-who",
    "Who sells",
    "Under which name does it trade, and since when?",
    "SELECT trading_name, since, disabled FROM merchants WHERE id = $id",
    _draw_who,
    nothing="The warehouse does not know its name.",
    fills=False,
)
BALANCE = Tile(
    "merchant-balance",
    "Balance",
    "How much is owed to this merchant, and how much is reserved for it?",
    """
SELECT kind, currency, amount, updated_at FROM balances
WHERE party = $id AND amount <> 0 ORDER BY kind, currency
""",
    _draw_balance,
    note="now, by currency",
    nothing="Nothing is owed to it, and nothing reserved.",
    fills=False,
)
FIGURES = subject_tiles.figures("merchant")
COURSE = subject_tiles.course("merchant")
LATEST = subject_tiles.latest("merchant")
DECLINES = subject_tiles.declines("merchant")
REVIEWS = subject_tiles.open_reviews("merchant")
CUSTOMERS = subject_tiles.together(
    "merchant", Together("customer", "Customers", "Customer", "Which customers paid to this merchant most often?")
)

PAGE = PageEntry("merchant", "Merchant", draw, STAFF, "linked", 30)
