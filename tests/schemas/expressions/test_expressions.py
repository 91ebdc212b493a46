"""Parsing and compiling: a text and its tree say the same, and so do the compiled function and plain recursion."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.expressions import ExpressionError, compiled, compiled_together, names_of, parse, text_of
from schemas.expressions.tree import Comparison, Expression, Name, Number
from tests.schemas.expressions.trees import expressions, holds, partial_values

FAULTS = [  # text, code, position
    ("", "empty", 0),
    ("  \n", "empty", 0),
    ("amount", "not_a_condition", 0),
    ("1", "not_a_condition", 0),
    ("amount > 1 and count", "not_a_condition", 15),
    ("not amount", "not_a_condition", 4),
    ("(amount > 1) + 2 > 3", "chained_comparison", 1),
    ("not (a > 1) == (b > 1)", "chained_comparison", 5),
    ("1 < amount < 3", "chained_comparison", 0),
    ("(a > 1 and b > 1) > 2", "not_a_value", 1),
    ("min(a > 1, 2) > 1", "chained_comparison", 4),
    ("min(has(a), 2) > 1", "not_a_value", 4),
    ("amount >", "unexpected", 8),
    ("amount > 1 amount", "unexpected", 11),
    ("amount > 1 AND b > 2", "unexpected", 11),
    ("(amount > 1", "unexpected", 11),
    ("amount > 1)", "unexpected", 10),
    ("amount not 3", "unexpected", 11),
    ("> 3", "unexpected", 0),
    ("amount = 1", "bad_character", 7),
    ("a > 1 && b > 1", "bad_character", 6),
    ("a ** 2 > 1", "unexpected", 3),
    ("a.__class__ == 1", "bad_character", 1),
    ("аmount > 1", "bad_character", 0),  # a Cyrillic letter
    ("a\u00a0> 1", "bad_character", 1),
    ("a > ١", "bad_character", 4),
    ("a > 1\0", "bad_character", 5),
    ("a > 1e999", "bad_number", 4),
    ("a > 1e16", "bad_number", 4),
    ("a > " + "9" * 1900, "bad_number", 4),
    ("a > 1_000", "bad_number", 4),
    ("a > 0x10", "bad_number", 4),
    ("a > 1.", "bad_number", 4),
    ("a > 1.2.3", "bad_number", 4),
    ("a == 'x", "bad_text", 5),
    (r"a == '\n'", "bad_text", 5),
    (r"a == '\u0041'", "bad_text", 5),
    ("a == 'x\n'", "bad_text", 5),
    ("a == '\ud800'", "bad_text", 5),
    ("a in 3", "bad_list", 5),
    ("a in []", "bad_list", 5),
    ("a in [b]", "bad_list", 6),
    ("a in ['x', -'y']", "bad_list", 12),
    ("a in [1,,2]", "bad_list", 8),
    ("a in [1 2]", "unexpected", 8),
    ("eval('1') > 1", "unknown_function", 0),
    ("__import__('os') == 1", "unknown_function", 0),
    ("min(a) > 1", "wrong_arguments", 0),
    ("abs(a, b) > 1", "wrong_arguments", 0),
    ("lower() == 'a'", "wrong_arguments", 0),
    ("has('a')", "wrong_arguments", 0),
    ("has(a, b)", "wrong_arguments", 0),
    ("has(a > 1)", "wrong_arguments", 0),
    ("a" * 2001, "too_long", 2000),
    ("(" * 500 + "a > 1" + ")" * 500, "too_deep", 64),
    ("not " * 400 + "a > 1", "too_deep", 256),
    ("a > " + "-" * 1900 + "1", "too_deep", 67),
    ("a > " + "min(1, " * 40 + "1" + ")" * 40, "too_deep", 221),
    ("a > " + "+".join("b" * 500), "too_deep", 942),
    ("a " + "<" * 1000, "unexpected", 3),
]


@given(expressions)
def test_a_text_of_a_tree_is_parsed_to_it(tree: Expression) -> None:
    assert parse(text_of(tree)) == tree


@given(expressions, partial_values)
def test_what_is_compiled_does_as_plain_recursion_says(tree: Expression, values: dict[str, float | str]) -> None:
    assert compiled(tree)(values) is holds(tree, values)


@given(st.lists(expressions, max_size=5), partial_values)
def test_many_compiled_together_hold_as_each_does_alone(
    trees: list[Expression], values: dict[str, float | str]
) -> None:
    assert compiled_together(trees)(values) == tuple(compiled(tree)(values) for tree in trees)


@given(st.text(max_size=60) | st.text("ab01<>=!()[]\"'\\., andornti-+*/", max_size=60))
def test_any_text_is_an_expression_or_a_fault_within_it(text: str) -> None:
    try:
        parse(text)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)  # noqa: PT017 - both ends are right


@pytest.mark.parametrize(("text", "code", "position"), FAULTS, ids=[f"{text[:24]!a}" for text, _, _ in FAULTS])
def test_a_fault_is_named_with_its_place(text: str, code: str, position: int) -> None:
    with pytest.raises(ExpressionError) as raised:
        parse(text)
    assert (raised.value.code, raised.value.position) == (code, position)
    assert raised.value.message


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a>1 and b>1 or c>1", "(a > 1 and b > 1) or c > 1"),
        ("not a>1 and b>1", "(not a > 1) and b > 1"),
        ("-a*b-c/d > 1", "((-a) * b) - (c / d) > 1"),
        ("a-b-c > 1", "(a - b) - c > 1"),
        ("((a)) > (1)", "a > 1"),
        ("(a > 1 and b > 1) and c > 1", "a > 1 and (b > 1 and c > 1)"),
        ("not(a in['x',\"x\"])", 'not a in ["x", "x"]'),
        (r"a == 'it\'s \"\\'", r'a == "it\'s \"\\"'),
    ],
)
def test_operators_bind_as_in_arithmetic(text: str, plain: str) -> None:
    assert parse(text) == parse(plain)


def test_the_longest_and_the_deepest_are_taken() -> None:
    parse(" or ".join(["a > 1"] * 222)[:2000].rsplit(" or", 1)[0])
    parse("not (" * 30 + "a > 1" + ")" * 30)


def test_an_expression_reads_the_names_that_stand_in_it() -> None:
    assert names_of(parse("a > 1 and not (has(b) or min(c, -d) in [1])")) == {"a", "b", "c", "d"}


def test_a_condition_of_the_public_page_holds() -> None:
    rule = compiled(parse("amount_eur > 500 and new_device == 2 and count_1h >= 3"))
    values = {"amount_eur": 500.01, "new_device": 2.0, "count_1h": 3.0}
    assert rule(values)
    assert not any(rule(values | {name: 0.0}) for name in values)


@pytest.mark.parametrize(
    "text",
    ["a > 1", "a != 1", "a == a", "a not in [1]", "a - 1 != 1", "1 / 0 != 1", "min(a, 1) < 2", "lower(a) != 'x'"],
)
def test_a_comparison_without_a_value_is_false(text: str) -> None:
    assert compiled(parse(text))({}) is False
    assert compiled(parse(f"not {text}"))({}) is True


def test_what_is_too_large_is_infinite_and_what_is_no_number_compares_with_nothing() -> None:
    square = compiled(parse("a * a > 1e15"))
    assert square({"a": 1e300}) is True
    assert compiled(parse("a * a - a * a != 1"))({"a": 1e300}) is False
    assert compiled(parse("a > 1"))({"a": inf}) is True


def test_a_name_is_a_key_and_nothing_else() -> None:
    tree = Comparison(">", Name("__import__('os')"), Number(1.0))
    assert compiled(tree)({"__import__('os')": 2.0})
    assert "os" not in compiled(tree).__code__.co_names  # type: ignore[attr-defined]
