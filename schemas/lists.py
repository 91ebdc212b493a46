"""Lists: what analysts block or allow outright, whatever the rules say, and which entry decides about a payment.

A payment names several things that may stand on a list. A block entry of any of them goes before an allow entry of
any other.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple, Protocol, TypeVar, assert_never, get_args

import msgspec

from schemas.times import as_utc

ListName = Literal["block", "allow"]
ListKind = Literal["card", "bin", "customer", "merchant", "ip", "country", "device"]
LIST_KINDS: tuple[ListKind, ...] = get_args(ListKind)

# ISO 3166-1 alpha-2, and Kosovo as internet registries have it (XK).
CODES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO
FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE
JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO
MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW
PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM
TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
"""
COUNTRIES = frozenset(CODES.split())

LISTING_ID = re.compile(r"lst_[0-9a-z]{26}")
BIN_LENGTH = 6  # digits; issuers may use eight (ISO/IEC 7812-1:2017)


class FraudListing(msgspec.Struct, frozen=True):
    """`control.listing`: an entry of the block or allow list. No reason: that is free text.

    `value` by kind: a card's instrument, a BIN, the id of an account, a country (ISO 3166-1 alpha-2); an address,
    a network (/24, or /64 of IPv6) and a device as the keyed hashes that payments carry. `version` counts the
    entry's changes from 1, `owner` is the account that made the last one. It counts until `expires_at` (null: for
    ever), by the time a payment was recorded at.
    """

    id: str
    version: int
    list: ListName
    kind: ListKind
    value: str
    owner: str
    expires_at: datetime | None
    recorded_at: datetime


class Listable(NamedTuple):
    """What a payment names that may stand on a list; hashes as on its event, None where it has none."""

    instrument: str
    customer: str
    merchant: str
    bin: str | None = None
    country: str | None = None
    ip_hash: str | None = None
    ip_network_hash: str | None = None
    device_hash: str | None = None


class ExpiringEntry(Protocol):
    """An entry of a list, of whatever release."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def list(self) -> ListName:
        """Which list it stands on."""

    @property
    def expires_at(self) -> datetime | None:
        """Until when it counts; None: for ever."""


E = TypeVar("E", bound=ExpiringEntry)


def places_of(payment: Listable) -> list[tuple[ListKind, str]]:
    """Each kind and value under which an entry is about a payment."""
    p = payment
    named: list[tuple[ListKind, str | None]] = [
        ("card", p.instrument),
        ("bin", p.bin),
        ("bin", p.bin[:BIN_LENGTH] if p.bin and len(p.bin) > BIN_LENGTH else None),
        ("customer", p.customer),
        ("merchant", p.merchant),
        ("ip", p.ip_hash),
        ("ip", p.ip_network_hash),
        ("country", p.country),
        ("device", p.device_hash),
    ]
    return [(kind, value) for kind, value in named if value]


def deciding_entry(entries: Iterable[E], moment: datetime) -> E | None:
    """Of the entries about a payment the one that decides at `moment`: a block entry before an allow entry."""
    valid = [entry for entry in entries if entry.expires_at is None or as_utc(entry.expires_at) > moment]
    return min(valid, key=lambda entry: (precedence(entry.list), entry.id), default=None)


def precedence(name: ListName) -> int:
    """Which list goes first: the lower one."""
    match name:
        case "block":
            return 0
        case "allow":
            return 1
        case _:
            assert_never(name)
