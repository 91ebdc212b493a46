"""A client that nobody here wrote, Authlib's own for OpenID Connect, logs somebody in at a served gateway."""

import asyncio
from typing import Any

import flask
import pytest
import requests
from authlib.integrations.flask_client import OAuth

from tests.gateway.conftest import Gateway
from tests.gateway.routes.apps import CUSTOMER, App, log_in, register
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLBACK = "http://localhost/callback"
SCOPE = "openid profile email roles offline_access payments:read"


def relying_party(issuer: str, app: App) -> flask.Flask:
    """An app as its makers write it, with nothing but the address of our description."""
    made = flask.Flask("relying-party")
    made.secret_key = "of this test"
    client: Any = OAuth(made).register(
        "sluice",
        client_id=app.id,
        client_secret=app.secret or None,
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": SCOPE, "code_challenge_method": "S256"},
    )
    made.add_url_rule("/login", "login", lambda: client.authorize_redirect(CALLBACK))
    made.add_url_rule("/callback", "callback", lambda: flask.jsonify(client.authorize_access_token()))
    return made


def log_in_at(party: flask.Flask, cookie: str, token_endpoint: str, app: App) -> tuple[Any, Any]:
    """What the app learns, and what a refresh gives it."""
    with party.test_client() as client:
        asks = client.get("/login").headers["Location"]
        answer = requests.get(asks, headers={"Cookie": cookie}, allow_redirects=False, timeout=PATIENCE_S)
        made = client.get(answer.headers["Location"]).get_json()
    form = {"grant_type": "refresh_token", "refresh_token": made["refresh_token"]}
    refreshed = requests.post(token_endpoint, form, auth=(app.id, app.secret), timeout=PATIENCE_S)
    return made, refreshed.json()


async def test_authlibs_client_logs_in_and_refreshes(served: Gateway) -> None:
    issuer = served.runtime.settings.public_url
    app = await register(served, App("party", "party-secret", CALLBACK), "payments:read")
    browser = await log_in(served, CUSTOMER)
    party = relying_party(issuer, app)
    made, refreshed = await asyncio.to_thread(log_in_at, party, browser.cookie, f"{issuer}/oauth/token", app)
    known = made["userinfo"]  # of the ID token, which the client has checked
    assert (known["iss"], known["aud"], known["email"]) == (issuer, "party", CUSTOMER)
    assert known["name"] == "Casey Customer"
    for token in (made["access_token"], refreshed["access_token"]):
        assert (await served.ask("GET", "/v1/payments", who=token)).status == 200
