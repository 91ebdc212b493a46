"""Where apps send browsers: to log somebody in, and to log them out."""

from typing import Any, TypeVar, assert_never
from urllib.parse import urlencode

import msgspec
from quart import Blueprint, request

from gateway.identity.logins import lacks_second_factor
from gateway.identity.oauth_authorize import AskConsent, LogIn, SendBack, Untrusted, answer
from gateway.identity.oauth_logout import LogoutQuery, log_out
from gateway.identity.oauth_requests import CodeQuery
from gateway.pages.error_pages import ErrorWords, error_page
from gateway.pages.forms import FORM, submitted
from gateway.pages.next_page import with_next
from gateway.pages.render import leave_for, page, see
from gateway.problems import Problem
from gateway.web.browser_session import SESSION_COOKIE, browser_cookie, current
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.openapi import PAGE
from gateway.web.request_body import convert

blueprint = Blueprint("authorize", __name__)

HERE = "/oauth/authorize"
NOT_ASKED = ErrorWords("Please answer once more", "Go back to the app, and log in from there again.", "", "")

FormT = TypeVar("FormT", CodeQuery, LogoutQuery)


@blueprint.get(HERE)
@endpoint(
    scope=None,
    limit="public",
    query=CodeQuery,
    answers={200: str, 303: None, 403: str},
    codes=("unavailable",),
    media=PAGE,
)
async def authorize(call: Call[None, CodeQuery]) -> Reply:
    """Log somebody in to an app: go back to it with a code, by way of a login and a question where needed.

    What is wrong is told to the app, but where it names no client or no address that we know: then it is a page.
    """
    return await _answer(call, None)


@blueprint.post(HERE)
@endpoint(
    scope=None,
    limit="public",
    answers={303: None},
    codes=("body_too_large", "body_timeout", "invalid_request"),
    form=CodeQuery,
    media=PAGE,
)
async def authorize_by_form(call: Call[None, None]) -> Reply:
    """The same with the parameters in a form; it goes on as a GET, with which a browser sends its cookie."""
    return see(_request(await _form(CodeQuery)))


@blueprint.post("/oauth/consent")
@endpoint(
    scope=None,
    limit="public",
    query=CodeQuery,
    answers={200: str, 303: None, 403: str},
    codes=("forbidden", "body_too_large", "body_timeout", "unavailable"),
    form=True,
    media=PAGE,
)
async def decide(call: Call[None, CodeQuery]) -> Reply:
    """Allow an app what it asks for, or do not."""
    try:
        fields = await submitted()
    except Problem as problem:
        if problem.code != "forbidden":
            raise
        return error_page(403, problem.detail, NOT_ASKED)
    return await _answer(call, fields["decision"] == "allow")


@blueprint.get("/oauth/logout")
@endpoint(scope=None, limit="public", query=LogoutQuery, answers={303: None}, codes=("unavailable",), media=PAGE)
async def log_out_by_link(call: Call[None, LogoutQuery]) -> Reply:
    """Log somebody out who comes from an app, and go back there."""
    return await _log_out(call, call.query)


@blueprint.post("/oauth/logout")
@endpoint(
    scope=None,
    limit="public",
    answers={303: None},
    codes=("body_too_large", "body_timeout", "invalid_request", "unavailable"),
    form=LogoutQuery,
    media=PAGE,
)
async def log_out_by_form(call: Call[None, None]) -> Reply:
    """The same with the parameters in a form."""
    return await _log_out(call, await _form(LogoutQuery))


async def _answer(call: Call[None, CodeQuery], allows: bool | None) -> Reply:
    runtime, given = call.runtime, msgspec.structs.asdict(call.query)
    browser = await current(call)
    if browser and lacks_second_factor(browser.grant, runtime.seeded_ids):
        return see(with_next("/login", _request(call.query)))  # where they set one up
    run = runtime.books.write if browser else runtime.books.read  # nobody is given anything who is not logged in
    outcome = await run(answer, runtime.tokens, runtime.key, given, browser, allows)
    match outcome:
        case Untrusted():
            return _untrusted()
        case LogIn():
            login = "/login?again" if browser else "/login"
            return see(with_next(login, f"{HERE}?{outcome.query}"))
        case AskConsent():
            return _ask(outcome, call.query)
        case SendBack():
            # In answer to a form a redirect to another origin would be held up by our own `form-action`.
            is_form = allows is not None
            return leave_for(outcome.location) if is_form else see(outcome.location)
        case _:
            assert_never(outcome)


def _ask(asked: AskConsent, query: CodeQuery) -> Reply:
    action = _request(query, "/oauth/consent")
    return page("consent.html", action=action, hidden={}, **msgspec.structs.asdict(asked))


def _request(query: CodeQuery, path: str = HERE) -> str:
    given = msgspec.structs.asdict(query)
    return f"{path}?{urlencode({name: value for name, value in given.items() if value})}"


async def _form(kind: type[FormT]) -> FormT:
    """The fields of a form from anywhere. Raises the problem `malformed_request`, `InvalidFields`."""
    given = (await request.form).to_dict(flat=False)
    if request.mimetype != FORM or any(len(values) > 1 for values in given.values()):
        raise Problem("malformed_request", "It comes as a form, in which each field stands once.")
    form: FormT = convert({name: values[0] for name, values in given.items()}, kind)
    return form


def _untrusted() -> Reply:
    problem = "The app that sent you here is not registered with us, or named an address that it did not register."
    what_to_do = "Go back to the app and try again. If you see this once more, tell those who run it."
    return error_page(403, problem, ErrorWords("This link cannot be used", what_to_do, "", ""))


async def _log_out(call: Call[Any, Any], asked: LogoutQuery) -> Reply:
    runtime, browser, given = call.runtime, await current(call), msgspec.structs.asdict(asked)
    if call.only_looks:
        return see("/logout")
    ended = await runtime.books.write(log_out, runtime.tokens, runtime.key, given, browser)
    if ended is None:
        return see("/logout")
    cookies = (browser_cookie(SESSION_COOKIE, "", 0),) if ended.of_browser else ()
    return see(ended.location or "/logout", cookies)
