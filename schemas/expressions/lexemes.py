"""The pieces of an expression's text, found by one pattern; and the fault that says what is wrong, and where."""

import re
from typing import Literal, NamedTuple, TypeAlias

FaultCode: TypeAlias = Literal[
    "empty",
    "too_long",
    "too_deep",
    "bad_character",
    "bad_number",
    "bad_text",
    "unexpected",
    "not_a_condition",
    "not_a_value",
    "chained_comparison",
    "unknown_function",
    "wrong_arguments",
    "bad_list",
]

HINTS = {  # what people type who know another language
    "=": "two values are compared by ==",
    "&&": "conditions are joined by and",
    "||": "conditions are joined by or",
    "!": "a condition is turned by not",
    ".": "there are no attributes, and a number begins with a digit",
    "%": "there is no remainder",
}

TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
        (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?P<rest>[A-Za-z0-9_.]*))
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<quote>["'])
      | (?P<sign><=|>=|==|!=|[-+*/<>()\[\],])
      | (?P<end>\Z)
      | (?P<bad>&&|\|\||.)
    )""",
    re.VERBOSE | re.DOTALL,
)
TEXTS = {quote: re.compile(rf"(?:[^\\{quote}]|\\[\\\"'])*{quote}", re.DOTALL) for quote in "\"'"}
ESCAPE = re.compile(r"\\(.)")


class ExpressionError(Exception):
    """A text that is no expression. `position`: where the fault is, in characters from 0; `code` never changes."""

    def __init__(self, code: FaultCode, message: str, position: int) -> None:
        super().__init__(message)
        self.code, self.message, self.position = code, message, position


class Lexeme(NamedTuple):
    """A piece of the text; `text` is a sign or word as it stands, or what is between the quotes."""

    kind: Literal["number", "word", "text", "sign", "end"]
    text: str
    at: int


def lexemes(text: str) -> list[Lexeme]:
    """All pieces of a text, the last of them its end. Raises `ExpressionError`."""
    found: list[Lexeme] = []
    at = 0
    while not found or found[-1].kind != "end":
        match = TOKEN.match(text, at)
        assert match is not None  # `bad` takes any character
        lexeme, at = _lexeme(text, match)
        found.append(lexeme)
    return found


def _lexeme(text: str, match: re.Match[str]) -> tuple[Lexeme, int]:
    """The piece that a match begins, and where the next one begins."""
    kind = match.lastgroup
    assert kind is not None
    at = match.start("number" if kind == "rest" else kind)
    match kind:
        case "rest" | "number":
            if match["rest"]:
                raise ExpressionError("bad_number", "a number is digits, such as 3, 0.25 or 1e6", at)
            return Lexeme("number", match["number"], at), match.end()
        case "word" | "sign" | "end":
            return Lexeme(kind, match[kind], at), match.end()
        case "quote":
            return _quoted(text, match["quote"], at)
        case _:
            raise ExpressionError(
                "bad_character", HINTS.get(match["bad"], "this character means nothing here"), at
            )


def _quoted(text: str, quote: str, at: int) -> tuple[Lexeme, int]:
    match = TEXTS[quote].match(text, at + 1)
    if match is None:
        raise ExpressionError("bad_text", r"a text ends with its quote; of escapes there are \\, \" and \'", at)
    inner = ESCAPE.sub(r"\1", match[0][:-1])
    if not inner.isprintable():
        raise ExpressionError("bad_text", "a text holds no control characters", at)
    return Lexeme("text", inner, at), match.end()
