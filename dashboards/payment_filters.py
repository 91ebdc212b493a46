"""Which payments the page Payments shows: all of it stands in the address, so that it can be sent and saved."""

from collections.abc import Mapping
from datetime import datetime
from typing import get_args
from urllib.parse import parse_qsl, urlencode

import msgspec

from dashboards.look import Look
from dashboards.payment_search import Understood, understood
from schemas.fraud import OUTCOMES
from schemas.payments import PROCESSORS
from schemas.states import STATES, Status

STATUSES: tuple[Status, ...] = get_args(Status)
# What of the address is the page's own. A saved view keeps these and the period, and never a page or a payment.
OWN = ("q", "as", "status", "state", "processor", "currency", "merchant", "risk", "amount", "cols")
KEPT = (*OWN, "period", "from", "to", "tz")
# Of these staff alone ask: a merchant's people see one merchant, no verdict, and nobody's address.
STAFF_FILTERS = frozenset({"merchant", "risk"})
STAFF_SEARCHES = frozenset({"merchant", "email"})

STATUS_WORDS: dict[Status, str] = {"pending": "Pending", "succeeded": "Succeeded", "failed": "Failed"}


class Filters(msgspec.Struct, frozen=True):
    """What is asked for; empty: anything. `search`: what was typed, understood; `text`: as it was typed.

    `amount`: as typed, in `money` understood. `since` and `until`: the period, null where there is none.
    """

    text: str = ""
    search: Understood = Understood("nothing", "")
    status: str = ""
    state: str = ""
    processor: str = ""
    currency: str = ""
    merchant: str = ""
    risk: str = ""
    amount: str = ""
    money: Understood = Understood("nothing", "")

    def names(self) -> dict[str, str]:
        """The filters beside the search, by their names in the address."""
        named = ("status", "state", "processor", "currency", "merchant", "risk", "amount")
        return {name: getattr(self, name) for name in named if getattr(self, name)}

    def one_id(self) -> bool:
        """Whether one payment is asked for, whatever else is."""
        return self.search.taken in ("payment", "refund")

    def lacks_currency(self) -> bool:
        """Whether an amount was typed that nothing can be found by."""
        return self.search.taken == "bare_amount" or (bool(self.amount) and self.money.taken != "amount")

    def asked(self) -> dict[str, str | int]:
        """The filters as the gateway names them; those of the search come first, where both speak of the same."""
        of_search = _of_search(self.search)
        of_amount = {} if self.search.taken == "amount" else _of_search(self.money)
        beside = {name: value for name, value in self.names().items() if name != "amount"}
        return beside | of_amount | of_search


def _of_search(search: Understood) -> dict[str, str | int]:
    match search.taken:
        case "customer" | "merchant" | "email" | "last4" | "reference" as taken:
            return {taken: search.value}
        case "amount":
            return {"amount": search.minor, "currency": search.currency}
        case _:
            return {}


def read_filters(query: Mapping[str, str], *, is_staff: bool) -> Filters:
    """What an address asks for. What cannot be meant is passed over, and so is what is for staff."""
    if not is_staff:
        query = {name: value for name, value in query.items() if name not in STAFF_FILTERS}
    currency = query.get("currency", "").upper()
    amount = query.get("amount", "")
    return Filters(
        text=query.get("q", ""),
        search=_search(query, currency, is_staff=is_staff),
        status=_one_of(STATUSES, query.get("status", "")),
        state=_one_of(STATES, query.get("state", "")),
        processor=_one_of(PROCESSORS, query.get("processor", "")),
        currency=currency if len(currency) == 3 and currency.isalpha() and currency.isascii() else "",
        merchant=query.get("merchant", "")[:64],
        risk=_one_of(OUTCOMES, query.get("risk", "")),
        amount=amount,
        money=understood(amount, "", currency),
    )


def _search(query: Mapping[str, str], currency: str, *, is_staff: bool) -> Understood:
    found = understood(query.get("q", ""), query.get("as", ""), currency)
    if is_staff:
        return found
    taken = "reference" if found.taken in STAFF_SEARCHES else found.taken
    others = tuple(other for other in found.others if other not in {*STAFF_SEARCHES, taken})
    return msgspec.structs.replace(found, taken=taken, others=others)


def _one_of(known: tuple[str, ...], value: str) -> str:
    return value if value in known else ""


def period(filters: Filters, look: Look, query: Mapping[str, str], now: datetime) -> tuple[datetime | None, ...]:
    """From when to when (UTC) payments are listed; nulls: of all time.

    A search looks in all time, unless the address says a period: who has a reference rarely knows the day.
    """
    said = look.since is not None or "period" in query
    if filters.search.taken != "nothing" and not said:
        return None, None
    end = look.until or look.at
    since = look.since or (end or now) - look.length
    return since.replace(second=0, microsecond=0), end  # as the statements of tiles have it


def kept(query: Mapping[str, str]) -> str:
    """The address as a saved view has it."""
    return urlencode({name: query[name] for name in KEPT if query.get(name)})


def opened(content: str) -> dict[str, str]:
    """The address that a saved view leads to; what it may not say is left out."""
    return {name: value for name, value in parse_qsl(content) if name in KEPT}
