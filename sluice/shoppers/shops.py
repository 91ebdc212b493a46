"""The demo's shops and prices, and how a purchase is drawn from them."""

from secrets import SystemRandom

import msgspec

from schemas.money import exponent, unit

random = SystemRandom()

ORDINARY = 1_000  # minor units of each shop's currency, about: below it is what stolen cards are tested with


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


SHOPS = (
    Shop("Bäckerei Morgenrot", "EUR", 650),
    Shop("Librairie du Port", "EUR", 2_400, refunded=0.04, in_parts=0.5),
    Shop("Hudson Hardware", "USD", 5_200, refunded=0.06, in_parts=0.7),
    Shop("Blue Note Records", "USD", 2_900, refunded=0.03),
    Shop("Camden Cycles", "GBP", 11_900, refunded=0.08, in_parts=0.3),
    Shop("Kissa Neko", "JPY", 1_800, refunded=0.02),
)


def price(shop: Shop, times: float = 1.0) -> int:
    """A random amount around `times` the shop's usual, in minor units."""
    amount = int(shop.usual * times * random.lognormvariate(0, 0.45))
    return max(amount, 50 if exponent(shop.currency) else 1)


def smallest(shop: Shop) -> int:
    """One whole unit of the shop's currency, in minor units: the amount that stolen cards are tested with."""
    return unit(shop.currency)
