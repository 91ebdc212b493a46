"""The sandbox's control port: its health, its ledger, and the faults in force."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from connectors.sandbox.browsers import guard
from connectors.sandbox.faults import BadFault, parse_fault
from connectors.sandbox.sandbox import PortsTaken, Sandbox
from schemas.payments import ProcessorName

SANDBOX = web.AppKey("sandbox", Sandbox)
PAGE = 500
PAGE_MAX = 5_000


class PendingDecision(msgspec.Struct, forbid_unknown_fields=True):
    """What becomes of what is pending."""

    outcome: Literal["completed", "declined"]


class AcceptedSecrets(msgspec.Struct, forbid_unknown_fields=True):
    """The secrets that a twin takes: the old and the new one while one is rotated."""

    processor: ProcessorName
    secrets: Annotated[list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(min_length=1, max_length=4)]


def control(sandbox: Sandbox) -> web.Application:
    """The control port's application."""
    app = web.Application(middlewares=[guard(sandbox.names)])
    app[SANDBOX] = sandbox
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/_sandbox/ledger", read_ledger),
            web.get("/_sandbox/faults", list_faults),
            web.post("/_sandbox/faults", order_fault),
            web.delete("/_sandbox/faults", clear_faults),
            web.post("/_sandbox/pending", decide_pending),
            web.put("/_sandbox/secrets", accept_secrets),
        ]
    )
    return app


async def healthz(_request: web.Request) -> web.Response:
    """200: the vendors' ports were opened before this one."""
    return answer(200, {"status": "ok"})


async def read_ledger(request: web.Request) -> web.Response:
    """At most `?limit=` rows after the id `?after=`; `next_cursor` is the next `after`, null at the end."""
    errors: list[dict[str, str]] = []
    after = _number(request.query, "after", 0, (0, 2**63 - 1), errors)
    limit = _number(request.query, "limit", PAGE, (1, PAGE_MAX), errors)
    if errors:
        return problem(errors)
    rows = request.app[SANDBOX].rows_after(after, limit + 1)
    more = len(rows) > limit
    page = rows[:limit]
    return answer(200, {"data": page, "next_cursor": page[-1].id if more else None})


async def list_faults(request: web.Request) -> web.Response:
    """The faults in force; `times` counts down."""
    return answer(200, {"data": request.app[SANDBOX].faults()})


async def order_fault(request: web.Request) -> web.Response:
    """Put a fault in force, then answer with it."""
    try:
        fault = parse_fault(await request.read())
    except BadFault as error:
        return problem(error.errors)
    request.app[SANDBOX].order(fault)
    return answer(201, fault)


async def clear_faults(request: web.Request) -> web.Response:
    """End all faults, then answer; 409 where another program took a closed port: free it and ask again."""
    try:
        await request.app[SANDBOX].clear()
    except PortsTaken as error:
        return refusal(409, "port_in_use", "The faults are cleared; a port is still closed.", str(error))
    return web.Response(status=204)


async def decide_pending(request: web.Request) -> web.Response:
    """`{outcome: "completed"|"declined"}`: decide all that is pending; answers how many captures and refunds."""
    try:
        decided = msgspec.json.decode(await request.read(), type=PendingDecision)
    except (msgspec.MsgspecError, RecursionError) as error:
        return problem([{"path": "outcome", "message": str(error)}])
    count = await request.app[SANDBOX].end_pending(completed=decided.outcome == "completed")
    return answer(200, {"decided": count})


async def accept_secrets(request: web.Request) -> web.Response:
    """`{processor, secrets}`: which secrets a twin takes from now on, until it restarts."""
    try:
        accepted = msgspec.json.decode(await request.read(), type=AcceptedSecrets)
        request.app[SANDBOX].accept(accepted.processor, accepted.secrets)
    except (msgspec.MsgspecError, RecursionError) as error:
        return problem([{"path": "secrets", "message": str(error)}])
    return web.Response(status=204)


def answer(status: int, body: Any, content_type: str = "application/json") -> web.Response:
    """A JSON response."""
    return web.Response(status=status, body=msgspec.json.encode(body), content_type=content_type)


def problem(errors: list[dict[str, str]]) -> web.Response:
    """HTTP 422: `errors` name each field."""
    detail = "; ".join(f"{error['path']}: {error['message']}" for error in errors)
    return refusal(422, "invalid_request", "The request is not valid.", detail, errors=errors)


def refusal(status: int, code: str, title: str, detail: str, **more: Any) -> web.Response:
    """A problem of RFC 9457."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code} | more
    return answer(status, body, "application/problem+json")


def _number(
    query: Mapping[str, str], name: str, default: int, between: tuple[int, int], errors: list[dict[str, str]]
) -> int:
    text = query.get(name) or str(default)
    smallest, largest = between
    if not (text.isascii() and text.isdigit() and len(text) < 20 and smallest <= int(text) <= largest):
        errors.append({"path": name, "message": f"must be a whole number from {smallest} to {largest}"})
        return default
    return int(text)
