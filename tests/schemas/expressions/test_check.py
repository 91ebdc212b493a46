"""The static check, over the names that rules may use; and that it never calls possible what is not."""

import pytest
from hypothesis import given

from schemas.expressions import check, compiled, parse, text_of
from schemas.expressions.tree import Expression
from schemas.features import FEATURES
from tests.schemas.expressions.trees import NAMES, complete_values, expressions, partial_values

FOUND = [  # text, codes with their positions
    ("amuont > 1", "unknown_name 0"),
    ("Amount > 1", "unknown_name 0"),
    ("amount > 1 and has(cuntry)", "unknown_name 15"),
    ("min(amount, count_2h) > 1", "unknown_name 12"),
    ("amount > 'x'", "wrong_type 0"),
    ("currency == 1", "wrong_type 0"),
    ("currency < 'EUR'", "wrong_type 0"),
    ("currency == amount", "wrong_type 0"),
    ("currency in [1, 2]", "wrong_type 0"),
    ("amount in [1, 'a']", "wrong_type 0"),
    ("currency + 1 > 2", "wrong_type 0"),
    ("-currency == 1", "wrong_type 1"),
    ("abs(country) > 1", "wrong_type 4"),
    ("lower(amount) == 'a'", "wrong_type 6"),
    ("min(amount, country) > 1", "wrong_type 12"),
    ("count_1h > 100", "never_true 0"),
    ("count_1h > 65", "never_true 0"),
    ("100 < count_1h", "never_true 0"),
    ("count_1h == 0.5", "never_true 0"),
    ("hour in [24, 25]", "never_true 0"),
    ("score > 1", "never_true 0"),
    ("amount < 0", "never_true 0"),
    ("abs(new_country) > 2", "never_true 0"),
    ("min(count_1h, amount) > 65", "never_true 0"),
    ("count_1h + count_1m > 130", "never_true 0"),
    ("score * 100 > 100", "never_true 0"),
    ("lower(country) == 'US'", "never_true 0"),
    ("1 > 2", "never_true 0"),
    ("amount > 5 or amount <= 5 or hour == 3", "always_true 0"),
    ("amount > 10 and amount < 5", "contradiction 16"),
    ("amount > 10 and hour < 3 and amount <= 10", "contradiction 29"),
    ("amount == 5 and amount != 5", "contradiction 16"),
    ("currency == 'EUR' and currency == 'USD'", "contradiction 22"),
    ("currency == 'EUR' and currency not in ['EUR', 'USD']", "contradiction 22"),
    ("country in ['US', 'CA'] and country in ['FR', 'DE']", "contradiction 28"),
    ("not has(country) and country == 'US'", "contradiction 21"),
    ("amount > amount_eur and amount_eur > amount", "contradiction 24"),
    ("amount * 2 > 100 and amount < 10", "contradiction 21"),
    ("not (amount > 10 or hour > 3) and amount > 20", "contradiction 34"),
    ("amount > 10 and (amount < 5 or amount < 3)", "contradiction 17"),
    ("amount >= 0", "always_true 0"),
    ("count_1h <= 65", "always_true 0"),
    ("amount > 5 or amount <= 5", "always_true 0"),
    ("not (amount > 10 and amount < 5)", "always_true 0"),
    ("1 < 2", "always_true 0"),
    ("hour not in [24]", "always_true 0"),
    ("amount > 5 or amount > 10", "unreachable 14"),
    ("hour == 3 or count_1h > 100", "unreachable 13"),
    ("currency == 'EUR' or currency in ['EUR']", "unreachable 21"),
    ("hour == 3 or (amount > 5 and amount < 3)", "unreachable 14"),
    ("amount > 10 and amount > 5", "redundant 16"),
    ("hour == 3 and count_1h >= 1", "redundant 14"),
    ("hour == 3 and (hour < 5 or amount > 3)", "redundant 15"),
    ("country == 'US' and country != 'CA'", "redundant 20"),
]
FINE = [
    "amount_eur > 500 and new_device == 2 and count_1h >= 3",
    "has(country)",
    "not has(country) or country != 'US'",
    "not count_1h <= 65 and hour == 3",  # where count_1h has no value
    "count_1h > 64 and count_1h < 65",
    "amount / count_1h > 100 and amount / count_1h < 200",
    "(hour < 6 or hour > 22) and lower(country) in ['us', 'ca']",
    "amount - amount_eur != 0",
    "max(score, merchant_risk) > 0.9 and -gap < 0",
]


@pytest.mark.parametrize(("text", "found"), FOUND, ids=[text for text, _ in FOUND])
def test_an_oddity_is_found_where_it_stands(text: str, found: str) -> None:
    assert ", ".join(f"{each.code} {each.position}" for each in check(parse(text), FEATURES)) == found


@pytest.mark.parametrize("text", FINE)
def test_nothing_is_found_in_what_can_hold_and_not_hold(text: str) -> None:
    assert check(parse(text), FEATURES) == []


def test_what_may_be_saved_has_warnings_alone() -> None:
    severities = {each.code: each.severity for text, _ in FOUND for each in check(parse(text), FEATURES)}
    assert {code for code, severity in severities.items() if severity == "warning"} == {"unreachable", "redundant"}


def test_a_finding_says_what_helps() -> None:
    def message(text: str) -> str:
        return check(parse(text), FEATURES)[0].message

    assert message("cuont_1h > 3") == "there is no such name; is count_1h meant?"
    assert message("qqqq > 3") == "there is no such name"
    assert message("count_1h > 100") == "this never holds: count_1h goes from 1 up to 65"


@given(expressions, partial_values)
def test_what_is_said_to_never_hold_never_holds(tree: Expression, values: dict[str, float | str]) -> None:
    if {"never_true", "contradiction"} & {each.code for each in check(tree, NAMES)}:
        assert compiled(tree)(values) is False


@given(expressions, complete_values)
def test_what_is_said_to_always_hold_holds(tree: Expression, values: dict[str, float | str]) -> None:
    if "always_true" in {each.code for each in check(tree, NAMES)}:
        assert compiled(tree)(values) is True


@given(expressions)
def test_a_check_of_an_equal_text_finds_the_same(tree: Expression) -> None:
    found = [(each.code, each.severity) for each in check(tree, NAMES)]
    assert sorted(found) == sorted((each.code, each.severity) for each in check(parse(text_of(tree)), NAMES))
