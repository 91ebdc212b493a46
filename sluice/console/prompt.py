"""The prompt of `sluice sql`: statements over several lines, with history and completion; or lines of a pipe."""

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import click

from sluice.console.commands import Left, is_command, obey
from sluice.console.session import NOT_AWAITED, Session
from sluice.console.tokens import is_whole

FIRST, FURTHER = "sluice> ", "   ...> "


def converse(session: Session, history: Path) -> Literal[True]:
    """Answer what is typed, or comes by a pipe, until its end; an error ends nothing.

    Raises `KeyboardInterrupt` for a pipe; a person goes on.
    """
    is_person = sys.stdin.isatty()
    with suppress(Left):
        for text in _terminal(session, history) if is_person else _pipe():
            try:
                _take(session, text)
            except KeyboardInterrupt:
                if not is_person:
                    raise
                click.echo(NOT_AWAITED, err=True)
    return True


def _take(session: Session, text: str) -> None:
    if is_command(text):
        obey(session, text)
    else:
        session.answer(text)


def _pipe() -> Iterator[str]:
    """Each line that is a command, and each statement; the last one may lack its semicolon."""
    lines = list[str]()
    for line in sys.stdin:
        lines.append(line)
        text = "".join(lines)
        if is_whole(text) or (len(lines) == 1 and is_command(line)):
            yield text
            lines.clear()
    if "".join(lines).strip():
        yield "".join(lines)


def _terminal(session: Session, history: Path) -> Iterator[str]:
    ask = _editor(session, history)
    while True:
        try:
            text = ask()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text.strip():
            yield text


def _editor(session: Session, history: Path) -> Callable[[], str]:
    """What asks a person once. prompt-toolkit is imported for a person alone: it takes a third of a second."""
    from prompt_toolkit import PromptSession

    from sluice.console.completion import SqlCompleter
    from sluice.console.history import open_history
    from sluice.console.keys import enter_ends_a_statement

    return PromptSession[str](
        FIRST,
        multiline=True,
        prompt_continuation=FURTHER,
        history=open_history(history.expanduser()),
        completer=SqlCompleter(session.catalog()),
        complete_while_typing=False,
        key_bindings=enter_ends_a_statement(),
    ).prompt
