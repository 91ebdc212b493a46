"""The columns of the list of payments: a person chooses among them; those of staff alone stand apart."""

from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlencode

import msgspec
import streamlit as st

from dashboards import formats
from dashboards.look import Look
from dashboards.payment_filters import KEPT
from dashboards.payment_reading import ListedPayment
from dashboards.session_checks import Person
from dashboards.tables import Align, Cell, Column
from dashboards.wording import listed, processor_name, state_words

Draw = Callable[[ListedPayment, Look], Cell]


class ListColumn(msgspec.Struct, frozen=True):
    """A column: its name in the address, its title, and what stands in it."""

    name: str
    title: str
    draw: Draw
    align: Align = "left"
    wide: bool = True
    id: bool = False

    def head(self) -> Column:
        """How the table has it."""
        return Column(self.title, self.align, self.wide, self.id)


def _time(payment: ListedPayment, look: Look) -> Cell:
    return Cell(look.shown(payment.created_at), href=href(payment.id))


def _changed(payment: ListedPayment, look: Look) -> Cell:
    return Cell(look.shown(payment.updated_at))


def _state(payment: ListedPayment, _look: Look) -> Cell:
    word = state_words(payment.state)
    return Cell(word, note=payment.what_became(), tone=payment.status)


def _money(field: str) -> Draw:
    def draw(payment: ListedPayment, _look: Look) -> Cell:
        minor: int = getattr(payment, field)
        if not minor:
            return Cell(formats.NONE)
        return Cell(formats.amount(minor, payment.currency), note=payment.currency)

    return draw


def _text(field: str) -> Draw:
    return lambda payment, _look: Cell(getattr(payment, field) or formats.NONE)


def _risk(payment: ListedPayment, _look: Look) -> Cell:
    risk = payment.risk
    if risk is None:
        return Cell(formats.NONE)
    score = "" if risk.score is None else f"{risk.score:.2f}"
    return Cell(risk.outcome, note=score, tone=risk.outcome)  # type: ignore[arg-type]  # the gateway's own words


def _reasons(payment: ListedPayment, _look: Look) -> Cell:
    reasons = payment.risk.reasons if payment.risk else []
    return Cell(listed(reasons) or formats.NONE)


def _party(field: str, path: str) -> Draw:
    def draw(payment: ListedPayment, _look: Look) -> Cell:
        party_id: str = getattr(payment, field)
        return Cell(party_id, href=f"{path}?{urlencode({'id': party_id})}")

    return draw


# Everybody's who sees payments: a merchant's people see these of their own.
COLUMNS = (
    ListColumn("time", "Made", _time, wide=False),
    ListColumn("state", "State", _state, wide=False),
    ListColumn("amount", "Amount", _money("amount"), "right", wide=False),
    ListColumn("method", "Paid with", lambda payment, _look: Cell(payment.payment_method.text())),
    ListColumn(
        "processor",
        "Processor",
        lambda payment, _look: Cell(processor_name(payment.processor)),
    ),
    ListColumn("reference", "Reference", _text("reference")),
    ListColumn("captured", "Captured", _money("amount_captured"), "right"),
    ListColumn("refunded", "Refunded", _money("amount_refunded"), "right"),
    ListColumn("capture", "Capture", _text("capture")),
    ListColumn("attempts", "Tries", lambda payment, _look: Cell(str(payment.attempts)), "right"),
    ListColumn("changed", "Changed", _changed),
    ListColumn("id", "Payment", lambda payment, _look: Cell(payment.id, href=href(payment.id)), id=True),
)
# What a merchant's people are not told.
STAFF_COLUMNS = (
    ListColumn("risk", "Risk", _risk),
    ListColumn("reasons", "Reasons", _reasons),
    ListColumn("customer", "Customer", _party("customer", "customer"), id=True),
    ListColumn("merchant", "Merchant", _party("merchant", "merchant"), id=True),
)
FIRST = ("time", "state", "amount", "method", "processor", "risk", "reference", "id")


def columns_for(person: Person) -> tuple[ListColumn, ...]:
    """The columns that a person may choose."""
    return COLUMNS[:-1] + STAFF_COLUMNS + COLUMNS[-1:] if person.is_staff else COLUMNS


def chosen_columns(text: str, known: Sequence[ListColumn]) -> list[ListColumn]:
    """The columns that an address names, in their own order; those of the start where it names none of them.

    The time is always there: its link opens the payment.
    """
    named = {*text.split(",")} & {column.name for column in known}
    shown = named | {"time"} if named else {*FIRST}
    return [column for column in known if column.name in shown]


def named(columns: Iterable[str], known: Sequence[ListColumn]) -> str:
    """The same as an address has it; empty for those of the start."""
    wanted = {*columns} | {"time"}
    first = {column.name for column in known} & {*FIRST}
    return "" if wanted == first else ",".join(column.name for column in known if column.name in wanted)


def href(payment_id: str) -> str:
    """Where a payment stands, from anywhere on this page; its way back leads to what was listed here."""
    found_by = {name: st.query_params[name] for name in KEPT if st.query_params.get(name)}
    return f"payments?{urlencode({'payment': payment_id} | found_by)}"
