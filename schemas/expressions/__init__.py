"""The language of conditions, for fraud rules and routing: text is parsed to a tree, checked and compiled."""

from schemas.expressions.check import check
from schemas.expressions.compiler import Compiled, compiled, compiled_together
from schemas.expressions.findings import Finding
from schemas.expressions.lexemes import ExpressionError
from schemas.expressions.parser import DEPTH_MAX, LENGTH_MAX, parse
from schemas.expressions.sql import sql_of
from schemas.expressions.tree import Expression, names_of, text_of

__all__ = [
    "DEPTH_MAX",
    "LENGTH_MAX",
    "Compiled",
    "Expression",
    "ExpressionError",
    "Finding",
    "check",
    "compiled",
    "compiled_together",
    "names_of",
    "parse",
    "sql_of",
    "text_of",
]
