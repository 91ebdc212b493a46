"""Card numbers as text: found wherever they hide, and nothing else taken for one."""

from itertools import pairwise
from random import Random
from time import process_time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cards import brand_of, check_digit, find_numbers, hides_number, luhn_valid, mask_numbers

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


@pytest.mark.parametrize("between", [".", "_", "/", "   ", " - ", ", ", "\u00b7", "\u200b", "\u00ad", " \u2060 "])
@pytest.mark.parametrize("sizes", [(4, 4, 4, 4), (8, 8), (6, 10), (4, 8, 4), (2,) * 8, (1,) * 16])
def test_whatever_stands_between_its_groups_a_number_is_found(between: str, sizes: tuple[int, ...]) -> None:
    places = [sum(sizes[:count]) for count in range(len(sizes) + 1)]
    written = between.join(VISA[start:end] for start, end in pairwise(places))
    assert find_numbers(f"paid by {written}, thanks") == [written]
    assert not find_numbers(mask_numbers(f"paid by {written}, thanks"))


@pytest.mark.parametrize(
    "text",
    [
        f"order-{VISA}-7",
        f"{VISA}@example.com",
        f"000{VISA}",
        "41\u200b1111111\u00ad1111111",
        "".join(f"{digit}\ufe0f\u20e3" for digit in VISA),
        "\u2074\u00b9\u00b9\u00b9" + VISA[4:],
        "4222222222222",
        "4000 0000 0000 0000 006",
        "3782 822463 10005",
        "6011111111111117",
        "3530111333300000",
        "4,111,111,111,111,111",
        "4.111.111.111.111.111",
        "4\u202f111\u202f111\u202f111\u202f111\u202f111",
        "411-111-111-111-111-1",
    ],
)
def test_a_number_is_found_in_any_brand_spelling_and_company(text: str) -> None:
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
        "4.111111111111111",
        "41.11111111, 1.11111",
        "+49 151 12345678",
        "+4915112345678",
        "4915112345678",
        "4006381000093",
        "380 129 866 46850",
        "DE11 5123 0800 0000 0600 00",
        "sizes 40 41 42 43 44 45 46 47 48 49",
        "+44 20 7946 0958 / +44 20 7946 0959",
        "4,111,111,111,111,112",
        "rooms 4, 111, 111, 111, 111, 111",
    ],
)
def test_what_is_no_card_number_stays(text: str) -> None:
    assert mask_numbers(text) == text


def test_what_shops_write_is_seldom_taken_for_a_number() -> None:
    """The figures of 100,000 of each stand in docs/decisions/0034."""
    chance = Random(7)

    def digits(count: int) -> str:
        return "".join(chance.choices("0123456789", k=count))

    for _ in range(2_000):
        assert not find_numbers(f"+49151{digits(8)}")
        assert not find_numbers(ean(f"4{digits(11)}"))
        assert not find_numbers(str(UUID(bytes=chance.randbytes(16), version=4)))
        assert not find_numbers(UUID(bytes=chance.randbytes(16), version=4).hex)
        assert not find_numbers(f"order-{digits(10)}")
        assert not find_numbers(", ".join(str(chance.randint(1, 999)) for _ in range(10)))


def ean(payload: str) -> str:
    """Twelve digits and their check digit (GS1 General Specifications §7.9.1)."""
    weighed = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(payload))
    return f"{payload}{-weighed % 10}"


def test_a_long_text_of_digits_is_read_in_time() -> None:
    for sign in ("1 ", "-1", "\u0664", "0", "11111111-"):
        began = process_time()
        find_numbers(sign * 30_000)
        assert process_time() - began < 2


def test_a_number_hides_nowhere_in_an_id() -> None:
    for hiding in (VISA, f"0000{VISA}000000000000", f"deadbeef{VISA}cafebabe", f"{'7' * 16}{VISA}"):
        assert hides_number(hiding)
    assert not hides_number("4bf92f3577b34da6a3ce929d0e0e4736")
