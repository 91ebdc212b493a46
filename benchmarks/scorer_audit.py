"""What the books and the processors say of payments that the fraud flow did not judge in time."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from sluice.reconcile.ledger import ProcessorRecord

BEGINS = ("authorize", "sale")
TAKES_BACK = ("void", "reversal")
# A payment of which money was taken, and no verdict is applied.
UNJUDGED = """
    SELECT p.id FROM payments p WHERE p.amount_captured > 0
    AND NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.payment_id = p.id AND v.applied)
"""
# One that the stand-in let through without its caps, and that no list entry allows.
UNMETERED = """
    SELECT p.id FROM payments p JOIN verdicts v ON v.payment_id = p.id AND v.applied
    WHERE p.amount_captured > 0 AND v.source = 'stand_in' AND v.outcome IN ('allow', 'flag')
    AND coalesce(v.spent, 0) <= 0 AND p.risk NOT LIKE '%allow_list%'
"""
METERED = """
    SELECT p.id, p.stream_key, p.merchant_id, v.spent_day FROM payments p
    JOIN verdicts v ON v.payment_id = p.id AND v.applied
    WHERE v.source = 'stand_in' AND v.outcome IN ('allow', 'flag') AND v.spent > 0
"""
ATTEMPTS = "SELECT id, payment_id FROM attempts"
SOURCES = "SELECT source, count(*) FROM verdicts WHERE applied GROUP BY source"
USED = "SELECT subject, max(used) FROM caps WHERE subject NOT LIKE '% %' GROUP BY subject"


class ScorerAudit(msgspec.Struct, frozen=True):
    """What was found. `unjudged`: payments that took money without a verdict, `unmetered`: without a cap.

    `most_…`: the largest sum of a card, or a merchant, and UTC day that processors hold or took of payments that
    the stand-in let through, in euro cents; `over_cap`: those above theirs, with the cents above. `used_over`: the
    same of what the books have counted. `verdicts`: how many of each source were applied.
    """

    unjudged: list[str]
    unmetered: list[str]
    most_of_a_card: int
    most_of_a_merchant: int
    over_cap: dict[str, int]
    used_over: dict[str, int]
    verdicts: dict[str, int]

    def is_clean(self) -> bool:
        """Whether nothing went through without a verdict or a budget."""
        return not (self.unjudged or self.unmetered or self.over_cap or self.used_over)


def audit(conn: Connection, ledger: Iterable[ProcessorRecord], card_cap: int, merchant_cap: int) -> ScorerAudit:
    """Hold the books against the processors' own ledger. All amounts are EUR; caps in cents."""
    standing = _standing(conn, ledger)
    cards: dict[str, int] = defaultdict(int)
    merchants: dict[str, int] = defaultdict(int)
    cards_of: set[str] = set()
    for payment_id, card, merchant, day in conn.execute(text(METERED)):
        cards_of.add(card)
        cards[f"{card} {day}"] += standing[payment_id]
        merchants[f"{merchant} {day}"] += standing[payment_id]
    used = _pairs(conn, USED)
    return ScorerAudit(
        [row[0] for row in conn.execute(text(UNJUDGED))],
        [row[0] for row in conn.execute(text(UNMETERED))],
        max(cards.values(), default=0),
        max(merchants.values(), default=0),
        _above(cards, card_cap) | _above(merchants, merchant_cap),
        _above({name: cents for name, cents in used.items() if name in cards_of}, card_cap)
        | _above({name: cents for name, cents in used.items() if name not in cards_of}, merchant_cap),
        _pairs(conn, SOURCES),
    )


def _standing(conn: Connection, ledger: Iterable[ProcessorRecord]) -> dict[str, int]:
    """What processors hold or took, by payment: what was authorized and not given back."""
    payment_of = _pairs(conn, ATTEMPTS)
    applied = [row for row in ledger if row.status == "applied"]
    undone = {row.of for row in applied if row.operation in TAKES_BACK}
    sums: dict[str, int] = defaultdict(int)
    for row in applied:
        if row.operation in BEGINS and row.id not in undone and row.reference in payment_of:
            sums[payment_of[row.reference]] += row.amount
    return sums


def _pairs(conn: Connection, statement: str) -> dict[str, Any]:
    return {row[0]: row[1] for row in conn.execute(text(statement))}


def _above(sums: dict[str, int], cap: int) -> dict[str, int]:
    return {name: cents - cap for name, cents in sums.items() if cents > cap}
