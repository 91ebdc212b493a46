"""What becomes of a request for a code (RFC 6749 §4.1, OpenID Connect Core 1.0 §3.1.2): top-down in `answer`."""

from collections.abc import Mapping
from typing import Any

import msgspec
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.rfc6749 import AccessDeniedError, InvalidRequestError, InvalidScopeError
from authlib.oidc.core.errors import (
    ConsentRequiredError,
    LoginRequiredError,
    RegistrationNotSupportedError,
    RequestNotSupportedError,
    RequestURINotSupportedError,
)
from sqlalchemy import Connection

from gateway.books import accounts, consents
from gateway.books.browser_sessions import BrowserSession
from gateway.identity.logins import scopes_granted
from gateway.identity.oauth import Provider
from gateway.identity.oauth_clients import ASKED_SCOPES, IDENTITY_SCOPES, RegisteredClient
from gateway.identity.oauth_grants import Login
from gateway.identity.oauth_requests import PROMPTS, AuthorizationRequest
from gateway.identity.tokens import AccessTokens
from gateway.policy import SECOND_US
from gateway.return_urls import origin
from gateway.roles import SCOPES
from schemas.times import now_micros

UNSUPPORTED = {  # each would let a client say the same things in a second way
    "request": RequestNotSupportedError,
    "request_uri": RequestURINotSupportedError,
    "registration": RegistrationNotSupportedError,
}
KNOWN = {**SCOPES, **ASKED_SCOPES, **IDENTITY_SCOPES}


class Untrusted(msgspec.Struct, frozen=True):
    """It names no client that we know, or an address that the client did not register: nobody is sent there."""


class LogIn(msgspec.Struct, frozen=True):
    """The person logs in first, and comes back to this query."""

    query: str


class AskConsent(msgspec.Struct, frozen=True, kw_only=True):
    """The person is asked. `asks`: what the client could do, in words; `leads_to`: the origin it is reached at."""

    client: str
    account: str
    asks: list[str]
    leads_to: str


class SendBack(msgspec.Struct, frozen=True):
    """The browser goes back to the client, with a code or an error."""

    location: str


Outcome = Untrusted | LogIn | AskConsent | SendBack


def answer(
    conn: Connection,
    tokens: AccessTokens,
    key: bytes,
    given: Mapping[str, str],
    browser: BrowserSession | None,
    allows: bool | None = None,
) -> Outcome:
    """What becomes of a request for a code.

    `given`: its parameters; `browser`: the login on our own pages; `allows`: what the person said, if asked.

    An error goes back to an address that the client registered, and only once somebody has logged in here, unless
    the client asked for silence: whoever registers an address may mean to deceive (RFC 9700 §4.11.2).
    """
    provider, request = Provider(conn, tokens, key), AuthorizationRequest(given)
    client = provider.query_client(request.payload.client_id or "")
    if client is None or not client.check_redirect_uri(request.payload.redirect_uri or ""):
        return Untrusted()
    if browser is None and not request.is_silent():
        return LogIn(request.after_login(provider.key))
    try:
        grant = provider.get_consent_grant(request)
        _check_options(request)
        return _outcome(provider, request, grant, browser, allows)
    except OAuth2Error as error:
        error.state = request.payload.state
        return _send_back(provider, request, error.get_body())


def _check_options(request: AuthorizationRequest) -> None:
    """Raises the error for what we do not do."""
    given = request.payload.data
    for name, error in UNSUPPORTED.items():
        if name in given:
            raise error
    if given.get("response_mode", "query") != "query":
        raise InvalidRequestError("The response_mode is always query.")
    prompts = request.prompts()
    if not prompts <= PROMPTS or ("none" in prompts and len(prompts) > 1):
        raise InvalidRequestError("The prompt is none, or some of login, consent and select_account.")
    if not request.has_valid_max_age():
        raise InvalidRequestError("The max_age is a number of seconds.")


def _outcome(
    provider: Provider,
    request: AuthorizationRequest,
    grant: Any,
    browser: BrowserSession | None,
    allows: bool | None,
) -> Outcome:
    """A valid request. Raises the errors that the client is told."""
    if browser is None or not request.is_fresh(provider.key, browser.began_at):
        if request.is_silent():
            raise LoginRequiredError
        return LogIn(request.after_login(provider.key))
    login = _login(browser, request.scope.split())
    if allows is False or not _may_use(request.client, browser):
        raise AccessDeniedError
    if not login.scopes:
        raise InvalidScopeError
    if allows is None and _must_ask(provider.conn, request, login):
        if request.is_silent():
            raise ConsentRequiredError
        return _consent(provider.conn, request, login)
    if allows:
        consents.give(provider.conn, login.account_id, request.client.row.id, login.scopes, now_micros())
    _, _, headers = provider.create_authorization_response(request, grant_user=login, grant=grant)
    return SendBack(_with_issuer(provider, dict(headers)["Location"]))


def _may_use(client: RegisteredClient, browser: BrowserSession) -> bool:
    """What staff and merchants may do is for no app of others (docs/decisions/0042)."""
    return client.is_ours or browser.grant.role == "customer"


def _login(browser: BrowserSession, asked: list[str]) -> Login:
    grant = browser.grant
    return Login(
        account_id=grant.account_id,
        parent_id=browser.session_id,
        auth_time=browser.began_at // SECOND_US,
        amr="pwd otp mfa" if grant.second_factor_at is not None else "pwd",
        scopes=frozenset(asked) & (scopes_granted(grant) | IDENTITY_SCOPES.keys()),
    )


def _must_ask(conn: Connection, request: AuthorizationRequest, login: Login) -> bool:
    """Whether the person is asked: for a client that is not ours, until they allowed it all of this once."""
    prompts, client = request.prompts(), request.client
    if client.is_ours or "consent" in prompts:
        return "consent" in prompts
    allowed = consents.allowed(conn, login.account_id, client.row.id)
    return "select_account" in prompts or not login.scopes <= allowed


def _consent(conn: Connection, request: AuthorizationRequest, login: Login) -> AskConsent:
    account = accounts.by_id(conn, login.account_id)
    asks = [about for name, about in KNOWN.items() if name in login.scopes]
    leads_to = origin(request.payload.redirect_uri) or ""
    shown = (account.email or account.name) if account else ""
    return AskConsent(client=request.client.row.name, account=shown, asks=asks, leads_to=leads_to)


def _send_back(provider: Provider, request: AuthorizationRequest, params: list[tuple[str, str]]) -> SendBack:
    return SendBack(_with_issuer(provider, add_params_to_uri(request.payload.redirect_uri, params)))


def _with_issuer(provider: Provider, location: str) -> str:
    """Who answers stands in each answer, so that no client takes it for another provider's (RFC 9207)."""
    told: str = add_params_to_uri(location, [("iss", provider.tokens.issuer)])
    return told
