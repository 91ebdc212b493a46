"""Apps that people log in to, and the browsers of those people: what tests of the OpenID provider drive."""

import base64
import hashlib
import re
from html import unescape
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import Connection

from gateway.books import accounts, browser_sessions, clients
from gateway.books.clients import OAuthClient
from gateway.books.sessions import SessionRow
from gateway.identity.tokens import hash_secret
from gateway.policy import DAY_US
from schemas.ids import new_id
from schemas.times import now_micros, steady_micros
from tests.gateway.conftest import Answer, Gateway

ACTION = re.compile(r'<form method="post" action="([^"]+)"')
TOKEN = re.compile(r'name="form_token" value="([^"]+)"')
LEAVES = re.compile(r'<meta http-equiv="refresh" content="0;url=([^"]+)"')
FORM = "application/x-www-form-urlencoded"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
DESK = "https://desk.example/cb"  # ours, confidential
SHOP = "https://shop.example/cb?from=sluice"  # a merchant's, confidential
PHONE = "https://app.example/cb"  # a merchant's, public
NATIVE = "http://127.0.0.1/cb"  # the same, on the phone itself
NO_LOOPBACK = ("http://localhost/cb", "http://127.0.0.2/cb")  # good as they are, with no other port
CUSTOMER, MERCHANT = "customer@example.com", "merchant@example.com"
SCOPE = "openid profile email roles payments:read"


class App(msgspec.Struct, frozen=True):
    """A client as it is registered. `secret` empty: a public one."""

    id: str
    secret: str
    redirect_uri: str


class Apps(msgspec.Struct, frozen=True):
    """The three kinds: ours, a merchant's with a server, a merchant's without a secret."""

    desk: App
    shop: App
    phone: App


class Browser(msgspec.Struct, frozen=True):
    """Somebody's browser: the cookie of their login, and the session that it opens."""

    gateway: Gateway
    cookie: str
    session_id: str

    async def get(self, path: str, **headers: str) -> Answer:
        """Go to a page; nothing is followed."""
        return await self.gateway.ask("GET", path, Cookie=self.cookie, **headers)

    async def authorize(self, app: App, **changes: str | None) -> Answer:
        """Come from the app with its request for a code; a change to None leaves a parameter out."""
        return await self.get(f"/oauth/authorize?{urlencode(asked(app, **changes))}")

    async def decide(self, app: App, decision: str, **changes: str | None) -> Answer:
        """Answer the question that the app's request leads to; the address that it ends at is in `Location`."""
        shown = await self.authorize(app, **changes)
        assert shown.status == 200, (shown.status, shown.headers)
        action, token = ACTION.findall(shown.body.decode())[0], TOKEN.findall(shown.body.decode())[0]
        return await self.send(unescape(action), shown, form_token=token, decision=decision)

    async def send(self, path: str, shown: Answer, /, **fields: str) -> Answer:
        """Send a form of the page that was shown; the page that leads elsewhere counts as a redirect."""
        cookie = f"{self.cookie}; {shown.headers['Set-Cookie'].partition(';')[0]}"
        body = urlencode(fields).encode()
        answer = await self.gateway.ask("POST", path, body, Cookie=cookie, content_type=FORM)
        if goes_to := LEAVES.findall(answer.body.decode()):
            return Answer(303, b"", {"Location": unescape(goes_to[0])})
        return answer

    async def code(self, app: App, **changes: str | None) -> str:
        """The code that the app gets."""
        return sent(await self.authorize(app, **changes))["code"]


def asked(app: App, **changes: str | None) -> dict[str, str]:
    """A request for a code."""
    given = {
        "response_type": "code",
        "client_id": app.id,
        "redirect_uri": app.redirect_uri,
        "scope": SCOPE,
        "state": "s t&a=te",
        "nonce": "n",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return {name: value for name, value in (given | changes).items() if value is not None}


def sent(answer: Answer) -> dict[str, str]:
    """What the client is told in the address that the browser is sent to."""
    assert answer.status == 303, (answer.status, answer.body)
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def next_of(answer: Answer) -> str:
    """The page of ours that a login leads on to."""
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))["next"]


async def trade(gateway: Gateway, app: App, **fields: str) -> Answer:
    """Ask for tokens as the app does."""
    sent: dict[str, str] = {"client_id": app.id} | ({"client_secret": app.secret} if app.secret else {})
    return await gateway.ask("POST", "/oauth/token", urlencode(sent | fields).encode(), content_type=FORM)


async def redeem(gateway: Gateway, app: App, code: str, **changes: str) -> Answer:
    """Exchange a code."""
    given = {"grant_type": "authorization_code", "code": code, "redirect_uri": app.redirect_uri}
    return await trade(gateway, app, **given | {"code_verifier": VERIFIER} | changes)


async def refresh(gateway: Gateway, app: App, token: str, **changes: str) -> Answer:
    """Exchange a refresh token."""
    return await trade(gateway, app, grant_type="refresh_token", refresh_token=token, **changes)


async def tokens_of(browser: Browser, app: App, **changes: str | None) -> Any:
    """The tokens that a login gives the app."""
    answer = await redeem(browser.gateway, app, await browser.code(app, **changes))
    assert answer.status == 200, answer.body
    return answer.json


async def claims_of(gateway: Gateway, token: str) -> dict[str, Any]:
    """The claims of a JWT that the published keys verify."""
    keys = KeySet.import_key_set((await gateway.ask("GET", "/oauth/jwks")).json)
    return dict(jwt.decode(token, keys, algorithms=["ES256"]).claims)


async def log_in(gateway: Gateway, email: str, *, ago_s: int = 0, second_factor: bool = False) -> Browser:
    """A browser in which that account logged in `ago_s` seconds ago."""
    cookie, session_id, at = token_urlsafe(32), new_id("ses"), now_micros() - ago_s * 1_000_000

    def begin(conn: Connection) -> None:
        account = accounts.by_email(conn, email)
        assert account is not None
        session = SessionRow(
            id=session_id,
            account_id=account.id,
            created_at=at,
            kind="browser",
            last_used_at=at,
            second_factor_at=at if second_factor else None,
        )
        browser_sessions.start(conn, session, hash_secret(cookie), steady_micros(), DAY_US)

    await gateway.runtime.books.write(begin)
    return Browser(gateway, f"sluice_session={cookie}", session_id)


async def register(gateway: Gateway, app: App, scopes: str, *, owner: str | None = None, **changes: Any) -> App:
    """Write a client. `owner`: the e-mail address of the merchant whose it is; None: it is ours."""

    def write(conn: Connection) -> None:
        merchant = accounts.by_email(conn, owner) if owner else None
        client = OAuthClient(
            id=app.id,
            account_id=merchant.id if merchant else None,
            name=f"App {app.id}",
            type="confidential" if app.secret else "public",
            scopes=scopes,
            redirect_uris=msgspec.json.encode([app.redirect_uri, NATIVE, *NO_LOOPBACK]).decode(),
            post_logout_redirect_uris=msgspec.json.encode([f"{app.redirect_uri}#out", app.redirect_uri]).decode(),
            created_at=now_micros(),
        )
        changed = msgspec.structs.replace(client, **changes)
        clients.add(conn, changed, hash_secret(app.secret) if app.secret else None)

    await gateway.runtime.books.write(write)
    return app


async def register_apps(gateway: Gateway) -> Apps:
    """Write the three clients."""
    made = Apps(
        App("desk", token_urlsafe(32), DESK), App("shop", token_urlsafe(32), SHOP), App("phone", "", PHONE)
    )
    await register(gateway, made.desk, "payments:read reviews:read reviews:write")
    await register(gateway, made.shop, "payments:read refunds:write", owner=MERCHANT)
    await register(gateway, made.phone, "payments:read payments:write refunds:write", owner=MERCHANT)
    return made
