"""OAuth for services: tokens by client credentials, and the public key of all tokens."""

from typing import Any

import msgspec
from quart import Blueprint, request

from gateway.identity.oauth import TokenRequest, token_response
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint

blueprint = Blueprint("oauth", __name__)


class ServiceToken(msgspec.Struct, frozen=True):
    """RFC 6749 §5.1."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str


class OAuthError(msgspec.Struct, frozen=True):
    """RFC 6749 §5.2: OAuth clients read `error`, not problems."""

    error: str
    error_description: str = ""


class JsonWebKeySet(msgspec.Struct, frozen=True):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, Any]]


@blueprint.post("/oauth/token")
@endpoint(
    scope=None,
    limit="token",
    answers={200: ServiceToken, 400: OAuthError, 401: OAuthError},
    codes=("body_too_large", "body_timeout"),
    form=True,
)
async def create_token(call: Call[None, None]) -> Reply:
    """Exchange a client's credentials for an access token (`grant_type=client_credentials`, form-encoded)."""
    authorization = list(filter(None, request.headers.getlist("Authorization")))
    fields = (await request.form).to_dict(flat=False)
    if message := _wrong_parameters(authorization, fields):
        return Reply(400, OAuthError("invalid_request", message))
    given = {name: values[0] for name, values in fields.items() if values[0]}  # empty: as if it were left out
    form = TokenRequest({"Authorization": "".join(authorization)}, given)
    try:
        status, body, headers = await call.runtime.books.read(token_response, call.runtime.tokens, form)
    except UnicodeDecodeError:  # raised by Authlib for an Authorization header that is not UTF-8
        return Reply(401, OAuthError("invalid_client"), {"WWW-Authenticate": "Basic"})
    return Reply(status, body, dict(headers))


def _wrong_parameters(authorization: list[str], fields: dict[str, list[str]]) -> str | None:
    """RFC 6749 §3.2: no parameter may be there twice; §2.3: a client says who it is in one way."""
    if len(authorization) > 1 or any(len(values) > 1 for values in fields.values()):
        return "A parameter is given more than once."
    if authorization and "client_secret" in fields:
        return "The client's secret stands in the header and in the body."
    return None


@blueprint.get("/oauth/jwks")
@endpoint(scope=None, limit="public", answers={200: JsonWebKeySet})
async def read_keys(call: Call[None, None]) -> Reply:
    """Show the public keys that access tokens are signed with."""
    return Reply(200, call.runtime.tokens.keys.jwks())
