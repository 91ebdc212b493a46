"""Reviews: the payments that wait for a person, one of them in detail, and the decision about it."""

from datetime import datetime
from typing import Literal

import streamlit as st

from connectors.gateway import GatewayRefused
from dashboards import acting, chooser, door, formats
from dashboards.acting import NotDone
from dashboards.chooser import Choice
from dashboards.page import card, html
from dashboards.page_entry import PageEntry
from dashboards.review_case import Case, ShownReview, read_case
from dashboards.session_checks import STAFF, Person
from schemas.times import now

LOOK_AGAIN_S = 5.0
PROCESSOR_LOOK_S = 2.0  # while a call to a processor is open
REASON_MAX = 500  # characters, as the gateway takes them
DONE = {"approve": "Approved", "reject": "Rejected"}
FIRST_WAS = "Somebody decided this case before you. Yours was not taken; theirs stands here."
SILENT = "The processor has not answered yet: the payment stays pending until it does."

Decision = Literal["approve", "reject"]
BUTTONS: tuple[tuple[Decision, str, Literal["primary", "secondary"], str], ...] = (
    ("approve", "Approve", "primary", "Alt+A"),
    ("reject", "Reject", "secondary", "Alt+X"),
)


def draw(person: Person) -> None:
    """Show the queue, and the case that the address names beside it."""
    html("page_head.html", title="Reviews", note="payments that wait for a person; times are UTC")
    acting.show_said()
    chosen, queue, case = chooser.beside("review", 2.2)
    with queue:
        st.fragment(_queue, run_every=LOOK_AGAIN_S)()
    with case:
        if chosen:
            chooser.back("review", "Queue")
            _case(person, chosen)
        else:
            html("nothing_chosen.html", what="case")


def _queue() -> None:
    with card("queue", "Queue", "open ones first", fills=False):
        try:
            reviews, has_more = acting.ask(lambda: chooser.found(door.api(), "/v1/reviews", ShownReview, "review"))
        except NotDone:
            return
        waiting = [review.id for review in reviews if review.decision is None]
        st.session_state["waiting-reviews"] = waiting
        html("waiting_count.html", count=len(waiting), more=has_more and len(waiting) == len(reviews))
        moment = now()
        lines = [_line(review, moment) for review in reviews]
        chooser.choose("review", lines, has_more, "No payment was held for a person yet.")


def _line(review: ShownReview, moment: datetime) -> Choice:
    age = formats.age((moment - review.opened_at).total_seconds())
    reasons = [reason.replace("_", " ") for reason in review.reasons]
    done = DONE[review.decision].lower() if review.decision else ""
    title = f"{formats.amount(review.amount, review.currency)} {review.currency}"
    note = " · ".join(filter(None, [done, review.kind, age, *reasons]))
    return Choice(review.id, title, note)


def _case(person: Person, review_id: str) -> None:
    try:
        case = acting.ask(lambda: read_case(door.api(), review_id))
    except NotDone:
        return
    with card("case", "Case", case.review.id, fills=False):
        html("case_lead.html", case=case, method=case.payment.payment_method.text())
        if case.review.decision is None:
            _decide(case.review)
        else:
            _show_decision(case, person)
    if case.waits_for_processor():
        st.fragment(_look_again, run_every=PROCESSOR_LOOK_S)(review_id)
    _details(case)


def _show_decision(case: Case, person: Person) -> None:
    review = case.review
    at = formats.moment(review.decided_at) if review.decided_at else ""
    by = "you" if review.decided_by == person.id else review.decided_by
    html("decided.html", done=DONE[review.decision or "reject"], by=by, at=at, reason=review.reason)
    if case.waits_for_processor():
        html("trouble.html", words=SILENT)


def _look_again(review_id: str) -> None:
    """Draw the page anew once the processor has answered."""
    try:
        case = acting.ask(lambda: read_case(door.api(), review_id))
    except NotDone:
        return
    if not case.waits_for_processor():
        st.rerun()


def _details(case: Case) -> None:
    first, second = st.columns(2, gap="small")
    with first, card("case-payment", "Payment", case.payment.id):
        html("facts.html", facts=case.facts())
    with second, card("case-risk", "Fraud check", "as it was judged"):
        html("facts.html", facts=case.judged())
    first, second = st.columns(2, gap="small")
    with first, card("case-history", "History", "events, and calls to the processor"):
        html("history.html", lines=case.history())
    with second, card("case-others", "The customer's other payments", "newest first"):
        html("others.html", lines=case.other_lines())


def _decide(review: ShownReview) -> None:
    with st.form(f"decide-{review.id}", enter_to_submit=False, border=False):  # Ctrl+Enter would approve
        st.text_area("Reason", max_chars=REASON_MAX, height=80, key=f"reason-{review.id}")
        with st.container(horizontal=True, gap="small"):
            for decision, label, kind, shortcut in BUTTONS:
                st.form_submit_button(label, type=kind, shortcut=shortcut, on_click=_send, args=(review, decision))
        html("decision_means.html", kind=review.kind)


def _send(review: ShownReview, decision: Decision) -> None:
    """Runs before the page is drawn: by then somebody else's decision would have taken the buttons away."""
    reason = st.session_state.get(f"reason-{review.id}", "").strip()
    if not reason:
        acting.say("Say why in a few words: the decision is kept with its reason.", good=False)
        return
    try:
        case = acting.ask_before(lambda: _decided(review, decision, reason))
    except NotDone:
        return
    if case is None:
        acting.say(FIRST_WAS, good=False)
    elif case.waits_for_processor():
        acting.say(f"{DONE[decision]}. {SILENT}")
    else:
        amount = f"{formats.amount(review.amount, review.currency)} {review.currency}"
        acting.say(f"{DONE[decision]}: {amount}, which is {case.payment.state.replace('_', ' ')} now.")
        _go_on(review.id)


def _decided(review: ShownReview, decision: Decision, reason: str) -> Case | None:
    """The case after the decision; None where somebody else decided it first."""
    body = {"decision": decision, "reason": reason}
    try:
        door.api().post(chooser.at("/v1/reviews", review.id, "/decision"), body)
    except GatewayRefused as refused:
        if refused.code != "wrong_state":
            raise
        return None
    return read_case(door.api(), review.id)


def _go_on(decided: str) -> None:
    """To the next open case of the queue."""
    waiting = [review_id for review_id in st.session_state.get("waiting-reviews", ()) if review_id != decided]
    if waiting:
        st.query_params["review"] = waiting[0]
    else:
        chooser.forget("review")


PAGE = PageEntry("reviews", "Reviews", draw, STAFF, "work", 30)
