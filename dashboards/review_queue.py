"""The queue of reviews: what waits, what it may cost and who has it; several of them decided at once."""

import math
import time
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal

import msgspec
import streamlit as st

from dashboards import acting, chooser, door, formats, staff, tables
from dashboards.acting import REASON_MAX, NotDone
from dashboards.chooser import Choice
from dashboards.page import card, html
from dashboards.review_case import DONE, Decision, ShownReview
from dashboards.review_filters import QueueFilter
from dashboards.session_checks import Person
from dashboards.tables import Cell, Column, Tone
from dashboards.wording import words
from schemas.ids import new_id
from schemas.times import now

AT_ONCE = 50  # that one request may decide
ONE_CLICK_S = 1.0  # a second click sooner than this after the answer is the first one's
SHOWN, ENDED, OPENED = "shown-reviews", "ended-decisions", "opened-review"  # in the session
SENT, PICKED = "sent-decisions", "picked-reviews"
# How one decision ended, by the `code` of its refusal.
REFUSED: dict[str, str] = {
    "wrong_state": "Somebody decided it before",
    "assigned": "A colleague has taken it",
    "operation_in_progress": "A call to the processor is open: try again in a moment",
    "not_found": "There is no such case",
}
BUTTONS: tuple[tuple[Decision, str, Literal["primary", "secondary"], str], ...] = (
    ("approve", "Approve", "primary", "Alt+A"),
    ("reject", "Reject", "secondary", "Alt+X"),
)
COLUMNS = [Column("Case"), Column("Amount", "right"), Column("How it ended")]


class OneEnd(msgspec.Struct, frozen=True):
    """How one decision of many ended, as the gateway says."""

    id: str
    status: int
    code: str = ""

    def cell(self, decision: Decision) -> Cell:
        """The end in words."""
        if self.status == 200:
            return Cell(DONE[decision], tone="succeeded")
        if self.status == 202:
            return Cell(f"{DONE[decision]}, pending", "the processor has not answered yet", "pending")
        tone: Tone = "failed"
        return Cell("Not done", REFUSED.get(self.code, words(self.code)), tone)


class SentDecisions(msgspec.Struct, frozen=True):
    """What is decided of many, under which key, and when that was answered (monotonic s; never yet: no limit)."""

    body: dict[str, Any]
    key: str
    answered_at: float = math.inf


class EachEnd(msgspec.Struct, frozen=True):
    """The answer to a decision about many."""

    data: list[OneEnd]


class Picks(msgspec.Struct, frozen=True):
    """The reviews that a button picked together, and the number of that press, which names the checkboxes.

    A browser that has not heard of the press yet sends its checkboxes as they were before: those are others.
    """

    number: int = 0
    ids: frozenset[str] = frozenset()

    def key(self, review_id: str) -> str:
        """The key of the checkbox of a review."""
        return f"pick-{self.number}-{review_id}"

    def has(self, review_id: str) -> bool:
        """Whether a review is picked, be it by the button or by its checkbox since."""
        return bool(st.session_state.get(self.key(review_id), review_id in self.ids))


def draw(person: Person, wanted: QueueFilter, chosen: str) -> None:
    """Show the queue; beside a case that is `chosen`, without what decides many."""
    with card("queue", "Queue", _note(wanted), fills=False):
        try:
            reviews, has_more = acting.ask(
                lambda: chooser.found(door.api(), "/v1/reviews", ShownReview, "review", **wanted.query())
            )
        except NotDone:
            return
        waiting = [review.id for review in reviews if review.decision is None]
        st.session_state[SHOWN] = waiting
        html("waiting_count.html", count=len(reviews), more=has_more, what="decided" if not waiting else "open")
        if not chosen:
            _choose_many([review for review in reviews if may_decide(person, review)])
        _lines(person, reviews, chosen)
        if not reviews:
            html("nothing.html", words=_nothing(wanted))
        chooser.offer_more("review", has_more)


def _note(wanted: QueueFilter) -> str:
    if wanted.shown == "decided" or wanted.order == "newest":
        return "the newest first"
    return "what may cost most, in euro, first"


def _nothing(wanted: QueueFilter) -> str:
    return "No payment waits for a person." if wanted == QueueFilter() else "No payment is like that."


def _lines(person: Person, reviews: list[ShownReview], chosen: str) -> None:
    moment, picks = now(), _picks()
    with st.container(key="choose-review", gap=None):
        for review in reviews:
            with st.container(
                key=f"{'chosen' if review.id == chosen else 'line'}-{review.id}",
                horizontal=True,
                vertical_alignment="center",
                gap="small",
                wrap=False,
            ):
                if not chosen and review.decision is None:
                    _checkbox(review, picks, is_anothers=not may_decide(person, review))
                label = chooser.label(_choice(person, review, moment))
                if st.button(label, key=f"choose-{review.id}", type="tertiary", width="stretch"):
                    _leave(person, reviews, chosen)
                    open_case(review.id)
                    st.rerun()


def _checkbox(review: ShownReview, picks: Picks, is_anothers: bool) -> None:
    st.checkbox(
        f"Pick {review.money()}",
        review.id in picks.ids,
        key=picks.key(review.id),
        label_visibility="collapsed",
        disabled=is_anothers,
        persist_state="page",  # through a moment without the gateway
    )


def _choice(person: Person, review: ShownReview, moment: datetime) -> Choice:
    age = formats.age((moment - review.opened_at).total_seconds())
    done = DONE[review.decision].lower() if review.decision else ""
    loss = f"may cost {review.loss()}" if review.expected_loss is not None else "no score"
    late = "blocked after it was taken" if review.kind == "late" else ""
    note = " · ".join(filter(None, [done or loss, late, review.why(), age]))
    return Choice(review.id, review.money(), note, holder(person, review))


def holder(person: Person, review: ShownReview) -> str:
    """Who has taken it, as a tag of a line."""
    if review.assigned_to is None:
        return ""
    return "yours" if review.assigned_to == person.id else f"with {staff.named(review.assigned_to)}"


def _leave(person: Person, reviews: list[ShownReview], chosen: str) -> None:
    if any(one.id == chosen and one.assigned_to == person.id for one in reviews):
        give_back(chosen)


def give_back(review_id: str) -> None:
    """Leave a case to anybody; where that is refused, the page says why once it is drawn anew."""
    with suppress(NotDone):
        acting.ask_before(lambda: door.api().delete(assignment(review_id)))


def assignment(review_id: str) -> str:
    """The path of who has taken a case."""
    return chooser.at("/v1/reviews", review_id, "/assignment")


def open_case(review_id: str) -> None:
    """Show a case from now on, which is taken by that where it is free."""
    st.query_params["review"] = review_id
    st.session_state[OPENED] = review_id


def may_decide(person: Person, review: ShownReview) -> bool:
    """Whether it is open, and no colleague's."""
    return review.decision is None and review.assigned_to in (None, person.id)


def _choose_many(can_be: list[ShownReview]) -> None:
    """Buttons that begin with one, or pick all that one may decide; and what decides those that are picked."""
    if not can_be:
        return
    picks = _picks()
    picked = [review for review in can_be if picks.has(review.id)]
    first = [review.id for review in can_be[:AT_ONCE]]
    with st.container(key="pick", horizontal=True, vertical_alignment="center", gap="small"):
        if st.button("Start with the first", type="primary", shortcut="Alt+N"):
            open_case(first[0])
            st.rerun()
        if picked:
            st.button("Pick none", on_click=_pick_only, args=([],))
        else:
            st.button(f"Pick all {len(first)}", on_click=_pick_only, args=(first,), shortcut="Alt+S")
    if picked:
        _decide_many(picked)


def _picks() -> Picks:
    picks: Picks = st.session_state.get(PICKED, Picks())
    return picks


def _pick_only(review_ids: list[str]) -> None:
    st.session_state[PICKED] = Picks(_picks().number + 1, frozenset(review_ids))


def _decide_many(picked: list[ShownReview]) -> None:
    count, key = min(len(picked), AT_ONCE), acting.fresh("reason-many")
    with st.container(key="decide-many", border=True, gap="small"):
        reason = st.text_input("One reason for all", max_chars=REASON_MAX, key=key, persist_state="page")
        with st.container(horizontal=True, gap="small"):
            for decision, label, kind, _ in BUTTONS:
                if st.button(f"{label} {count}", type=kind, key=f"many-{decision}"):
                    _send(picked, decision, reason.strip())


def _send(picked: list[ShownReview], decision: Decision, reason: str) -> None:
    if not reason:
        html("trouble.html", words="Say why in a few words: each decision is kept with its reason.")
        return
    some, others = picked[:AT_ONCE], picked[AT_ONCE:]
    body = {"ids": [review.id for review in some], "decision": decision, "reason": reason}
    sent = _sent(body)
    try:
        path = "/v1/reviews/decisions"
        ended = acting.ask(lambda: door.api().post(path, body, EachEnd, key=sent.key)).data
    except NotDone:
        return
    st.session_state[SENT] = msgspec.structs.replace(sent, answered_at=time.monotonic())
    _pick_only([review.id for review in others])
    amounts = {review.id: review.money() for review in some}
    st.session_state[ENDED] = [[one.id, amounts[one.id], one.cell(decision)] for one in ended]
    done = sum(one.status < 300 for one in ended)
    acting.say(f"{DONE[decision]} {done} of {len(some)}.", good=done == len(some))
    st.rerun()


def _sent(body: dict[str, Any]) -> SentDecisions:
    """The decisions as they are sent. The second click of a double one cuts the first off, and repeats it.

    Under the same key it gets the same answer, instead of hearing that all was decided before. Whoever tries again
    later means it.
    """
    last: SentDecisions | None = st.session_state.get(SENT)
    if last is None or last.body != body or time.monotonic() - last.answered_at > ONE_CLICK_S:
        last = SentDecisions(body, new_id("key"))
        st.session_state[SENT] = last
    return last


def show_ended() -> None:
    """How each of the last many decisions ended, until that is put away."""
    lines = st.session_state.get(ENDED)
    if not lines:
        return
    with card("ended-decisions", "What became of them", f"{len(lines)} cases", fills=False):
        is_done = all(end.tone != "failed" for *_, end in lines)
        with st.expander("Each case", expanded=not is_done):  # else fifty lines push the queue away
            tables.table(COLUMNS, lines, "What became of each case")
        if st.button("Put away", type="tertiary"):
            del st.session_state[ENDED]
            st.rerun()
