"""The demo's test cards, and where and with what device they are used."""

import msgspec

from schemas.cards import check_digit
from schemas.ids import new_id
from sluice.shoppers.shops import random


class DemoCard(msgspec.Struct, frozen=True):
    """A test card before it is tokenized."""

    number: str
    exp_month: int
    exp_year: int

    def __repr__(self) -> str:
        return "DemoCard(…)"

    __str__ = __repr__


class Desk(msgspec.Struct, frozen=True):
    """The device that somebody pays with, and its address (IP), which gives the country."""

    device_id: str
    ip: str


# The first three bytes of addresses of large providers, each in one country; a customer has one of them for good.
HOMES = ("91.0.0", "80.187.0", "90.0.0", "81.2.69", "73.0.0", "126.0.0", "151.24.0")
# Where stolen cards are used: anonymous exits and rented servers.
HIDEOUTS = ("185.220.101", "45.155.205", "103.152.118", "105.112.1", "177.54.1")

# Ranges without magic numbers, Visa's and Mastercard's. Stolen cards come from ranges of their own: a list that is
# for sale is of one bank.
BINS = ("401288", "422202", "453957", "510510", "522210", "545454")
STOLEN_BINS = ("403587", "448562", "492918", "516732", "531106", "542418")

# Declined by the sandbox, each for another reason: see "Test cards" in the README. Mastercard's answer is in the
# expiry date.
DECLINED = (
    DemoCard("4000000000000002", 12, 2031),
    DemoCard("4000000000009995", 12, 2031),
    DemoCard("4000000000000069", 12, 2031),
    DemoCard("4000000000000127", 12, 2031),
    DemoCard("4000000000009979", 12, 2031),
    DemoCard("5123450000000008", 5, 2039),
    DemoCard("5111111111111118", 4, 2027),
    DemoCard("5105105105105100", 8, 2028),
)
NO_REFUND = DemoCard("4000000000005126", 12, 2031)
FAILS_OVER = DemoCard("4000000000000119", 12, 2031)  # a technical no: the next processor takes it
SLOW_TO_TELL = DemoCard("5123450000000016", 5, 2037)  # approved, as is found some seconds later


def home() -> Desk:
    """Where a customer lives."""
    return _desk(HOMES)


def hideout() -> Desk:
    """Where somebody pays with cards that are not theirs."""
    return _desk(HIDEOUTS)


def new_card() -> DemoCard:
    """A card that no one has paid with yet; half are Visa, half Mastercard, and all are approved."""
    return _card_of(random.choice(BINS))


def stolen_cards(count: int) -> list[DemoCard]:
    """Cards of one bank that no one has paid with yet; all are approved."""
    bank = random.choice(STOLEN_BINS)
    return [_card_of(bank) for _ in range(count)]


def declined_card() -> DemoCard:
    """A card that the processor declines, for one of several reasons."""
    return random.choice(DECLINED)


def _card_of(bank: str) -> DemoCard:
    payload = f"{bank}{random.randrange(10**9):09d}"
    return DemoCard(payload + check_digit(payload), 1, 2039)


def _desk(networks: tuple[str, ...]) -> Desk:
    return Desk(new_id("device"), f"{random.choice(networks)}.{random.randint(1, 254)}")
