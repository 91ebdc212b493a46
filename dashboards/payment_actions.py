"""Where a person moves money of a payment: chosen, looked at a second time, sent once, and followed to its end.

A confirmation has one idempotency key, made when it is shown: a double click, a page drawn anew or a lost answer
sends the same request, which the gateway answers without moving money again.
"""

import msgspec
import streamlit as st

from connectors.gateway import GatewayRefused, GatewayUnavailable
from dashboards import acting, chooser, door, money_moves, trouble
from dashboards.acting import REASON_MAX
from dashboards.money_moves import LABELS, PATHS, MoneyMove, MoveKind, NoSuchAmount
from dashboards.page import card, html
from dashboards.payment_reading import ProcessorCall, WholePayment, read_whole
from dashboards.session_checks import Person

MOVES, FOLLOWED = "moves", "followed-moves"  # of this session, by the payment's id
# The answer may come yet: the same request is kept, to be sent under the same key.
KEPT_CODES = frozenset({"operation_in_progress", "request_in_progress", "rate_limited", "unavailable", "internal"})
PENDING = "has not answered yet. This page looks until it has."
NOT_KNOWN = "Nobody knows yet whether it was done: no answer came. Ask again; no money moves twice by that."


class MovedObject(msgspec.Struct, frozen=True):
    """What the gateway answers to a move: the refund, or the payment."""

    id: str = ""


class FollowedMove(msgspec.Struct, frozen=True):
    """A move that a processor works on: the open `call`, for who is told of it, and the refund that it makes."""

    move: MoneyMove
    call: ProcessorCall | None
    refund_id: str

    def ending(self, whole: WholePayment) -> tuple[str, bool] | None:
        """How it ended, and whether well; None while it has no end."""
        if self.call is None:
            return money_moves.seen_ending(self.move, whole, self.refund_id)
        return money_moves.ending(self.move, whole, self.call)


def follow(whole: WholePayment) -> None:
    """Say how the move of this payment ended that was pending when a page was drawn last."""
    all_followed: dict[str, FollowedMove] = st.session_state.get(FOLLOWED, {})
    followed = all_followed.get(whole.payment.id)
    if followed and (ended := followed.ending(whole)):
        del all_followed[whole.payment.id]
        acting.say(*ended)


def draw(person: Person, whole: WholePayment) -> None:
    """Show what may be done; nothing to whoever moves no money."""
    if not person.moves_money_of(whole.payment.merchant):
        return
    move = _move_of(whole)
    if move:
        _second_look(person, move, whole)
        return
    with st.container(key="moves", horizontal=True, gap="small"):
        for kind in money_moves.possible(whole):
            if kind != "void":
                with st.popover(f"{LABELS[kind]}…", width="content"):
                    _choose(kind, whole)
            elif st.button(f"{LABELS[kind]}…"):
                _propose(MoneyMove(whole.payment.id, kind, money_moves.movable(whole.payment, kind)), whole)


def _move_of(whole: WholePayment) -> MoneyMove | None:
    """What is about to be confirmed here; nothing where there is less left than that by now."""
    move = _moves().get(whole.payment.id)
    if move is None:
        return None
    return move if move.asked or move.amount <= money_moves.movable(whole.payment, move.kind) else None


def _choose(kind: MoveKind, whole: WholePayment) -> None:
    """What to capture or to refund; it goes on to the second look."""
    payment, final, reason = whole.payment, True, ""
    most = money_moves.movable(payment, kind)
    all_of_it = money_moves.written(most, payment.currency)
    with st.form(acting.fresh(f"{kind}-{payment.id}"), border=False):
        label = f"Amount in {payment.currency}, {all_of_it} at most"
        typed = st.text_input(label, all_of_it, key=acting.fresh(f"amount-{kind}-{payment.id}"))
        if kind == "capture":
            final = st.checkbox("Let the rest go", True, key=acting.fresh(f"final-{payment.id}"))
        else:
            label = "Reason, which the payer does not see"
            reason = st.text_input(label, max_chars=REASON_MAX, key=acting.fresh(f"why-{payment.id}"))
        if not st.form_submit_button("Look at it once more"):
            return
        try:
            amount = money_moves.minor_units(typed, payment, most)
        except NoSuchAmount as error:
            html("trouble.html", words=str(error))
            return
    _propose(MoneyMove(payment.id, kind, amount, final, reason.strip()), whole)


def _moves() -> dict[str, MoneyMove]:
    moves: dict[str, MoneyMove] = st.session_state.setdefault(MOVES, {})
    return moves


def _propose(move: MoneyMove, whole: WholePayment) -> None:
    """Take it to the second look. Of other payments only what was sent and has no answer is kept."""
    kept = {payment_id: other for payment_id, other in _moves().items() if other.asked}
    proposed = msgspec.structs.replace(move, before=whole.payment)
    st.session_state[MOVES] = kept | {move.payment_id: proposed}
    st.rerun()


def _second_look(person: Person, move: MoneyMove, whole: WholePayment) -> None:
    payment = whole.payment
    label = f"{LABELS[move.kind]} {payment.money(move.amount)}"
    with card("second-look", "Before money moves", payment.id, fills=False):
        lines = [NOT_KNOWN] if move.asked else money_moves.means(move, payment)
        html("second_look.html", label=label, lines=lines, reason=move.reason)
        with st.container(horizontal=True, gap="small"):
            sent = st.button("Ask again" if move.asked else label, type="primary", key=f"confirm-{move.key}")
            if st.button("Do nothing" if not move.asked else "Leave it", key=f"leave-{move.key}"):
                _drop(move)
                st.rerun()
        if sent:
            _send(person, move, whole)


def _send(person: Person, move: MoneyMove, whole: WholePayment) -> None:
    """Ask the gateway, once or again, and say how it ended."""
    path = chooser.at("/v1/payments", move.payment_id, PATHS[move.kind])
    try:
        with st.spinner("The processor is asked…"):
            answer = door.api().post(path, move.body(), MovedObject, key=move.key)
            after = read_whole(door.api(), move.payment_id, person)
    except GatewayRefused as refusal:
        _say_refused(refusal, move, whole)
    except GatewayUnavailable:
        _keep(move)
        acting.say(NOT_KNOWN, good=False)
    else:
        _say_done(FollowedMove(move, after.open_call(), answer.id), after)
    st.rerun()


def _say_done(followed: FollowedMove, after: WholePayment) -> None:
    _drop(followed.move)
    is_over = after.knows_calls and followed.call is None
    ended = (money_moves.done(followed.move, after.payment), True) if is_over else followed.ending(after)
    if ended:
        acting.say(*ended)
    else:
        st.session_state.setdefault(FOLLOWED, {})[after.payment.id] = followed
        acting.say(f"Pending: {after.payment.by()} {PENDING}")


def _say_refused(refusal: GatewayRefused, move: MoneyMove, whole: WholePayment) -> None:
    match refusal.code:
        case "unauthenticated":
            door.still_known()  # the page asks to log in; what was to be confirmed is there afterwards
        case "processor_declined":
            _drop(move)
            acting.say(money_moves.refused(move, whole.payment, refusal.decline_code), good=False)
        case code if code in KEPT_CODES:
            _keep(move, asked=move.asked or code in ("request_in_progress", "internal"))
            acting.say(trouble.words(refusal), good=False)
        case _:
            _drop(move)
            acting.say(f"Not done. {trouble.words(refusal)}", good=False)


def _keep(move: MoneyMove, asked: bool = True) -> None:
    _moves()[move.payment_id] = msgspec.structs.replace(move, asked=asked)


def _drop(move: MoneyMove) -> None:
    _moves().pop(move.payment_id, None)
