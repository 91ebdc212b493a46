"""Card numbers as text: found wherever they hide, and nothing else taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cards import brand_of, check_digit, find_numbers, luhn_valid, mask_numbers

VISA = "4111111111111111"
MASTERCARD = "2223000048400011"

numbers = st.from_regex(r"(4|5[1-5]|222[1-9]|2[3-6][0-9]{2}|27[01][0-9])[0-9]{14}", fullmatch=True).map(
    lambda digits: digits[:15] + check_digit(digits[:15])
)


@given(st.from_regex(r"[0-9]{8,18}", fullmatch=True))
def test_the_check_digit_is_the_only_one_that_fits(payload: str) -> None:
    fitting = [digit for digit in "0123456789" if luhn_valid(payload + digit)]
    assert fitting == [check_digit(payload)]


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        (VISA, "visa"),
        ("4222222222222", "visa"),
        (MASTERCARD, "mastercard"),
        ("5555555555554444", "mastercard"),
        ("2720990000000007", "mastercard"),
        ("2721000000000004", None),
        ("371449635398431", None),
        ("411111111111111", None),
        ("", None),
    ],
)
def test_brand(number: str, brand: str | None) -> None:
    assert brand_of(number) == brand


@given(
    numbers,
    st.sampled_from(["", " ", "-", "  ", "\n", "\u00a0", "\u2013"]),
    st.text(alphabet="abc:,\"'\n", max_size=9),
)
def test_a_number_is_found_and_masked_however_it_is_written(number: str, separator: str, around: str) -> None:
    written = separator.join(number[start : start + 4] for start in range(0, 16, 4))
    text = f"{around}{written}{around}"
    assert find_numbers(text) == [written]
    masked = mask_numbers(text)
    assert number[6:12] not in masked.replace(separator or "\0", "")
    assert not find_numbers(masked)


@pytest.mark.parametrize(
    "text",
    [
        f"{VISA} 123",
        "4111 1111 1111 1111 12/29",
        f"2 {VISA}",
        f"07 {VISA} 0129 123",
        VISA.translate({ord("0") + n: 0xFF10 + n for n in range(10)}),
        VISA.translate({ord("0") + n: 0x0660 + n for n in range(10)}),
    ],
)
def test_a_number_is_found_among_other_digits_and_in_any_script(text: str) -> None:
    assert len(find_numbers(text)) == 1
    assert not find_numbers(mask_numbers(text))


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "order 1234567890123456",
        f"9{VISA}9999",
        "pay_01kaf3wq4t0n5h8r2y6j9m3v7k",
        "2026-11-23 14:31",
    ],
)
def test_what_is_no_card_number_stays(text: str) -> None:
    assert mask_numbers(text) == text
