"""The demo's shops, prices and test cards, and how a purchase is drawn from them."""

from secrets import SystemRandom

import msgspec

from schemas.money import exponent, unit
from sluice.dataset import card_number

random = SystemRandom()


class Shop(msgspec.Struct, frozen=True):
    """A merchant. `usual`: the typical amount of one purchase, in minor units of `currency`.

    `refunded`: the share of payments that it gives back, in full or in part; `in_parts`: the share of its manual
    captures that it takes in parts.
    """

    name: str
    currency: str
    usual: int
    refunded: float = 0.0
    in_parts: float = 0.0


class DemoCard(msgspec.Struct, frozen=True):
    """A test card before it is tokenized, with the address it is used from, which gives its country."""

    number: str
    exp_month: int
    exp_year: int
    ip: str

    def __repr__(self) -> str:
        return "DemoCard(…)"

    __str__ = __repr__


SHOPS = (
    Shop("Bäckerei Morgenrot", "EUR", 650),
    Shop("Librairie du Port", "EUR", 2_400, refunded=0.04, in_parts=0.5),
    Shop("Hudson Hardware", "USD", 5_200, refunded=0.06, in_parts=0.7),
    Shop("Blue Note Records", "USD", 2_900, refunded=0.03),
    Shop("Camden Cycles", "GBP", 11_900, refunded=0.08, in_parts=0.3),
    Shop("Kissa Neko", "JPY", 1_800, refunded=0.02),
)

# An address of a large provider in each of seven countries; the payer's country is that of the address.
ADDRESSES = ("91.0.0.1", "80.187.0.5", "90.0.0.1", "81.2.69.160", "73.0.0.5", "126.0.0.1", "151.24.0.1")

# Declined by the sandbox: see its magic cards. Mastercard's answer is in the expiry date.
DECLINED = (
    ("4000000000000002", 12, 2031),
    ("4000000000009995", 12, 2031),
    ("4000000000000069", 12, 2031),
    ("4000000000000127", 12, 2031),
    ("5123450000000008", 5, 2039),
    ("5111111111111118", 4, 2027),
)


def new_card() -> DemoCard:
    """A card that no one has paid with yet; half are Visa, half Mastercard, and all are approved."""
    return DemoCard(card_number(random.randrange(10**9)), 1, 2039, random.choice(ADDRESSES))


def declined_card() -> DemoCard:
    """A card that the processor declines, for one of several reasons."""
    number, month, year = random.choice(DECLINED)
    return DemoCard(number, month, year, random.choice(ADDRESSES))


def price(shop: Shop, times: float = 1.0) -> int:
    """A random amount around `times` the shop's usual, in minor units."""
    amount = int(shop.usual * times * random.lognormvariate(0, 0.45))
    return max(amount, 50 if exponent(shop.currency) else 1)


def smallest(shop: Shop) -> int:
    """One whole unit of the shop's currency, in minor units: the amount that stolen cards are tested with."""
    return unit(shop.currency)
