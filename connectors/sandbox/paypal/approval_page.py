"""PayPal's page where the payer approves an order: one HTML form, no JavaScript."""

from html import escape
from pathlib import Path
from string import Template
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from connectors.sandbox.http_shapes import TwinReply
from connectors.sandbox.paypal.wire_replies import StoredPayPalOrder
from schemas.money import Money

PAGE = Template(Path(__file__).with_name("approval_page.html").read_text())
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # without a referrer its own form would be of the origin `null`
}
FORM = """
<h1>Pay $brand with PayPal?</h1>
<p class="amount">$amount</p>
<p class="about">$about</p>
<form method="post" action="/checkoutnow?token=$token">
<button class="approve" name="decision" value="approve">Approve</button>
<button class="cancel" name="decision" value="cancel">Cancel</button>
</form>
"""


def approval_page(order: StoredPayPalOrder) -> TwinReply:
    """The form for an order that awaits its payer."""
    content = Template(FORM).substitute(
        brand=escape(order.brand_name or "the merchant"),
        amount=escape(amount_text(order.money)),
        about=escape(order.description or f"Order {order.id}"),
        token=escape(order.id),
    )
    return _page(200, "Approve the payment", content)


def notice_page(status: int, text: str) -> TwinReply:
    """A page with one line of text."""
    return _page(status, text, f"<h1>{escape(text)}</h1>")


def go_back(url: str, order: str, **parameters: str) -> TwinReply:
    """A redirect of the payer to the merchant's address, with `token` (the order's id) added to its query."""
    if urlsplit(url).scheme not in ("http", "https"):
        return notice_page(400, "The merchant named no address to go back to.")
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("token", order), *parameters.items()]
    return TwinReply(303, headers={"Location": urlunsplit(parts._replace(query=urlencode(query)))})


def amount_text(money: Money) -> str:
    """`12.34 EUR`, with a no-break space."""
    return f"{money.decimal()}\N{NO-BREAK SPACE}{money.currency}"


def _page(status: int, title: str, content: str) -> TwinReply:
    return TwinReply(status, PAGE.substitute(title=escape(title), content=content).encode(), HEADERS)
