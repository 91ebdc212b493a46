"""Random expressions over a few names, what they are worth by plain recursion, and values of those names."""

from collections.abc import Callable
from math import nan

from hypothesis import strategies as st

from schemas.expressions.compiler import Values
from schemas.expressions.tree import (
    And,
    Arithmetic,
    Comparison,
    Expression,
    FunctionCall,
    Has,
    Item,
    Membership,
    Minus,
    Name,
    Not,
    Number,
    Or,
    Text,
    Value,
)
from schemas.features import Feature

CALLED: dict[str, Callable[[list[float]], float]] = {"min": min, "max": max, "abs": lambda one: abs(one[0])}
NUMBERS, TEXTS = ("count", "share", "gap"), ("country", "currency")
RANGES: dict[str, tuple[float | None, float | None]] = {"count": (0, 65), "share": (0, 1), "gap": (-1, None)}
NAMES = {
    name: Feature(name, "number", "", ("payment",), "", *RANGES[name], "A number.", "payment") for name in NUMBERS
} | {name: Feature(name, "text", "", ("payment",), "", None, None, "A text.", "payment") for name in TEXTS}

quarters = st.integers(0, 400).map(lambda number: number / 4)
words = st.sampled_from(["US", "us", "CA", "", 'a "quoted" \\ one', "ä€😀"])
relations = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])


def _numbers(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    pairs = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Minus, inner),
        st.builds(Arithmetic, st.sampled_from(["+", "-", "*", "/"]), inner, inner),
        st.builds(FunctionCall, st.sampled_from(["min", "max"]), pairs),
        st.builds(FunctionCall, st.just("abs"), st.tuples(inner)),
    )


number_names, text_names = (st.sampled_from(names).map(Name) for names in (NUMBERS, TEXTS))
plain: st.SearchStrategy[Value] = st.one_of(quarters.map(Number), number_names)
numbers = st.one_of(plain, st.recursive(plain, _numbers, max_leaves=4))
texts: st.SearchStrategy[Value] = st.one_of(
    words.map(Text), text_names, st.builds(FunctionCall, st.just("lower"), st.tuples(text_names))
)
number_lists = st.lists(st.one_of(quarters, quarters.map(lambda q: -q)), min_size=1, max_size=3).map(tuple)
text_lists = st.lists(words, min_size=1, max_size=3).map(tuple)
comparisons: st.SearchStrategy[Expression] = st.one_of(
    st.builds(Comparison, relations, number_names, quarters.map(Number)),
    st.builds(Comparison, relations, numbers, numbers),
    st.builds(Comparison, st.sampled_from(["==", "!="]), texts, texts),
    st.builds(Membership, numbers, number_lists, st.booleans()),
    st.builds(Membership, texts, text_lists, st.booleans()),
    st.sampled_from([*NUMBERS, *TEXTS]).map(Has),
)


def _joined(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.one_of(
        st.builds(Not, inner),
        st.builds(_flat, st.sampled_from([And, Or]), st.lists(inner, min_size=2, max_size=4)),
    )


def _flat(join: type[And] | type[Or], parts: list[Expression]) -> And | Or:
    return join(tuple(inner for part in parts for inner in (part.parts if isinstance(part, join) else (part,))))


expressions = st.recursive(comparisons, _joined, max_leaves=8)
complete_values: st.SearchStrategy[Values] = st.fixed_dictionaries(
    {
        "count": st.integers(0, 65).map(float),
        "share": st.integers(0, 4).map(lambda number: number / 4),
        "gap": st.one_of(st.just(-1.0), quarters),
        "country": words,
        "currency": words,
    }
)
partial_values: st.SearchStrategy[Values] = st.tuples(complete_values, st.sets(st.sampled_from(list(NAMES)))).map(
    lambda pair: {name: value for name, value in pair[0].items() if name not in pair[1]}
)


def holds(expression: Expression, values: Values) -> bool:
    """Whether an expression holds, told by plain recursion."""
    match expression:
        case Comparison(relation, left, right):
            one, other = worth(left, values), worth(right, values)
            return one is not None and other is not None and _related(one, relation, other)
        case Membership(value, items, negated):
            one = worth(value, values)
            return one is not None and (one in items) != negated
        case Has(name):
            return name in values
        case Not(condition):
            return not holds(condition, values)
        case And(parts):
            return all(holds(part, values) for part in parts)
        case Or(parts):
            return any(holds(part, values) for part in parts)


def worth(value: Value, values: Values) -> Item | None:
    """What a value is; None where it is missing, or no number."""
    match value:
        case Number(constant) | Text(constant):
            return constant
        case Name(name):
            return values.get(name)
        case Minus(operand):
            found = _all_of((operand,), values)
            return None if found is None else -found[0]
        case Arithmetic(sign, left, right):
            found = _all_of((left, right), values)
            return None if found is None else _number(_computed(sign, *found))
        case FunctionCall("lower", (argument,)):
            text = worth(argument, values)
            return None if text is None else str(text).lower()
        case FunctionCall(function, arguments):
            found = _all_of(arguments, values)
            return None if found is None else CALLED[function](found)


def _all_of(parts: tuple[Value, ...], values: Values) -> list[float] | None:
    found = [worth(part, values) for part in parts]
    return None if None in found else [float(each) for each in found if each is not None]


def _computed(sign: str, one: float, other: float) -> float:
    match sign:
        case "+":
            return one + other
        case "-":
            return one - other
        case "*":
            return one * other
        case _:
            return one / other if other else nan


def _number(found: float) -> float | None:
    return None if found != found else found


def _related(one: Item, relation: str, other: Item) -> bool:
    if relation in ("==", "!="):
        return (one == other) == (relation == "==")
    assert isinstance(one, float)
    assert isinstance(other, float)
    return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[relation]
