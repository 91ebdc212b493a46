"""What the prompt does by itself: `.views`, `.columns VIEW`, `.set NAME=VALUE`, `.mode SHAPE`, and so on."""

from collections.abc import Callable
from typing import get_args

import click
import msgspec

from connectors.warehouse import Table
from sluice.console.session import Session
from sluice.console.shapes import Shape, as_lines, as_table

ALIASES = {
    r"\d": ".columns",
    r"\dt": ".views",
    r"\dv": ".views",
    r"\?": ".help",
    r"\q": ".quit",
    "help": ".help",
    "exit": ".quit",
    "quit": ".quit",
}


class PromptCommand(msgspec.Struct, frozen=True):
    """`usage` and `meaning` stand in the help. `act` is given what stands behind the name."""

    usage: str
    meaning: str
    act: Callable[[Session, str], None]


class Left(Exception):
    """The prompt is left."""


def is_command(line: str) -> bool:
    """Whether a line is for the prompt, and not for the warehouse."""
    word = line.strip().removesuffix(";").partition(" ")[0]
    return word.startswith((".", "\\")) or word in ALIASES


def obey(session: Session, line: str) -> None:
    """Do what a line says. Raises `Left` where it ends the prompt."""
    word, _, argument = line.strip().removesuffix(";").partition(" ")
    name = ALIASES.get(word, word)
    if name == ".columns" and not argument.strip():
        name = ".views"
    if name in COMMANDS:
        COMMANDS[name].act(session, argument.strip())
    else:
        click.echo(f"Error: there is no {word} here; .help lists what there is", err=True)


def _views(session: Session, _: str) -> None:
    rows = [(name, len(columns)) for name, columns in session.catalog().items()]
    click.echo(as_table(Table(["view", "columns"], rows)))


def _columns(session: Session, view: str) -> None:
    columns = session.catalog().get(view.lower())
    if columns is None:
        click.echo(f"Error: there is no view {view} here; .views lists what there is", err=True)
        return
    longest = max(len(column.name) for column in columns)
    for column in columns:
        click.echo(f"{column.name.ljust(longest)}  {column.type.ljust(12)}  {column.meaning}".rstrip())


def _set(session: Session, given: str) -> None:
    if not given:
        click.echo(as_lines(Table(list(session.given), [tuple(session.given.values())])))
        return
    name, equals, value = given.partition("=")
    if not equals or not name.strip().isidentifier():
        click.echo("Error: .set NAME=VALUE gives $NAME a value", err=True)
        return
    session.given[name.strip()] = value.strip()


def _mode(session: Session, shape: str) -> None:
    if shape not in get_args(Shape):
        click.echo(f"Error: .mode takes one of {', '.join(get_args(Shape))}", err=True)
        return
    session.shape = shape  # type: ignore[assignment]


def _help(_: Session, __: str) -> None:
    longest = max(len(command.usage) for command in COMMANDS.values())
    for command in COMMANDS.values():
        click.echo(f"{command.usage.ljust(longest)}  {command.meaning}")
    click.echo("A statement ends with a semicolon, and Tab completes. Ctrl-C stops waiting, Ctrl-D leaves.")


def _quit(_: Session, __: str) -> None:
    raise Left


COMMANDS = {
    ".views": PromptCommand(".views", r"the views that you may ask (also \d)", _views),
    ".columns": PromptCommand(".columns VIEW", r"its columns and what they mean (also \d VIEW)", _columns),
    ".set": PromptCommand(".set NAME=VALUE", "the value of $NAME in what is asked from now on", _set),
    ".mode": PromptCommand(".mode SHAPE", f"show answers as {', '.join(get_args(Shape))}", _mode),
    ".help": PromptCommand(".help", "this list", _help),
    ".quit": PromptCommand(".quit", "leave (also Ctrl-D)", _quit),
}
