"""CyberSource's transaction search: what became of a call, by the transaction id we gave it.

https://developer.cybersource.com/api-reference-assets/index.html#transaction-search

One summary per request it took in, with one application per thing it did for it: a sale is `ics_auth`
and `ics_bill`. A time-out reversal carries the transaction id of what it takes back, so it is found by it, too.
"""

from typing import Any

import msgspec

from connectors.processors.contract import Answer, Query
from connectors.processors.response_checks import TheirId, same, same_money
from connectors.processors.transport import HttpReply
from schemas.states import DeclineCode

# `reasonCode` of an application whose `rCode` is 0 -> ours; any other is a generic decline.
DECLINES: dict[str, DeclineCode] = {
    "110": "insufficient_funds",
    "200": "incorrect_address",
    "201": "call_issuer",
    "202": "expired_card",
    "204": "insufficient_funds",
    "205": "lost_or_stolen",
    "207": "issuer_unavailable",
    "208": "invalid_account",
    "209": "incorrect_cvc",
    "210": "limit_exceeded",
    "211": "incorrect_cvc",
    "221": "suspected_fraud",
    "222": "invalid_account",
    "230": "incorrect_cvc",
    "231": "invalid_account",
    "400": "suspected_fraud",
    "475": "authentication_required",
    "476": "authentication_required",
    "478": "authentication_required",
    "480": "suspected_fraud",
    "481": "suspected_fraud",
    "520": "suspected_fraud",
}
# The bank approved, CyberSource's own checks did not (or less was approved): money is reserved until a reversal.
APPROVED_BY_THE_BANK = {"110", "200", "230", "400", "480", "481", "520"}
# Requests it did not carry out: fields missing or bad, no such transaction, the merchant or processor not set up.
NOT_DONE = {"101", "102", "234", "235", "236", "237", "238", "239", "241", "242", "243", "246", "247"}

MARKS: dict[str, frozenset[str]] = {
    "authorize": frozenset({"ics_auth"}),
    "sale": frozenset({"ics_auth"}),
    "capture": frozenset({"ics_bill"}),
    "refund": frozenset({"ics_credit"}),
    "void": frozenset({"ics_auth_reversal", "ics_void"}),
}
TAKEN_BACK = MARKS["void"]


class Application(msgspec.Struct, rename="camel"):
    """One thing done for a request. `r_code`: 1 done, 0 declined, -1 an error whose outcome is not told."""

    name: str = ""
    r_code: str | None = None
    reason_code: str | int | None = None


class Applications(msgspec.Struct, rename="camel"):
    """`applicationInformation`."""

    applications: list[Application] = []


class Client(msgspec.Struct, rename="camel"):
    """`clientReferenceInformation`."""

    code: str | None = None


class Sum(msgspec.Struct, rename="camel"):
    """`orderInformation.amountDetails`."""

    total_amount: str | None = None
    currency: str | None = None


class Order(msgspec.Struct, rename="camel"):
    """`orderInformation`."""

    amount_details: Sum = msgspec.field(default_factory=Sum)


class Summary(msgspec.Struct, rename="camel"):
    """One request as the search shows it."""

    id: TheirId
    application_information: Applications
    client_reference_information: Client = msgspec.field(default_factory=Client)
    order_information: Order = msgspec.field(default_factory=Order)

    def did(self, marks: frozenset[str]) -> bool:
        """Whether it asked for one of these applications."""
        return any(a.name in marks for a in self.application_information.applications)


class Embedded(msgspec.Struct, rename="camel"):
    """`_embedded`, absent where nothing was found."""

    transaction_summaries: list[Summary] = []


class Found(msgspec.Struct):
    """A search's answer."""

    embedded: Embedded = msgspec.field(name="_embedded", default_factory=Embedded)


def build_search(query: Query) -> dict[str, Any]:
    """The body of `POST /tss/v2/searches`."""
    return {
        "save": False,
        "query": f"clientReferenceInformation.transactionId:{query.request_id}",
        "sort": "submitTimeUtc:asc",
        "offset": 0,
        "limit": 20,
    }


def parse_search(query: Query, reply: HttpReply) -> Answer:
    """What became of the call of `query`. Raises `Mismatch` and what cannot be read."""
    if reply.status not in (200, 201):
        return Answer("unknown", detail=f"search: HTTP {reply.status}")
    return _original(query, _summaries(reply))


def parse_reversal_search(query: Query, reply: HttpReply) -> Answer:
    """What a refused reversal of `query` means: it is reversed already, there is nothing to reverse, or no."""
    if reply.status not in (200, 201):
        return Answer("unknown", detail=f"search: HTTP {reply.status}")
    summaries = _summaries(reply)
    reversals = [s for s in summaries if s.did(TAKEN_BACK) and not s.did(MARKS["sale"])]
    if any(_outcome(s).result == "succeeded" for s in reversals):
        return Answer("succeeded", amount=query.amount)
    original = _original(query, summaries)
    if original.result in ("declined", "failed") and not original.must_reverse:
        return Answer("not_found", detail=f"nothing to reverse: {original.result}")
    return original if original.result in ("not_found", "unknown") else Answer("failed", detail="reversal refused")


def _summaries(reply: HttpReply) -> list[Summary]:
    return msgspec.json.decode(reply.body, type=Found).embedded.transaction_summaries


def _original(query: Query, summaries: list[Summary]) -> Answer:
    """The answer of the call itself among what carries its transaction id."""
    mine = [s for s in summaries if s.did(MARKS[query.kind])]
    if not mine:
        return Answer("not_found")
    same("clientReferenceInformation.code", mine[0].client_reference_information.code, query.reference)
    answer = _outcome(mine[0])
    if answer.result != "succeeded":
        return answer
    total = mine[0].order_information.amount_details
    same_money(total.total_amount, total.currency, query.amount)
    return msgspec.structs.replace(answer, amount=query.amount)


def _outcome(summary: Summary) -> Answer:
    applications = summary.application_information.applications
    declined = next((a for a in applications if a.r_code == "0"), None)
    if declined is None:
        done = bool(applications) and all(a.r_code == "1" for a in applications)
        return Answer("succeeded", summary.id) if done else Answer("unknown", detail="no outcome in the search")
    reason = str(declined.reason_code)
    detail = f"{declined.name} reason {reason}"
    if reason in NOT_DONE:
        return Answer("failed", detail=detail)
    reserved = reason in APPROVED_BY_THE_BANK or any(
        a.name == "ics_auth" and a.r_code == "1" for a in applications
    )
    return Answer("declined", summary.id, DECLINES.get(reason, "generic_decline"), detail, must_reverse=reserved)
