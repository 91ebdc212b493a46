"""What a person does at the gateway: it is tried, and what came of it stands above the page as drawn anew."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import streamlit as st

from connectors.gateway import GatewayRefused, GatewayUnavailable
from dashboards import door, trouble
from dashboards.page import html

T = TypeVar("T")
REASON_MAX = 500  # characters, as the gateway takes them


class Said(msgspec.Struct, frozen=True):
    """One line above the page, of what was done or refused."""

    words: str
    good: bool


class NotDone(Exception):
    """It was refused, or is not known to be done; that stands on the page already."""


def ask(work: Callable[[], T]) -> T:
    """What the gateway answers. Raises `NotDone` once the page says why there is no answer."""
    try:
        return work()
    except (GatewayRefused, GatewayUnavailable) as error:
        if _is_of_session(error) and not door.still_known():
            st.rerun()
        html("trouble.html", words=trouble.words(error))
        raise NotDone from None


def ask_before(work: Callable[[], T]) -> T:
    """The same in what runs before the page is drawn, which then says why there is no answer."""
    try:
        return work()
    except (GatewayRefused, GatewayUnavailable) as error:
        if _is_of_session(error):
            door.still_known()
        say(trouble.words(error), good=False)
        raise NotDone from None


def _is_of_session(error: Exception) -> bool:
    return isinstance(error, GatewayRefused) and error.code == "unauthenticated"


def act(work: Callable[[], Any], done: str) -> None:
    """Do it, say that it is `done`, and draw the page anew; where it is refused, the page says why and stays."""
    try:
        ask(work)
    except NotDone:
        return
    say(done)
    st.rerun()


def say(words: str, good: bool = True) -> None:
    """Say this when the page is drawn the next time."""
    st.session_state["said"] = Said(words, good)
    if good:
        st.session_state["done-acts"] = st.session_state.get("done-acts", 0) + 1


def fresh(key: str) -> str:
    """The key of a field that is empty again once something was done: nobody makes the same thing twice by it."""
    return f"{key}-{st.session_state.get('done-acts', 0)}"


def show_said() -> None:
    """What was said last; once."""
    said: Said | None = st.session_state.pop("said", None)
    if said:
        html("said.html", said=said)


def confirmed(name: str, label: str, means: str) -> bool:
    """A button that asks once more, and says what it means; whether that was confirmed."""
    with st.popover(label):
        html("nothing.html", words=means)
        return st.button(f"{label} now", type="primary", key=name)
