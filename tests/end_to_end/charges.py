"""Whether a customer was charged twice: the processors' own records against the books."""

from collections import Counter

from benchmarks.fleet import standing_charges
from sluice.reconcile.ledger import read_ledger
from tests.end_to_end.shop import Shop

FREE = ("declined", "failed", "voided")


def assert_charged_once(shop: Shop) -> None:
    """No attempt is charged twice, and each payment as often as its state allows."""
    standing = standing_charges(read_ledger(shop.stack.settings.url("sandbox")))
    assert [reference for reference, times in standing.items() if times > 1] == []
    charges: Counter[str] = Counter()
    for attempt, payment in shop.stack.books("SELECT id, payment_id FROM attempts"):
        charges[payment] += standing[attempt]
    for payment, state in shop.stack.books("SELECT id, state FROM payments"):
        wanted = {"captured": 1} | dict.fromkeys(FREE, 0)
        assert charges[payment] == wanted.get(state, charges[payment]), f"{payment} is {state}"
