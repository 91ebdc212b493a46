"""Setting up a second factor in the browser: a QR code for an authenticator app, recovery codes, a first code."""

from io import BytesIO
from secrets import token_urlsafe

import segno
from markupsafe import Markup
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books import browser_sessions
from gateway.identity import second_factors, totp
from gateway.identity.confirmations import ConfirmationRules
from gateway.identity.logins import is_fresh, lacks_second_factor
from gateway.identity.second_factors import OtpRequired, SecondFactorIsSet, new_second_factor
from gateway.identity.tokens import hash_secret
from gateway.pages.forms import FORM_CODES, missing, submitted
from gateway.pages.next_page import asked_for, with_next
from gateway.pages.render import notice, page, see
from gateway.web.browser_session import current, session_cookie
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.openapi import PAGE

blueprint = Blueprint("second_factor_pages", __name__)

GROUP = 4  # letters of the secret, as people read and type it
QUIET_ZONE = 4  # modules around a QR code, as ISO/IEC 18004 asks for
ALT = "QR code for your authenticator app"
WRONG_CODE = "That code does not fit. Type the newest one that your app shows for Sluice."


@blueprint.get("/second-factor")
@endpoint(scope=None, limit="public", answers={200: str, 303: None}, media=PAGE)
async def show_why(call: Call[None, None]) -> Reply:
    """Say why to set up a second factor, and what one needs."""
    session = await current(call)
    if session is None:
        return _log_in_first("/login")
    must = lacks_second_factor(session.grant, call.runtime.seeded_ids)
    if session.grant.second_factor_at is not None:
        return see(with_next("/login", asked_for()))
    if not is_fresh(session.session_id):
        return _log_in_first("/login?again")
    return page("factor_intro.html", must=must, action=with_next("/second-factor", asked_for()))


@blueprint.post("/second-factor")
@endpoint(
    scope=None,
    limit="login",
    answers={200: str, 303: None},
    codes=FORM_CODES,
    form=True,
    media=PAGE,
)
async def show_secret(call: Call[None, None]) -> Reply:
    """Make a secret and recovery codes, and show them, once. They count once a code of the secret came back."""
    await submitted()
    session, new = await current(call), new_second_factor()
    if session is None or not is_fresh(session.session_id):
        return _log_in_first("/login?again" if session else "/login")
    books, key = call.runtime.books, call.runtime.key
    try:
        email = await books.write(second_factors.set_up, key, session.grant.account_id, new)
    except SecondFactorIsSet:
        return see(with_next("/login?again", asked_for()))
    uri = totp.uri(new.secret, email)
    return page(
        "factor_setup.html",
        wide=True,
        qr=qr_code(uri, ALT),
        uri=uri,
        secret=_grouped(totp.readable(new.secret)),
        recovery_codes=new.recovery_codes,
        action=with_next("/second-factor/confirm", asked_for()),
    )


@blueprint.post("/second-factor/confirm")
@endpoint(
    scope=None,
    limit="login",
    answers={200: str, 303: None, 401: str, 422: str},
    codes=FORM_CODES,
    form=True,
    media=PAGE,
)
async def confirm_code(call: Call[None, None]) -> Reply:
    """The first code: from now on the second factor counts, and this login has proved it."""
    fields, session, token = await submitted(), await current(call), token_urlsafe(32)
    if session is None:
        return _log_in_first("/login")
    if errors := missing(fields, otp="Enter the code that your app shows."):
        return _code_form(422, errors)
    made_of = (
        call.runtime.confirmation_rules,
        session.grant.account_id,
        session.session_id,
        fields["otp"].strip(),
    )
    try:
        await call.runtime.books.write(_confirm, *made_of, hash_secret(token))
    except OtpRequired:
        return _code_form(401, {"otp": WRONG_CODE})
    except SecondFactorIsSet:
        return see(with_next("/login?again", asked_for()))
    return see(with_next("/second-factor/done", asked_for()), (session_cookie(token),))


@blueprint.get("/second-factor/done")
@endpoint(scope=None, limit="public", answers={200: str}, media=PAGE)
async def show_done(call: Call[None, None]) -> Reply:
    """Say that the second factor counts."""
    text = "From now on you log in with your password and a code of your app."
    return notice("Your second factor is on", text, link=with_next("/login", asked_for()))


def qr_code(text: str, about: str) -> Markup:
    """The QR code of a text as inline SVG, which screen readers read out as `about`.

    Dark on white in either scheme: not every camera reads inverse ones.
    """
    drawn = BytesIO()
    code = segno.make_qr(text, error="m")
    code.save(
        drawn,
        kind="svg",
        xmldecl=False,
        svgns=False,
        omitsize=True,
        nl=False,
        border=QUIET_ZONE,
        light="#fff",
        svgclass=None,
        lineclass=None,
    )
    svg = Markup(drawn.getvalue().decode())  # noqa: S704  # numbers alone
    return Markup('<div class="qr" role="img" aria-label="{}">{}</div>').format(about, svg)


def _confirm(
    conn: Connection, rules: ConfirmationRules, account_id: str, session_id: str, otp: str, token_hash: bytes
) -> None:
    """The login is worth more than before: another cookie opens it (OWASP ASVS 5.0, 7.2.4)."""
    second_factors.confirm(conn, rules, account_id, session_id, otp)
    browser_sessions.renew(conn, session_id, token_hash)


def _log_in_first(login: str) -> Reply:
    """Who finds a browser open is not yet its owner, whom a second factor of somebody else would lock out."""
    return see(with_next(login, with_next("/second-factor", asked_for())))


def _code_form(status: int, errors: dict[str, str]) -> Reply:
    again = with_next("/second-factor", asked_for())
    action = with_next("/second-factor/confirm", asked_for())
    return page("factor_setup.html", status, errors=errors, secret="", action=action, again=again)


def _grouped(text: str) -> str:
    return " ".join(text[start : start + GROUP] for start in range(0, len(text), GROUP))
