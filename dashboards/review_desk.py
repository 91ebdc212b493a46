"""One case at a time: taken by opening it, decided or given back, and on to the next; by mouse or by keys."""

import time
from collections.abc import Callable
from contextlib import suppress

import msgspec
import streamlit as st

from connectors.gateway import GatewayRefused
from dashboards import acting, chooser, door, staff, tile
from dashboards.acting import REASON_MAX, NotDone
from dashboards.look import Look
from dashboards.page import card, html
from dashboards.page_entry import link
from dashboards.review_case import DONE, Case, Decision, ShownReview, read_case
from dashboards.review_queue import BUTTONS, OPENED, SHOWN, assignment, give_back, open_case
from dashboards.review_tiles import CARD_FIGURES, CARD_LATEST, CUSTOMER_FIGURES, CUSTOMER_LATEST
from dashboards.session_checks import Person
from dashboards.wording import words
from schemas.times import now

PROCESSOR_LOOK_S = 2.0  # while a call to a processor is open
RENEW_S = 600.0  # of the 15 minutes that are left, a case in use is taken anew
FIRST_WAS = "Somebody decided this case before you. Yours was not taken; theirs stands here."
TAKEN = "A colleague has taken this case meanwhile: your decision was not taken."
SILENT = "The processor has not answered yet: the payment stays pending until it does."
LAST, DECIDED = "last-reason", "decided-last"  # in the session: a reason with its decision; a review and when
# The second click of a double one meets the buttons of the next case, which nobody has seen yet.
LOOK_FIRST_S = 0.3
TOO_SOON = "That came as this case was being shown: it is not decided. Look at it first."
WAS: dict[Decision, str] = {"approve": "approved", "reject": "rejected"}
OFTEN = ("Known customer", "Confirmed with the customer", "Stolen card", "Card testing")


def draw(person: Person, review_id: str, look: Look) -> None:
    """Show a case, and what can be done about it."""
    try:
        found = acting.ask(lambda: read_case(door.api(), review_id))
        review = acting.ask(lambda: _taken_by_opening(person, found.review))
    except NotDone:
        return
    case = msgspec.structs.replace(found, review=review)
    _steps(person, review)
    with card("case", "Case", review.id, fills=False):
        html("case_lead.html", case=case, method=case.payment.payment_method.text(), loss=review.loss())
        if review.decision is None:
            _hold(person, review, look)
        else:
            _show_decision(case, person, look)
    if case.waits_for_processor():
        st.fragment(_look_again, run_every=PROCESSOR_LOOK_S)(review_id)
    _details(case, look)


def _taken_by_opening(person: Person, review: ShownReview) -> ShownReview:
    """The review, taken where somebody opened it from the queue, and renewed where it is used for long.

    As it is where it is a colleague's, or where a link led here: looking at a link takes nothing from others.
    """
    is_kept = review.assigned_to == person.id and _seconds_left(review) > RENEW_S
    is_anothers = review.assigned_to not in (None, person.id)
    is_linked = review.assigned_to is None and st.session_state.get(OPENED) != review.id
    if review.decision or is_kept or is_anothers or is_linked:
        return review
    try:
        taken: ShownReview = door.api().put(assignment(review.id), None, ShownReview)
    except GatewayRefused as refused:
        if refused.code not in ("assigned", "wrong_state"):
            raise
        taken = door.api().get(chooser.at("/v1/reviews", review.id), ShownReview)
    return taken


def _seconds_left(review: ShownReview) -> float:
    return (review.assigned_until - now()).total_seconds() if review.assigned_until else 0


# --- who has it ------------------------------------------------------------------------------------------------


def _hold(person: Person, review: ShownReview, look: Look) -> None:
    until = f"{look.local(review.assigned_until):%H:%M}" if review.assigned_until else ""
    is_mine = review.assigned_to == person.id
    by = staff.named(review.assigned_to) if review.assigned_to else ""
    html("holder.html", is_mine=is_mine, by=by, until=until)
    if review.assigned_to in (None, person.id):
        _decide(review)
    elif person.role == "admin":
        _button("Take over", "Alt+T", _take, review.id)


def _button(label: str, shortcut: str, does: Callable[[str], None], review_id: str) -> None:
    st.button(label, shortcut=shortcut, on_click=does, args=(review_id,))


def _take(review_id: str) -> None:
    st.session_state[OPENED] = review_id
    with suppress(NotDone):
        acting.ask_before(lambda: door.api().put(assignment(review_id), None))


def _give_back(review_id: str) -> None:
    st.session_state.pop(OPENED, None)
    give_back(review_id)


# --- from one to the next --------------------------------------------------------------------------------------


def _steps(person: Person, review: ShownReview) -> None:
    """Buttons that lead on; a case that is left undecided is anybody's again."""
    waiting = st.session_state.get(SHOWN, [])
    place = waiting.index(review.id) if review.id in waiting else -1
    held = review.id if review.decision is None and review.assigned_to == person.id else ""
    before, after = (waiting[place - 1] if place > 0 else ""), (waiting[place + 1 : place + 2] or [""])[0]
    with st.container(key="steps", horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Previous", shortcut="Alt+P", disabled=not before, on_click=_leave_for, args=(held, before))
        st.button("Next", shortcut="Alt+N", disabled=not after, on_click=_leave_for, args=(held, after))
        if held:
            _button("Give back", "Alt+G", _give_back, review.id)
        elif review.decision is None and review.assigned_to is None:
            _button("Take", "Alt+T", _take, review.id)
        st.button("Queue", shortcut="Alt+Q", type="tertiary", on_click=_leave_for, args=(held, ""))


def _leave_for(held: str, review_id: str) -> None:
    if held:
        give_back(held)
    if review_id:
        open_case(review_id)
    else:
        chooser.forget("review")


def _go_on(decided: str) -> None:
    """To the case behind the one that was decided, else to the first one that is open."""
    waiting = list(st.session_state.get(SHOWN, ()))
    place = waiting.index(decided) if decided in waiting else 0
    others = [review_id for review_id in waiting[place:] + waiting[:place] if review_id != decided]
    if others:
        st.session_state[SHOWN] = [review_id for review_id in waiting if review_id != decided]
        open_case(others[0])
    else:
        chooser.forget("review")


# --- the decision ----------------------------------------------------------------------------------------------


def _decide(review: ShownReview) -> None:
    with st.form(f"decide-{review.id}", enter_to_submit=False, border=False):  # Ctrl+Enter would approve
        # The one that was chosen last stays chosen: of forty cases of one thief it is typed once.
        last, _ = st.session_state.get(LAST, (None, None))
        st.pills("Reason", OFTEN, default=last, key=f"often-{review.id}")
        st.text_area("In your words", max_chars=REASON_MAX - 40, height=68, key=f"reason-{review.id}")
        with st.container(horizontal=True, gap="small"):
            for decision, label, kind, shortcut in BUTTONS:
                st.form_submit_button(label, type=kind, shortcut=shortcut, on_click=_send, args=(review, decision))
        html("decision_means.html", kind=review.kind)


def _reason(review_id: str) -> str:
    parts = [st.session_state.get(f"{name}-{review_id}") or "" for name in ("often", "reason")]
    return ": ".join(part.strip() for part in parts if part.strip())


def _send(review: ShownReview, decision: Decision) -> None:
    """Runs before the page is drawn: by then somebody else's decision would have taken the buttons away."""
    if _is_second_click(review.id):
        return
    reason = _reason(review.id)
    if not reason:
        acting.say("Say why in a few words: the decision is kept with its reason.", good=False)
        return
    often = st.session_state.get(f"often-{review.id}")
    if _is_left_over(review.id, often, decision):
        return
    st.session_state[LAST] = often, decision
    try:
        case = acting.ask_before(lambda: _decided(review, decision, reason))
    except NotDone:
        return
    if isinstance(case, str):
        acting.say(case, good=False)
        return
    st.session_state[DECIDED] = review.id, time.monotonic()
    if case.waits_for_processor():
        acting.say(f"{DONE[decision]}. {SILENT}")
    else:
        acting.say(f"{DONE[decision]}: {review.money()}, which is {words(case.payment.state)} now.")
        _go_on(review.id)


def _is_left_over(review_id: str, often: str | None, decision: Decision) -> bool:
    """Whether the reason only stays from the last case, which was decided the other way: then it is let go."""
    last, was = st.session_state.get(LAST, (None, None))
    if often is None or often != last or was == decision:
        return False
    st.session_state.pop(LAST)
    st.session_state[f"often-{review_id}"] = None
    acting.say(
        f"“{often}” is why you {WAS[was]} the last case. Choose again why you {decision} this one.", good=False
    )
    return True


def _is_second_click(review_id: str) -> bool:
    """Whether it is of the case that was just decided, which its own words tell of, or too soon for another."""
    last: tuple[str, float] = st.session_state.get(DECIDED, ("", -LOOK_FIRST_S))
    decided, at = last
    if review_id == decided:
        return True
    is_too_soon = time.monotonic() - at < LOOK_FIRST_S
    if is_too_soon:
        acting.say(TOO_SOON, good=False)
    return is_too_soon


def _decided(review: ShownReview, decision: Decision, reason: str) -> Case | str:
    """The case after the decision; or why a colleague's comes first."""
    body = {"decision": decision, "reason": reason}
    try:
        door.api().post(chooser.at("/v1/reviews", review.id, "/decision"), body)
    except GatewayRefused as refused:
        why = {"wrong_state": FIRST_WAS, "assigned": TAKEN}.get(refused.code)
        if why is None:
            raise
        return why
    return read_case(door.api(), review.id)


def _show_decision(case: Case, person: Person, look: Look) -> None:
    review = case.review
    at = look.shown(review.decided_at) if review.decided_at else ""
    by = staff.named(review.decided_by, person.id) if review.decided_by else ""
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


# --- what is known of it ---------------------------------------------------------------------------------------


def _details(case: Case, look: Look) -> None:
    payment = case.payment
    first, second = st.columns(2, gap="small")
    with first, card("case-payment", "Payment", payment.id):
        html("facts.html", facts=case.facts(look))
        link("Open the payment", "payments", payment=payment.id)
    with second, card("case-risk", "Fraud check", "as it was judged"):
        html("facts.html", facts=case.judged())
        html("history.html", lines=case.history(look))
    first, second = st.columns(2, gap="small")
    with first:
        tile.show(CUSTOMER_FIGURES, look, payment.id)
        tile.show(CUSTOMER_LATEST, look, payment.id)
        link("Open the customer", "customer", id=payment.customer)
    with second:
        tile.show(CARD_FIGURES, look, payment.id)
        tile.show(CARD_LATEST, look, payment.id)
        if payment.payment_method.instrument:
            link("Open the card", "card", id=payment.payment_method.instrument)
