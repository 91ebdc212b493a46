"""Logout that an app asks for (OpenID Connect RP-Initiated Logout 1.0)."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oidc.rpinitiated import EndSessionEndpoint, EndSessionRequest
from sqlalchemy import Connection

from gateway.books import audit, sessions
from gateway.books.audit import Act
from gateway.books.browser_sessions import BrowserSession
from gateway.identity.oauth import Provider, ProviderRequest
from gateway.identity.oauth_requests import Text, Url
from gateway.identity.tokens import ID_TOKEN, LENGTH_MAX, AccessTokens, NotAuthenticated

Token = Annotated[str, msgspec.Meta(max_length=LENGTH_MAX)]


class LogoutQuery(msgspec.Struct, frozen=True):
    """RP-Initiated Logout 1.0 §2. Without an `id_token_hint` of ours the person is asked, and stays here."""

    id_token_hint: Token = ""
    client_id: Text = ""
    post_logout_redirect_uri: Url = ""
    state: Url = ""


class LoggedOut(msgspec.Struct, frozen=True):
    """The login has ended. `location`: where the browser goes on to; None where nothing registered was asked for.

    `of_browser`: whether this browser's login was among what ended.
    """

    location: str | None
    of_browser: bool


class EndSession(EndSessionEndpoint):  # type: ignore[misc]  # Authlib has no types
    """Ends the login that an ID token is of. `browser`: the login on our own pages of the browser that asks."""

    def __init__(self, server: Provider, browser: BrowserSession | None) -> None:
        super().__init__(server)
        self._browser = browser
        self.of_browser = False

    def _validate_id_token_hint(self, id_token_hint: str) -> dict[str, Any]:
        """Its claims, if it is an ID token of ours, however old; an access token is none."""
        try:
            claims: dict[str, Any] = self.server.tokens.decode(ID_TOKEN, id_token_hint)
        except NotAuthenticated:
            raise InvalidRequestError("The id_token_hint is none of ours.") from None
        if claims.get("iss") != self.server.tokens.issuer:
            raise InvalidRequestError("The id_token_hint is none of ours.")
        return claims

    def end_session(self, end_session_request: EndSessionRequest) -> None:
        """End the app's session and the login that it began in, with every other app in it.

        The browser's own is ended too where it is the same person's: somebody else's stays.
        """
        conn, claims = self.server.conn, end_session_request.id_token_claims
        app = sessions.by_id(conn, str(claims.get("sid")))
        if app is None or app.account_id != claims.get("sub"):
            return
        ended = {app.id, app.parent_id}
        if self._browser and self._browser.grant.account_id == app.account_id:
            ended.add(self._browser.session_id)
        for session_id in filter(None, ended):
            sessions.revoke(conn, session_id)
        self.of_browser = self._browser is not None and self._browser.session_id in ended
        audit.record(conn, Act("logout", app.account_id, app.id, {"client_id": app.client_id}))


def log_out(
    conn: Connection, tokens: AccessTokens, key: bytes, given: Mapping[str, str], browser: BrowserSession | None
) -> LoggedOut | None:
    """End the login that the request proves to be about; None where it proves nothing, and the person is asked.

    Without a proof anybody's page could log people out (§6).
    """
    endpoint = EndSession(Provider(conn, tokens, key), browser)
    fields = {name: value for name, value in given.items() if value}
    try:
        asked = endpoint.validate_request(ProviderRequest("GET", fields))
    except OAuth2Error:
        return None
    if asked.needs_confirmation:
        return None
    endpoint.end_session(asked)
    return LoggedOut(asked.redirect_uri, endpoint.of_browser)
