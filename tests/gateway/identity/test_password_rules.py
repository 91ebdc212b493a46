"""Which passwords are refused, without asking anybody."""

import pytest

from gateway.identity.common_passwords import is_common
from gateway.identity.password_rules import COMMON, NOT_SO_LONG, OWN, PATTERN, check_new, normal, why_refused
from gateway.refusals import InvalidFields

EMAIL, NAME = "jane.doe@example.com", "Ada Lovelace"

REFUSED = {
    "eleven char": NOT_SO_LONG,
    "kestrel plum " * 10: NOT_SO_LONG,  # 130
    "unbelievable": COMMON,  # one of the commonest that are long enough
    "1QAZ2WSX3EDC": COMMON,
    "unbe1iev@bl3": COMMON,
    "password1234": COMMON,
    "P@ssw0rd2026!": COMMON,
    "2026dragon!!": COMMON,
    "ｐａｓｓｗｏｒｄ１２３４": COMMON,
    "dragon 8391620475": None,  # ten digits of one's own are more than a guesser tries
    "aaaaaaaaaaaaaaaa": PATTERN,
    "abcabcabcabcabc": PATTERN,
    "passwordpassword": PATTERN,
    "abcdefghijkl": PATTERN,
    "lkjhgfdsaqwert": PATTERN,
    "112233445566": PATTERN,
    "my sluice account": OWN,
    "5Lu1ce is great": OWN,
    "Lovel4ce in 1843": OWN,
    "kestrel doe plum": None,  # three letters stand in too many words
    "jane and the kestrel": OWN,
    "correct horse battery": None,
    "пароль мой длинный": None,
}


@pytest.mark.parametrize(("password", "expected"), REFUSED.items())
def test_what_guessers_try_first_is_refused(password: str, expected: str | None) -> None:
    assert why_refused(normal(password), EMAIL, NAME) == expected


def test_a_refusal_names_the_field_and_not_the_password() -> None:
    with pytest.raises(InvalidFields) as refused:
        check_new("password1234", "$.new", email=EMAIL, name=NAME)
    assert [(error.path, error.message) for error in refused.value.errors or ()] == [("$.new", COMMON)]
    assert "password1234" not in str(refused.value)


def test_characters_are_counted_as_they_are_hashed() -> None:
    """One sign that is eighteen letters; and two ways to write é, which are one."""
    check_new("\ufdfa", "$.password", email=None, name="")
    assert normal("cafe\u0301") == normal("caf\u00e9")


def test_the_commonest_passwords_are_known_and_hardly_any_other() -> None:
    assert all(map(is_common, ("123456", "password", "Qwerty", "iloveyou", "trustno1", "1qaz2wsx3edc4rfv")))
    assert sum(is_common(f"kestrel plum {number}") for number in range(20_000)) < 5
