"""Payments: one of them, which the address names."""

import streamlit as st

from dashboards import one_payment
from dashboards.page import html
from dashboards.page_entry import PageEntry
from dashboards.session_checks import STAFF, Person


def draw(person: Person) -> None:
    """Show the payment that the address names."""
    picked = st.query_params.get("payment", "")
    if picked:
        one_payment.draw(person, picked)
        return
    html("page_head.html", title="Payments", note="choose one on the overview")


PAGE = PageEntry("payments", "Payments", draw, STAFF, "work", 20)
