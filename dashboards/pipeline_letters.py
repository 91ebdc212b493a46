"""Dead letters one by one: what is known of each, and sending its record again, for admins.

What stood in a record is shown nowhere: nobody could read it, so nobody knows what secret is in it.
"""

from datetime import datetime
from typing import assert_never

import msgspec
import streamlit as st

from connectors.dead_letters import ReplayOutcome
from dashboards import acting, chooser, door, formats
from dashboards.acting import NotDone
from dashboards.chooser import Choice, Found
from dashboards.look import Look
from dashboards.page import card, html

PATH = "/v1/dead-letters"
MEANS = (
    "The record is sent to its topic again, as it was, if today's schemas can read it. Whoever took it already "
    "drops it."
)


class ShownLetter(msgspec.Struct, frozen=True):
    """A dead letter as the gateway lists it. `topic`, `partition`, `offset`: where the record stands."""

    id: str
    topic: str
    partition: int
    offset: int
    reason: str
    recorded_at: datetime
    event: str = ""
    source: str = ""


class LetterReplay(msgspec.Struct, frozen=True):
    """What became of a replay; `reason`: why the record is still unreadable."""

    outcome: ReplayOutcome
    reason: str = ""


class ReplayEntry(msgspec.Struct, frozen=True):
    """An earlier replay, as the audit has it."""

    at: datetime
    actor: str = ""
    detail: dict[str, str] = {}


def draw(look: Look) -> None:
    """Show the letters, and the one that the address names beside them."""
    chosen, listed, shown = chooser.beside("letter", 1.2)
    with listed, card("letters", "One by one", "newest first, of 30 days", fills=False):
        try:
            letters, has_more = acting.ask(lambda: chooser.found(door.api(), PATH, ShownLetter, "letter"))
        except NotDone:
            return
        lines = [_line(letter, look) for letter in letters]
        chooser.choose("letter", lines, has_more, "There is no dead letter: every record could be read.")
    with shown:
        one = next((letter for letter in letters if letter.id == chosen), None)
        if one is not None:
            chooser.back("letter", "Dead letters")
            _one(one, look)
        elif chosen:
            html("trouble.html", words="That letter is not in the list: it may be older, or gone.")
        elif letters:
            html("nothing_chosen.html", what="letter")


def _line(letter: ShownLetter, look: Look) -> Choice:
    place = f"{letter.topic} {letter.partition}/{letter.offset}"
    note = " · ".join(filter(None, [letter.reason, letter.source, _moment(letter.recorded_at, look)]))
    return Choice(letter.id, place, note)


def _one(letter: ShownLetter, look: Look) -> None:
    with card("letter", "Dead letter", letter.id, fills=False):
        html("facts.html", facts=_facts(letter, look))
        html("nothing.html", words="What stands in the record is not shown: nobody could read it.")
        if acting.confirmed(f"replay-{letter.id}", "Send again", MEANS):
            _replay(letter)
        _earlier(letter, look)


def _facts(letter: ShownLetter, look: Look) -> list[tuple[str, str]]:
    return [
        ("Why", letter.reason),
        ("Topic", letter.topic),
        ("Partition", str(letter.partition)),
        ("Offset", str(letter.offset)),
        ("Set aside", _moment(letter.recorded_at, look)),
        ("By", letter.source or formats.NONE),
        ("Event", letter.event or "the letter itself cannot be read"),
    ]


def _replay(letter: ShownLetter) -> None:
    try:
        done = acting.ask(lambda: door.api().post(chooser.at(PATH, letter.id, "/replay"), None, LetterReplay))
    except NotDone:
        return
    words, is_good = ended(done)
    acting.say(f"{letter.topic} {letter.partition}/{letter.offset}: {words}", is_good)
    st.rerun()


def ended(done: LetterReplay) -> tuple[str, bool]:
    """How a replay ended, in words, and whether the record was sent."""
    match done.outcome:
        case "sent":
            return "it was sent to its topic again.", True
        case "unreadable":
            return f"it still cannot be read ({done.reason}). Nothing was sent.", False
        case "superseded":
            return "its topic has a later word on the same key. Nothing was sent.", False
        case "gone":
            return "the record is not there any more. Nothing was sent.", False
        case "not_ours":
            return f"its topic is another service's: {done.reason}. Nothing was sent.", False
        case _:
            assert_never(done.outcome)


def _earlier(letter: ShownLetter, look: Look) -> None:
    """What came of it before, as the audit tells; nothing where nobody tried."""
    query = {"kind": "dead_letter_replayed", "subject": letter.id, "limit": "20"}
    try:
        entries = acting.ask(lambda: door.api().get("/v1/audit", Found[ReplayEntry], **query)).data
    except NotDone:
        return
    facts = [(_moment(one.at, look), f"{one.detail.get('outcome', '')}, by {one.actor}") for one in entries]
    if facts:
        html("title.html", title="Sent before", note="")
        html("facts.html", facts=facts)


def _moment(at: datetime, look: Look) -> str:
    return f"{look.local(at):%Y-%m-%d %H:%M:%S}"
