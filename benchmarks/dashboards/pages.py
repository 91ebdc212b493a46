"""How long a person waits in a browser: for each page to its last tile, and for what they search on Payments."""

import time
from collections.abc import Mapping, Sequence

import msgspec
from playwright.sync_api import BrowserContext, Page, expect

from benchmarks.browser import PATIENCE_MS
from benchmarks.dashboards.meter import quantile

TIMES = 5
# Streamlit says in the page whether it is at work; what it drew before is stale until it is drawn anew.
DRAWN = """() => document.querySelector('[data-testid=stMain] [data-testid=stElementContainer]') &&
    !document.querySelector('[data-testid=stStatusWidget], [data-stale=true], [data-testid=stSkeleton]') &&
    document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"""


class PageFigures(msgspec.Struct, frozen=True):
    """Milliseconds from asking for a page in an open browser to its last tile; `first_ms`: the first time."""

    p50_ms: float
    max_ms: float
    first_ms: float


def addresses(ids: Mapping[str, str]) -> dict[str, str]:
    """Every page of those who work with payments, by the name it has in the figures."""
    work = ("reviews", "fraud", "processors", "money", "notifications", "pipeline", "sql")
    about = {
        "a payment": f"payments?payment={ids['payment']}",
        "a customer": f"customer?id={ids['customer']}",
        "a card": f"card?id={ids['card']}",
        "a merchant": f"merchant?id={ids['merchant']}",
    }
    views = {f"money, {view}": f"money?view={view}" for view in ("refunds", "books", "tasks")}
    long = {
        f"{path or 'overview'}, 30 days": f"{path}?period=30d" for path in ("", "fraud", "processors", "money")
    }
    return {"overview": "", "payments": "payments", **{path: path for path in work}, **views, **about, **long}


def searches(payment: Mapping[str, object]) -> dict[str, str]:
    """What is looked for on Payments, of a payment that the books have."""
    amount = f"{int(str(payment['amount'])) / 100:.2f}%20{payment['currency']}"
    found = {
        "id": payment["id"],
        "reference": str(payment["reference"]).replace(" ", "%20"),
        "no such reference": "none%20of%20these",
        "last4": payment["last4"],
        "customer": payment["customer"],
        "amount": amount,
    }
    by = {f"by {name}": f"payments?q={value}" for name, value in found.items()}
    filters = ("state=unknown", "state=declined&currency=GBP", "processor=visa", "risk=review&status=failed")
    narrowed = {f"filter {each}": f"payments?period=30d&{each}" for each in filters}
    return by | narrowed | {"rare filters together": f"payments?q={found['last4']}&state=failed&processor=paypal"}


def measure(
    context: BrowserContext, dashboards: str, paths: Mapping[str, str], times: int = TIMES
) -> dict[str, PageFigures]:
    """The figures of each page, by its name; the browser is logged in."""
    page = context.new_page()
    page.goto(dashboards)
    await_drawn(page)
    return {
        name: _figures([_open(page, f"{dashboards}/{path}") for _ in range(times)]) for name, path in paths.items()
    }


def _open(page: Page, address: str) -> float:
    begun = time.perf_counter()
    page.goto(address)
    await_drawn(page)
    return (time.perf_counter() - begun) * 1000


def await_drawn(page: Page) -> None:
    """Return once nothing that is shown is of before, and Streamlit draws nothing any more."""
    expect(page.locator("[data-testid=stApp]")).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_function(DRAWN, timeout=PATIENCE_MS, polling=20)


def _figures(took: Sequence[float]) -> PageFigures:
    later = took[1:] or took
    return PageFigures(quantile(later, 0.5), quantile(later, 1), round(took[0], 1))
