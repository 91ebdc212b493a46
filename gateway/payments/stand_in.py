"""The stand-in: judges where no verdict comes in time.

Lists first, then what the merchant wants for such payments, then the fraud rules that can be known here, then a
cap per instrument and per merchant.
"""

from datetime import date
from typing import assert_never

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from gateway.books.caps import give_back, spend
from gateway.books.controls import select_entries
from gateway.books.list_entries import MetEntry, count_hit, select_met
from gateway.books.merchants import no_verdict_choice
from gateway.books.payments import PaymentRow, has_paid
from gateway.books.rules import count_hits
from gateway.books.verdicts import SpentCaps, count_held_by_flow, insert_stand_in, select_spent
from gateway.payments.stand_in_rules import rules_met
from gateway.policy import Policy
from schemas.fraud import Hold, ListEntry, Outcome
from schemas.ids import earliest_id
from schemas.lists import Listable, deciding_entry, places_of
from schemas.payments import AppliedRisk
from schemas.times import from_micros, now_micros, steady_micros

SUSPECTED_US = 86_400_000_000
HELD_COUNTS = 3  # instruments: as many as a customer may bring a day by default
NEW_CARDS = "new cards of "  # with a customer's id: what their number is counted under, beside the caps


class Ruling(msgspec.Struct, frozen=True):
    """What the stand-in says, and what it spent of each of the two caps; None: nothing.

    `listed`: the id of the list entry that decided.
    """

    risk: AppliedRisk
    spent: SpentCaps | None = None
    listed: str | None = None


def stand_in(conn: Connection, policy: Policy, payment: PaymentRow) -> AppliedRisk:
    """Judge a payment without the fraud flow, and store that verdict as the applied one.

    What an allow entry names goes as it goes in the flow, whatever the caps say.
    """
    return _applied(
        conn, payment, _by_lists(conn, payment) or _by_choice(conn, payment) or _by_rules(conn, policy, payment)
    )


def block_by_list(conn: Connection, payment: PaymentRow) -> AppliedRisk | None:
    """Judge a payment that a block entry names, and store that verdict as the applied one; None for any other."""
    ruling = _by_lists(conn, payment)
    return _applied(conn, payment, ruling) if ruling and ruling.risk.outcome == "block" else None


def would_decline(conn: Connection, payment: PaymentRow) -> bool:
    """Whether the stand-in would decline a payment."""
    ruling = _by_lists(conn, payment) or _by_choice(conn, payment)
    if ruling is not None:
        return ruling.risk.outcome == "block"
    return any(rule.outcome == "block" for rule in rules_met(conn, payment, from_micros(now_micros())))


def return_caps(conn: Connection, payment: PaymentRow) -> None:
    """Give back what a payment spent of its caps, on whatever day that was: it came to nothing."""
    if spent := select_spent(conn, payment.id):
        for subject in (payment.stream_key, payment.merchant_id):
            give_back(conn, subject, spent.day, spent.cents)


def _applied(conn: Connection, payment: PaymentRow, ruling: Ruling) -> AppliedRisk:
    insert_stand_in(conn, payment.id, ruling.risk.outcome, now_micros(), ruling.spent)
    if ruling.listed is not None:
        count_hit(conn, ruling.listed)
    return ruling.risk


def _by_lists(conn: Connection, payment: PaymentRow) -> Ruling | None:
    found: list[MetEntry | ListEntry] = [*select_met(conn, places_of(_listable(payment)))]
    found += select_entries(conn, payment.stream_key, payment.merchant_id)
    entry = deciding_entry(found, from_micros(now_micros()))
    if entry is None:
        return None
    risk = AppliedRisk(entry.list, "stand_in", reasons=[f"{entry.list}_list", entry.id])
    return Ruling(risk, listed=entry.id)


def _listable(payment: PaymentRow) -> Listable:
    return Listable(
        payment.stream_key,
        payment.customer_id,
        payment.merchant_id,
        payment.bin,
        payment.country,
        payment.ip_hash,
        payment.ip_network_hash,
        payment.device_hash,
    )


def _by_choice(conn: Connection, payment: PaymentRow) -> Ruling | None:
    """What the merchant chose for payments without a verdict; None where the stand-in is to judge."""
    choice = no_verdict_choice(conn, payment.merchant_id)
    match choice:
        case "stand_in":
            return None
        case "review":
            return _held("no_verdict")
        case "decline":
            return Ruling(AppliedRisk("block", "stand_in", reasons=["no_verdict"]))
        case _:
            assert_never(choice)


def _by_rules(conn: Connection, policy: Policy, payment: PaymentRow) -> Ruling:
    """A rule that blocks or holds decides; one that flags leaves it to the caps. Each that is met is counted."""
    met = rules_met(conn, payment, from_micros(now_micros()))
    ids = [rule.id for rule in met]
    count_hits(conn, ids, "live", payment.amount, payment.currency)
    outcome: Outcome = met[0].outcome if met else "allow"
    unsent = outcome == "review" and any(rule.hold == "unsent" for rule in met if rule.outcome == outcome)
    if outcome in ("review", "block"):
        hold: Hold = "unsent" if unsent else "authorized"
        return Ruling(AppliedRisk(outcome, "stand_in", reasons=ids, hold=hold))
    ruling = _by_caps(conn, policy, payment)
    if not met:
        return ruling
    risk = ruling.risk
    flagged: Outcome = "flag" if risk.outcome == "allow" else risk.outcome
    return replace(ruling, risk=replace(risk, outcome=flagged, reasons=[*risk.reasons, *ids]))


def _by_caps(conn: Connection, policy: Policy, payment: PaymentRow) -> Ruling:
    """A payment passes while its instrument's and its merchant's caps of the day last.

    Of instruments that never paid, so many of one customer a day. Nobody is asked about further ones.
    """
    cents = policy.rates.cents(payment.amount, payment.currency)
    if cents is None:
        return _held("stand_in_no_rate")
    day, known = _today(), has_paid(conn, payment.stream_key)
    if not known and not _may_be_new(conn, policy, payment, day):
        return _held("stand_in_new_cards", "unsent")
    cap = policy.card_cap if known else min(policy.first_card_cap, policy.card_cap)
    if not spend(conn, payment.stream_key, day, cents, cap):
        return _held("stand_in_cap" if known else "stand_in_first_cap")
    if spend(conn, payment.merchant_id, day, cents, policy.merchant_cap):
        return Ruling(AppliedRisk("allow", "stand_in"), SpentCaps(cents, day))
    give_back(conn, payment.stream_key, day, cents)
    return _held("stand_in_cap")


def _may_be_new(conn: Connection, policy: Policy, payment: PaymentRow, day: date) -> bool:
    """Whether a customer may bring an instrument that never paid: who tests stolen cards waits for a slow flow.

    So what the flow held of that customer within a day counts as such instruments, too.
    """
    held = count_held_by_flow(conn, payment.customer_id, earliest_id("pay", steady_micros() - SUSPECTED_US))
    most = policy.new_cards - held * HELD_COUNTS
    return spend(conn, f"{NEW_CARDS}{payment.customer_id}", day, 1, most)


def _held(reason: str, hold: Hold = "authorized") -> Ruling:
    return Ruling(AppliedRisk("review", "stand_in", reasons=[reason], hold=hold))


def _today() -> date:
    """The UTC day on which caps are spent: not that on which a payer at PayPal began, perhaps long before.

    By the steady clock: whoever sets the wall clock opens no new caps.
    """
    return from_micros(steady_micros()).date()
