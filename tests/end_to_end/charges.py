"""Whether a customer was charged twice: the processors' own records against the books."""

from collections import Counter

from tests.end_to_end.shop import Shop

BEGINS = ("authorize", "sale")
TAKES_BACK = ("void", "reversal")
FREE = ("declined", "failed", "voided")


def assert_charged_once(shop: Shop) -> None:
    """No attempt is charged twice, and each payment as often as its state allows."""
    rows = shop.ledger()
    undone = {row["of"] for row in rows if row["operation"] in TAKES_BACK}
    standing = Counter(r["reference"] for r in rows if r["operation"] in BEGINS and r["id"] not in undone)
    assert [reference for reference, times in standing.items() if times > 1] == []
    charges: Counter[str] = Counter()
    for attempt, payment in shop.stack.books("SELECT id, payment_id FROM attempts"):
        charges[payment] += standing[attempt]
    for payment, state in shop.stack.books("SELECT id, state FROM payments"):
        wanted = {"captured": 1} | dict.fromkeys(FREE, 0)
        assert charges[payment] == wanted.get(state, charges[payment]), f"{payment} is {state}"
