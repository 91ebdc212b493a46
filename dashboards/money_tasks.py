"""Tasks: money that no machine could end. One of them beside the list, and what a person found out about it."""

from datetime import datetime
from typing import Literal, get_args

import msgspec
import streamlit as st

from connectors.gateway import GatewayRefused, GatewayUnavailable
from dashboards import acting, chooser, door, formats
from dashboards.acting import REASON_MAX, NotDone
from dashboards.chooser import Choice
from dashboards.page import card, html
from dashboards.page_entry import link
from dashboards.payment_reading import ListedPayment
from dashboards.session_checks import Person
from dashboards.wording import words
from schemas.times import now

TaskKind = Literal["void_refused", "reversal_refused", "refund_refused", "mismatch"]
Resolution = Literal["released", "lapsed", "retry"]
Status = Literal["open", "resolved"]
RESOLUTIONS: tuple[Resolution, ...] = get_args(Resolution)

KINDS: dict[TaskKind, str] = {
    "void_refused": "Release refused",
    "reversal_refused": "Taking back refused",
    "refund_refused": "Refund refused",
    "mismatch": "Another sum or id than asked",
}
ASK: dict[TaskKind, str] = {
    "void_refused": "Ask the processor whether the money of this payment is still held or captured there.",
    "reversal_refused": "Ask the processor whether the money of this payment is still held or captured there.",
    "refund_refused": "Ask the processor whether it has refunded what was captured, and whether it ever will.",
    "mismatch": "Ask the processor what it did: it tells of other money or ids than were asked.",
}
LABELS: dict[Resolution, str] = {"released": "Released", "lapsed": "Lapses", "retry": "Try again"}
MEANS: dict[Resolution, str] = {
    "released": "The processor's records show that nothing is held or captured any more. The books follow.",
    "lapsed": "The hold runs out by itself, and no record tells. The books follow.",
    "retry": "It is asked for again, as often as before.",
}
OF_REFUND: dict[Resolution, str] = {
    "released": "The processor has refunded the money. The books show a refund of what is left.",
    "lapsed": "The processor will not refund it. The money stays captured.",
    "retry": "Another refund is asked for, of all that is left.",
}
ENDED = {
    "settled": "Ended, by the processor's word,",
    "lapsed": "Lapsed",
    "retry": "Tried again",
    "released": "Released",
}


class ShownTask(msgspec.Struct, frozen=True):
    """A task as the gateway lists it; from `outcome` on null while it is open."""

    id: str
    kind: TaskKind
    payment: str
    operation: str
    tried: int
    opened_at: datetime
    outcome: str | None = None
    reason: str | None = None
    resolved_by: str | None = None
    resolved_at: datetime | None = None


def draw(person: Person) -> None:
    """Show the open tasks, and the one that the address names beside them."""
    chosen, queue, shown = chooser.beside("task", 1.6)
    status: Status = "open"
    with queue, card("tasks", "Tasks", "what no machine can end", fills=False):
        picked = st.segmented_control(
            "Which",
            list(get_args(Status)),
            default=status,
            required=True,
            format_func=str.title,
            label_visibility="collapsed",
            key="task-status",
        )
        status = picked or status
        try:
            tasks, has_more = acting.ask(
                lambda: chooser.found(door.api(), "/v1/tasks", ShownTask, "task", status=status)
            )
        except NotDone:
            return
        moment = now()
        chooser.choose("task", [_line(task, moment) for task in tasks], has_more, _nothing(status))
    with shown:
        if task := next((task for task in tasks if task.id == chosen), None):
            chooser.back("task", "Tasks")
            _task(person, task)
        elif tasks:
            html("nothing_chosen.html", what="task")


def _nothing(status: Status) -> str:
    return "No task is open: nothing waits for a person." if status == "open" else "No task was ever resolved."


def _line(task: ShownTask, moment: datetime) -> Choice:
    age = f"{formats.age((moment - task.opened_at).total_seconds())} old"
    return Choice(task.id, KINDS[task.kind], " · ".join([age, f"tried {task.tried} times", task.payment]))


def _task(person: Person, task: ShownTask) -> None:
    facts = [("Opened", formats.moment(task.opened_at)), ("Tried", f"{task.tried} times")]
    facts += [("Payment", task.payment), ("Operation", task.operation)]
    with card("task", KINDS[task.kind], task.id, fills=False):
        html("facts.html", facts=facts)
        link("Open the payment", "payments", payment=task.payment)
        if task.resolved_at is not None:
            done, at = ENDED.get(task.outcome or "", "Resolved"), formats.moment(task.resolved_at)
            html("decided.html", done=done, by=task.resolved_by, at=at, reason=task.reason)
        elif person.role == "admin":
            _resolve(task)
        else:
            html("nothing.html", words=f"{ASK[task.kind]} An administrator writes down the answer here.")


def _resolve(task: ShownTask) -> None:
    html("nothing.html", words=ASK[task.kind])
    means = OF_REFUND if task.kind == "refund_refused" else MEANS
    outcome = st.radio(
        "What did it say?",
        RESOLUTIONS,
        format_func=LABELS.__getitem__,
        captions=[means[each] for each in RESOLUTIONS],
        key=f"outcome-{task.id}",
    )
    reason = st.text_area(
        "Who said so, and where is it written?", max_chars=REASON_MAX, height=80, key=f"reason-{task.id}"
    ).strip()
    if acting.confirmed(f"resolve-{task.id}", "Resolve", f"{LABELS[outcome]}: {means[outcome]}"):
        if reason:
            _send(task, outcome, reason)
        else:
            html("trouble.html", words="Say why in a few words: the decision is kept with its reason.")


def _send(task: ShownTask, outcome: Resolution, reason: str) -> None:
    """Resolve it, and say where its payment stands then; what was refused stays on the page with its reason."""
    body = {"outcome": outcome, "reason": reason}
    try:
        acting.ask(lambda: door.api().post(chooser.at("/v1/tasks", task.id, "/resolve"), body))
    except NotDone:
        return
    acting.say(f"{LABELS[outcome]}: written down. {_stands(task, outcome)}")
    chooser.forget("task")
    st.rerun()


def _stands(task: ShownTask, outcome: Resolution) -> str:
    if outcome == "retry":
        return f"The processor is asked again; {task.payment} shows its answer once there is one."
    try:
        payment = door.api().get(chooser.at("/v1/payments", task.payment), ListedPayment)
    except (GatewayRefused, GatewayUnavailable):
        return f"Look at {task.payment} for where it stands."
    held_back = payment.amount_captured - payment.amount_refunded
    kept = formats.money(held_back, payment.currency)
    return f"The payment is {words(payment.state)} now, and {kept} of it stays captured."
