"""CyberSource's transaction search: the outcome of a call, found by the transaction id we gave it.

https://developer.cybersource.com/api-reference-assets/index.html#transaction-search

It returns one summary per request, with one application per service that ran for it: a sale is `ics_auth` and
`ics_bill`. A time-out reversal has the transaction id of the call it takes back, so the search finds it as well.
"""

from typing import Any, Literal, assert_never

import msgspec

from connectors.processors.contract import Answer, CallKind, Query
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
# The bank approved, CyberSource's own checks did not (or less was approved): reserved until it is reversed.
APPROVED_BY_THE_BANK = {"110", "200", "230", "400", "480", "481", "520"}
# Requests that were not carried out: bad fields, a repeated id, no such transaction, merchant or acquirer not set
# up.
NOT_DONE = {"101", "102", "104", "234", "235", "236", "237", "238", "239", "241", "242", "243", "246", "247"}

# Applications that tell what a request was.
PAYING = frozenset({"ics_auth"})
CAPTURING = frozenset({"ics_bill"})
REFUNDING = frozenset({"ics_credit"})
TAKING_BACK = frozenset({"ics_auth_reversal", "ics_void"})


class Application(msgspec.Struct, rename="camel"):
    """One service that ran for a request. `r_code`: 1 done, 0 declined, -1 an error with an unknown outcome."""

    name: str = ""
    r_code: str | None = None
    reason_code: str | int | None = None


class ApplicationInformation(msgspec.Struct, rename="camel"):
    """`applicationInformation`."""

    applications: list[Application] = []


class ClientReference(msgspec.Struct, rename="camel"):
    """`clientReferenceInformation`."""

    code: str | None = None


class SearchAmount(msgspec.Struct, rename="camel"):
    """`orderInformation.amountDetails`."""

    total_amount: str | None = None
    currency: str | None = None


class SearchOrder(msgspec.Struct, rename="camel"):
    """`orderInformation`."""

    amount_details: SearchAmount = msgspec.field(default_factory=SearchAmount)


class TransactionSummary(msgspec.Struct, rename="camel"):
    """One request and what came of it."""

    id: TheirId
    application_information: ApplicationInformation
    client_reference_information: ClientReference = msgspec.field(default_factory=ClientReference)
    order_information: SearchOrder = msgspec.field(default_factory=SearchOrder)

    def did(self, marks: frozenset[str]) -> bool:
        """Whether one of these applications ran."""
        return any(a.name in marks for a in self.application_information.applications)


class EmbeddedSummaries(msgspec.Struct, rename="camel"):
    """`_embedded`, absent where nothing was found."""

    transaction_summaries: list[TransactionSummary] = []


class SearchResponse(msgspec.Struct):
    """The body of the answer to a search."""

    embedded: EmbeddedSummaries = msgspec.field(name="_embedded", default_factory=EmbeddedSummaries)


def build_search(query: Query) -> dict[str, Any]:
    """The body of `POST /tss/v2/searches`."""
    return _search(f"clientReferenceInformation.transactionId:{query.request_id}")


def build_family_search(query: Query) -> dict[str, Any]:
    """The body of a search for everything that was done about the attempt of `query`."""
    return _search(f"clientReferenceInformation.code:{query.reference}", "desc")  # what took it back came last


def _search(condition: str, order: Literal["asc", "desc"] = "asc") -> dict[str, Any]:
    return {
        "save": False,
        "query": condition,
        "sort": f"submitTimeUtc:{order}",
        "offset": 0,
        "limit": 20,
    }


def parse_search(query: Query, reply: HttpReply) -> Answer:
    """The answer of the call of `query`. Raises `Mismatch` and `UNREADABLE`."""
    if reply.status not in (200, 201):
        return Answer("unknown", detail=f"search: HTTP {reply.status}")
    return _original(query, _summaries(reply))


def parse_reversal_search(query: Query, reply: HttpReply) -> Answer:
    """What a refused reversal of `query` means: `succeeded` before, `not_found`, or `failed`."""
    if reply.status not in (200, 201):
        return Answer("unknown", detail=f"search: HTTP {reply.status}")
    summaries = _summaries(reply)
    reversals = [s for s in summaries if s.did(TAKING_BACK) and not s.did(PAYING)]
    if any(_outcome(s).result == "succeeded" for s in reversals):
        return Answer("succeeded", amount=query.amount)
    original = _original(query, summaries)
    if original.result in ("declined", "failed") and not original.must_reverse:
        return Answer("not_found", detail=f"nothing to reverse: {original.result}")
    return original if original.result in ("not_found", "unknown") else Answer("failed", detail="reversal refused")


def parse_family_search(query: Query, reply: HttpReply) -> Answer:
    """What became of the authorization or sale of `query`, by all that was done about its attempt.

    A void took back a sale, or one of an authorization's captures: the authorization itself is reversed.
    """
    if reply.status not in (200, 201):
        return Answer("unknown", detail=f"search: HTTP {reply.status}")
    summaries = _summaries(reply)
    undoing = frozenset({"ics_void" if query.kind == "sale" else "ics_auth_reversal"})
    taken_back = [s for s in summaries if s.did(undoing) and not s.did(PAYING)]
    if any(_outcome(s).result == "succeeded" for s in taken_back):
        return Answer("succeeded", amount=query.amount, detail="it was taken back")
    return Answer("failed" if any(s.did(PAYING) for s in summaries) else "not_found", detail="not taken back")


def _summaries(reply: HttpReply) -> list[TransactionSummary]:
    return msgspec.json.decode(reply.body, type=SearchResponse).embedded.transaction_summaries


def _marks(kind: CallKind) -> frozenset[str]:
    match kind:
        case "authorize" | "sale":
            return PAYING
        case "capture":
            return CAPTURING
        case "refund":
            return REFUNDING
        case "void" | "reversal":
            return TAKING_BACK
        case _:
            assert_never(kind)


def _original(query: Query, summaries: list[TransactionSummary]) -> Answer:
    """The answer of the call itself, among the requests that have its transaction id."""
    mine = [s for s in summaries if s.did(_marks(query.kind))]
    if not mine:
        return Answer("not_found")
    call = next((s for s in mine if _outcome(s).result != "failed"), mine[0])  # a repeat of it is refused
    same("clientReferenceInformation.code", call.client_reference_information.code, query.reference)
    answer = _outcome(call)
    if answer.result != "succeeded":
        return answer
    total = call.order_information.amount_details
    same_money(total.total_amount, total.currency, query.amount)
    return msgspec.structs.replace(answer, amount=query.amount)


def _outcome(summary: TransactionSummary) -> Answer:
    # The first declined application decides; without one, only all of them done is a success.
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
