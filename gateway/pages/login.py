"""Logging in on our own pages: password, then code, and on to where one came from. And out: asked, then done."""

from typing import Any

from quart import Blueprint, request

from gateway.books import accounts
from gateway.books.browser_sessions import BrowserSession
from gateway.identity.login_tries import LoginCaller
from gateway.identity.logins import (
    InvalidCredentials,
    begin_session,
    caller_on,
    check_password,
    check_second_factor,
    lacks_second_factor,
)
from gateway.identity.second_factors import OtpRequired
from gateway.pages import half_login
from gateway.pages.forms import FORM_CODES, missing, submitted
from gateway.pages.next_page import asked_for, with_next
from gateway.pages.render import leave_for, notice, page, see
from gateway.web.browser_session import current, end, session_cookie
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.known_device import device_cookie, whence_of
from gateway.web.openapi import PAGE
from schemas.times import from_micros

blueprint = Blueprint("login_pages", __name__)

WRONG = "The e-mail address or the password is wrong. Try again, or have yourself sent a link for a new password."
LATE = "That took a while, so we ask once more: log in with your password."
WRONG_CODE = "That code is not right, or was used before. Wait for the next one and type it."
WRONG_RECOVERY_CODE = "That recovery code is not right, or was used before. Take another one."


@blueprint.get("/login")
@endpoint(scope=None, limit="public", answers={200: str, 303: None}, media=PAGE)
async def show_login(call: Call[None, None]) -> Reply:
    """Show the login; who is logged in goes on to the page that `next` names, if it is one of ours.

    With `again` it is shown to them too: an app may ask for a new login.
    """
    session = await current(call)
    if session is None or "again" in request.args:
        return _form()
    if lacks_second_factor(session.grant, call.runtime.seeded_ids):
        return see(with_next("/second-factor", asked_for()))
    return leave_for(asked_for()) if asked_for() else await _signed_in(call, session)


@blueprint.post("/login")
@endpoint(
    scope=None,
    limit="login",
    answers={303: None, 401: str, 422: str},
    codes=FORM_CODES,
    form=True,
    media=PAGE,
)
async def log_in(call: Call[None, None]) -> Reply:
    """Log in with the password; who has a second factor is asked for it next."""
    fields = await submitted()
    asked = {"email": "Enter your e-mail address.", "password": "Enter your password."}
    if errors := missing(fields, **asked):
        return _form(422, email=fields["email"], errors=errors)
    try:
        caller = await check_password(call.runtime, fields["email"], fields["password"], whence_of(call.ip))
        return await after_password(call, caller)
    except InvalidCredentials:
        return _form(401, email=fields["email"], problem=WRONG)


@blueprint.get("/login/otp")
@endpoint(scope=None, limit="public", answers={200: str, 401: str}, media=PAGE)
async def show_code(call: Call[None, None]) -> Reply:
    """Ask for the code of the second factor."""
    return _code_form() if half_login.found() else _form(401, problem=LATE)


@blueprint.post("/login/otp")
@endpoint(
    scope=None,
    limit="login",
    answers={303: None, 401: str, 422: str},
    codes=FORM_CODES,
    form=True,
    media=PAGE,
)
async def give_code(call: Call[None, None]) -> Reply:
    """Log in with the code, or with a recovery code."""
    fields, half = await submitted(), half_login.found()
    if half is None:
        return _form(401, problem=LATE)
    if errors := missing(fields, otp="Enter the code."):
        return _code_form(422, errors)
    try:
        caller = await caller_on(call.runtime, half.account_id, whence_of(call.ip))
        if caller.account is None or not half.is_of(caller.account):
            return _form(401, problem=LATE)
        proved = await check_second_factor(call.runtime, caller, fields["otp"].strip())
        return await _begin(call, caller, proved=proved)
    except OtpRequired:
        return _code_form(401, {"otp": WRONG_RECOVERY_CODE if _is_by_recovery() else WRONG_CODE})
    except InvalidCredentials:
        return _form(401, problem=WRONG)


@blueprint.get("/logout")
@endpoint(scope=None, limit="public", answers={200: str}, media=PAGE)
async def show_logout(call: Call[None, None]) -> Reply:
    """Ask whether to log out; say that one is, where nobody is logged in."""
    session = await current(call)
    if session is None:
        text = "You are logged out here, and out of every app that you opened with that login."
        return notice("You are logged out", text, link="/login", link_text="Log in again")
    account = await call.runtime.books.read(accounts.by_id, session.grant.account_id)
    return page("logout.html", account=account.email if account else "", hidden={})


@blueprint.post("/logout")
@endpoint(
    scope=None,
    limit="public",
    answers={303: None},
    codes=FORM_CODES,
    form=True,
    media=PAGE,
)
async def log_out(call: Call[None, None]) -> Reply:
    """End the login of this browser, and what began in it."""
    await submitted()
    session = await current(call)
    return see("/logout", (await end(call, session),) if session else ())


async def after_password(call: Call[Any, Any], caller: LoginCaller) -> Reply:
    """Where somebody goes whose password was right, or who has just set it. Raises `InvalidCredentials`."""
    if caller.second_factor is not None and caller.account is not None:
        return see(with_next("/login/otp", asked_for()), (half_login.begun(caller.account),))
    return await _begin(call, caller, proved=False)


async def _begin(call: Call[Any, Any], caller: LoginCaller, *, proved: bool) -> Reply:
    """Begin the session in this browser, in the place of the one that it had."""
    before = await current(call)
    begun = await begin_session(call.runtime, caller, whence_of(call.ip), proved=proved, kind="browser")
    if before:
        await end(call, before)
    cookies = (session_cookie(begun.token), device_cookie(call.runtime, begun.device), half_login.over())
    return see(with_next("/login", asked_for()), cookies)


async def _signed_in(call: Call[Any, Any], session: BrowserSession) -> Reply:
    account = await call.runtime.books.read(accounts.by_id, session.grant.account_id)
    began = from_micros(session.began_at)
    return page(
        "signed_in.html",
        account=account.email if account else "",
        since=f"{began.day} {began:%B %Y, %H:%M} UTC",
        second_factor=session.grant.second_factor_at is not None,
        is_confirmed=session.grant.is_confirmed,
    )


def _form(status: int = 200, **fields: Any) -> Reply:
    """The login form. It goes to `/login` from wherever it is shown."""
    links = {"action": with_next("/login", asked_for()), "register": with_next("/register", asked_for())}
    return page("login.html", status, **{"email": ""} | links | fields)


def _code_form(status: int = 200, errors: dict[str, str] | None = None) -> Reply:
    here, by_recovery = with_next("/login/otp", asked_for()), with_next("/login/otp?recovery", asked_for())
    return page(
        "otp.html",
        status,
        errors=errors or {},
        by_recovery=_is_by_recovery(),
        action=by_recovery if _is_by_recovery() else here,
        other=here if _is_by_recovery() else by_recovery,
        restart=with_next("/login", asked_for()),
    )


def _is_by_recovery() -> bool:
    return "recovery" in request.args
