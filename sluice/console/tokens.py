"""A text of SQL as DuckDB's own lexer cuts it: statements of a script, and parameters that become literals.

Statements travel to the warehouse as texts, so nothing can be bound there. A value is put in as one quoted
literal, and what comes out is cut again: it must be the same tokens, with one text for each parameter.
"""

import re
from collections.abc import Mapping
from itertools import pairwise

import duckdb
import msgspec

from connectors.warehouse import quoted

NAME = re.compile(rb"[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*")

Kind = duckdb.token_type


class BadParameter(ValueError):
    """A statement and the values given for its parameters do not go together; the message says how in one line."""


class Token(msgspec.Struct, frozen=True):
    """A token with the blanks and comments behind it (UTF-8)."""

    kind: Kind
    text: bytes


class ScriptStatement(msgspec.Struct, frozen=True):
    """One statement of a script, and the line (from 1) on which it begins."""

    text: str
    line: int


END = Token(Kind.operator, b"")


def is_whole(sql: str) -> bool:
    """Whether a text ends with the semicolon of a statement, not with one inside of a text or a comment."""
    try:
        found = _tokens(sql)
    except UnicodeEncodeError:
        return True  # it is sent, and refused with a reason
    return bool(found) and _is_semicolon(found[-1])


def statements_of(script: str) -> list[ScriptStatement]:
    """The statements of a script, but those of blanks and comments alone. Raises `UnicodeEncodeError`."""
    text, tokens = script.encode(), _tokens(script)
    found = list[ScriptStatement]()
    begin = at = len(text) - sum(len(token.text) for token in tokens)
    for token in [*tokens, Token(Kind.operator, b";")]:
        if _is_semicolon(token):
            if at > begin:
                found.append(ScriptStatement(text[begin:at].decode().strip(), text[:begin].count(b"\n") + 1))
            begin = at + len(token.text)
        at += len(token.text)
    return found


def filled(statement: str, given: Mapping[str, str]) -> str:
    """The statement with a text for each `$name`, which DuckDB reads as a number or a time where it needs one.

    Raises `BadParameter` where a value is missing, or where it would not be one text of the statement.
    """
    try:
        before = _tokens(statement)
        wanted = _with_values(before, given)
        text = statement.encode()
        head = text[: len(text) - sum(len(token.text) for token in before)]
        whole = (head + b"".join(token.text for token in wanted)).decode()
        if _tokens(whole) != wanted:
            raise BadParameter("a parameter stands where no text can stand")
    except UnicodeEncodeError:
        raise BadParameter("the statement or a value is not UTF-8") from None
    return whole


def _tokens(sql: str) -> list[Token]:
    text = sql.encode()
    found = duckdb.tokenize(sql)  # with offsets in bytes
    edges = [begin for begin, _ in found] + [len(text)]
    return [Token(kind, text[begin:end]) for (_, kind), (begin, end) in zip(found, pairwise(edges), strict=True)]


def _with_values(tokens: list[Token], given: Mapping[str, str]) -> list[Token]:
    wanted = list[Token]()
    in_place = False
    for token, behind in pairwise([*tokens, END]):
        name = NAME.match(behind.text) if token == Token(Kind.operator, b"$") else None
        if not in_place:
            wanted.append(_value(name[0].decode(), behind, given) if name else token)
        in_place = not in_place and name is not None
    return wanted


def _value(name: str, token: Token, given: Mapping[str, str]) -> Token:
    if name not in given:
        raise BadParameter(f"no value for ${name}: give it with -p {name}=…")
    gap = token.text[len(name.encode()) :]
    return Token(Kind.string_const, quoted(given[name]).encode() + gap)


def _is_semicolon(token: Token) -> bool:
    return token.kind == Kind.operator and token.text.startswith(b";")
