"""The one way a route is declared: what it needs, takes, answers and refuses, and the checks in their order."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from functools import partial, wraps
from time import monotonic
from typing import Any, Concatenate, Literal, TypeVar

import msgspec
from quart import Response, g, request
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from gateway.addresses import canonical, network_of
from gateway.csv_lines import CSV
from gateway.identity.tokens import NotAuthenticated
from gateway.problems import Code, Problem
from gateway.rate_limits import refuse_early, take
from gateway.refusals import FieldError, InvalidFields
from gateway.roles import OWN_SCOPES
from gateway.runtime import Runtime, current_runtime
from gateway.web.call import NOBODY, Call, Caller, Reply, bearer_token, identify, respond
from gateway.web.idempotent import KeyRule, fingerprint, material, read_key
from gateway.web.opened_texts import opened
from gateway.web.request_body import BodyDecoder, convert, parse

OWN = "account"  # the scope of what an account does with itself, as confirming its address
SECOND_FACTOR_FIRST = "Staff set a second factor first (POST /v1/me/totp), and log in with it."

B = TypeVar("B")
Q = TypeVar("Q")

PURPOSES = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")  # in which browsers say that nobody came yet

Answering = Coroutine[Any, Any, Reply]
View = Callable[..., Awaitable[Response]]


class Rules(msgspec.Struct, frozen=True):
    """What a route declared; kept on its function as `rules` for OpenAPI and the completeness tests.

    `scope` None: public. `limit` None: unlimited (`/healthz`). `digest`: who makes the fingerprint, the vault
    where a body holds a card number. `form`: the handler reads a form, that of a page of ours or one with the
    fields of a type, and there is no `body`. `media`: the media type of its answers where they are neither JSON
    nor plain text. `takes_csv`: instead of a body a CSV may come, which the handler reads piece by piece.
    """

    scope: str | None
    limit: str | None
    body: type[Any] | None
    query: type[Any] | None
    answers: Mapping[int, Any]
    codes: tuple[Code, ...]
    idempotency: KeyRule
    digest: Literal["gateway", "vault"]
    body_optional: bool
    form: bool | type[Any]
    media: str = ""
    takes_csv: bool = False


def endpoint(
    *,
    scope: str | None,
    limit: str | None = "default",
    body: type[B] | None = None,
    query: type[Q] | None = None,
    answers: Mapping[int, Any],
    codes: tuple[Code, ...] = (),
    idempotency: KeyRule = "none",
    digest: Literal["gateway", "vault"] = "gateway",
    form: bool | type[Any] = False,
    media: str = "",
    takes_csv: bool = False,
    first: Callable[[Call[B, Q]], Awaitable[None]] | None = None,
) -> Callable[[Callable[Concatenate[Call[B, Q], ...], Answering]], View]:
    """Declare a route; below it stands `async def handler(call: Call[Body, Query], *path) -> Reply`.

    Checked in this order: authentication, rate limit, scope, body, query, Idempotency-Key; before all of them,
    where a signature would have to be checked, how many bad tokens the address sent. `answers`: status to type
    (None: no body). `codes`: the problems it may answer with beyond those that follow from its rules.
    `idempotency`: whether a key may or must come. The handler claims it in the transaction that does what is asked
    (`write_once`, `carry_out`); `test_keyed_routes.py` has each such route die at every await.
    Variables of the path are passed in the URL's order. What runs under a key goes on when its client hangs up.
    `first` is awaited before the key is looked at: what it raises is told whatever that key was answered.
    """
    decoder = BodyDecoder(body) if body else None
    optional = decoder is not None and decoder.takes_nothing()
    rules = Rules(scope, limit, body, query, answers, codes, idempotency, digest, optional, form, media, takes_csv)

    def declare(handler: Callable[Concatenate[Call[B, Q], ...], Answering]) -> View:
        @wraps(handler)
        async def view(**path: str) -> Response:
            call = await _checked(rules, decoder, current_runtime())
            if any("\0" in part for part in path.values()):  # no id has one, and PostgreSQL takes none
                raise Problem("not_found")
            if first is not None:
                await first(call)
            handling = partial(handler, call, *path.values())
            if call.key is None:
                return respond(await opened(call.runtime, await handling()))
            return respond(await opened(call.runtime, await call.runtime.shielded(handling())))

        view.rules = rules  # type: ignore[attr-defined]
        return view

    return declare


async def _checked(rules: Rules, decoder: BodyDecoder | None, runtime: Runtime) -> Call[Any, Any]:
    ip = canonical(request.remote_addr or "") or ""
    caller = await _admit(rules, runtime, network_of(ip))
    document, decoded = None, None
    query = convert(_query(rules.query), rules.query) if rules.query else None
    if rules.takes_csv and request.mimetype == CSV:  # what stands in it already is renewed: a key adds nothing
        return Call(
            runtime, caller, None, query, None, b"", ip, g.traceparent, request.path, _only_looks(), _pieces()
        )
    if decoder:
        raw = await _raw() or (b"{}" if rules.body_optional else b"")
        document = parse(raw)
        decoded = decoder.decode(raw)
    key = read_key(rules.idempotency)
    made_of = await _fingerprint(rules, runtime, document) if key else b""
    return Call(runtime, caller, decoded, query, key, made_of, ip, g.traceparent, request.path, _only_looks())


def _only_looks() -> bool:
    headers = request.headers
    ahead = any(word in headers.get(name, "") for name in PURPOSES for word in ("prefetch", "preview"))
    return request.method == "HEAD" or ahead or headers.get("Sec-Fetch-Mode", "navigate") != "navigate"


def _query(kind: type[Any]) -> dict[str, str]:
    """The parameters of the query. Raises `InvalidFields` for one of `kind` that is given twice: which counts?"""
    given = request.args.to_dict(flat=False)
    if twice := [name for name in kind.__struct_fields__ if len(given.get(name, ())) > 1]:
        raise InvalidFields(*[FieldError(f"$.{name}", "Given more than once.") for name in twice])
    return {name: values[0] for name, values in given.items()}


async def _admit(rules: Rules, runtime: Runtime, network: str) -> Caller:
    if rules.scope is None:
        spend(runtime, rules.limit, network)
        return NOBODY
    return await admit(runtime, rules.scope, rules.limit, network)


async def admit(runtime: Runtime, scope: str, limit: str | None, network: str) -> Caller:
    """Who asks, by the token of this request, from `network`; also on a public route, for what not everybody may.

    Raises `NotAuthenticated`, and the problems `rate_limited`, `forbidden` and `not_confirmed`.
    """
    token = bearer_token(request.headers.getlist("Authorization"))
    if not runtime.tokens.remembers(token):  # its signature would have to be checked, which costs the most
        refuse_early(runtime.rate_limits.look("refused", network, monotonic()))
    try:
        caller = await identify(runtime, token)
    except NotAuthenticated:
        spend(runtime, "refused", network)
        raise
    g.caller = caller  # whatever they are answered, `cors` asks whose pages may read it
    spend(runtime, caller.limit_class or limit, caller.actor_id)
    check_scope(scope, caller)
    return caller


def check_scope(scope: str, caller: Caller) -> None:
    """Raises the problems `forbidden`, and `not_confirmed` for what staff may do once that is made up for."""
    if scope in caller.withheld:
        raise Problem("not_confirmed", SECOND_FACTOR_FIRST)
    if scope not in caller.scopes:
        raise Problem("forbidden")
    if caller.must_be_confirmed() and not caller.is_confirmed and scope not in OWN_SCOPES:
        raise Problem("not_confirmed")


def spend(runtime: Runtime, limit: str | None, key: str) -> None:
    """Take one request of `key` off a limit (None: unlimited). Raises the problem `rate_limited`."""
    if limit is not None:
        take(runtime.rate_limits, limit, key)


async def _raw() -> bytes:
    try:
        raw = await request.get_data(cache=False, as_text=False)
    except RequestEntityTooLarge:
        raise Problem("body_too_large") from None
    except RequestTimeout:
        raise Problem("body_timeout") from None
    assert isinstance(raw, bytes)
    return raw


async def _pieces() -> AsyncIterator[bytes]:
    if request.content_encoding:
        raise Problem("malformed_request", "A CSV comes as it is, without a Content-Encoding.")
    try:
        async for piece in request.body:
            yield piece
    except RequestEntityTooLarge:
        raise Problem("body_too_large", "This file is too long: send it in parts.") from None


async def _fingerprint(rules: Rules, runtime: Runtime, document: Any) -> bytes:
    made_of = material(request.method, request.path, document)
    if rules.digest == "vault":
        return await runtime.vault.digest(made_of)
    return fingerprint(runtime.key, made_of)
