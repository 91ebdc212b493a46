"""OAuth and OpenID Connect for clients: who we are, tokens, their end, and the keys they are signed with."""

from typing import Any, Literal

import msgspec
from quart import Blueprint, request

from gateway.identity.oauth import Answering, ProviderRequest, TokenResponse, revocation_response, token_response
from gateway.identity.oauth_metadata import metadata
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint

blueprint = Blueprint("oauth", __name__)

CACHEABLE = {"Cache-Control": "public, max-age=300"}  # less than a new key is known before it signs


class TokenForm(msgspec.Struct, frozen=True):
    """RFC 6749 §4.1.3, §4.4.2 and §6. A client may also say in `Authorization: Basic` who it is."""

    grant_type: Literal["authorization_code", "refresh_token", "client_credentials"]
    client_id: str = ""
    client_secret: str = ""
    code: str = ""
    redirect_uri: str = ""
    code_verifier: str = ""
    refresh_token: str = ""
    scope: str = ""


class RevocationForm(msgspec.Struct, frozen=True):
    """RFC 7009 §2.1. A client may also say in `Authorization: Basic` who it is."""

    token: str
    token_type_hint: Literal["access_token", "refresh_token", ""] = ""
    client_id: str = ""
    client_secret: str = ""


class TokenAnswer(msgspec.Struct, frozen=True):
    """RFC 6749 §5.1. A `refresh_token` comes with the scope `offline_access`, an `id_token` with `openid`."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str
    refresh_token: str | None = None
    id_token: str | None = None


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
    answers={200: TokenAnswer, 400: OAuthError, 401: OAuthError},
    codes=("body_too_large", "body_timeout", "unavailable"),
    form=TokenForm,
)
async def create_token(call: Call[None, None]) -> Reply:
    """Exchange a code, a refresh token or a client's own credentials for an access token (form-encoded).

    A code that comes again ends the session that it began, a refresh token that comes again the session that it is
    of; but for ten seconds the very same refresh token is answered the same way, while its successor is not used.
    """
    return await _answer(call, token_response)


@blueprint.post("/oauth/revoke")
@endpoint(
    scope=None,
    limit="token",
    answers={200: dict[str, Any], 400: OAuthError, 401: OAuthError},
    codes=("body_too_large", "body_timeout", "unavailable"),
    form=RevocationForm,
)
async def revoke_token(call: Call[None, None]) -> Reply:
    """End the session of an access or refresh token, with every token of it (RFC 7009).

    What is no token, or none any more, is no error. A client's own access token runs out by itself.
    """
    return await _answer(call, revocation_response)


@blueprint.get("/oauth/jwks")
@endpoint(scope=None, limit="public", answers={200: JsonWebKeySet})
async def read_keys(call: Call[None, None]) -> Reply:
    """Show the public keys that tokens are signed with: of now, the next ones, and those of tokens still good."""
    return Reply(200, call.runtime.tokens.keys.jwks(), CACHEABLE)


@blueprint.get("/.well-known/openid-configuration")
@endpoint(scope=None, limit="public", answers={200: dict[str, Any]})
async def read_configuration(call: Call[None, None]) -> Reply:
    """Describe this OpenID provider (OpenID Connect Discovery 1.0)."""
    return _configuration(call)


@blueprint.get("/.well-known/oauth-authorization-server")
@endpoint(scope=None, limit="public", answers={200: dict[str, Any]})
async def read_server(call: Call[None, None]) -> Reply:
    """Describe this OAuth server (RFC 8414): the same."""
    return _configuration(call)


@blueprint.get("/.well-known/openid-configuration/internal")
@endpoint(scope=None, limit="public", answers={200: dict[str, Any]})
async def read_internal_configuration(call: Call[None, None]) -> Reply:
    """Describe this OpenID provider to servers beside it, which reach it by another address than browsers do."""
    settings = call.runtime.settings
    return Reply(200, metadata(settings.public_url, settings.internal_url), CACHEABLE)


def _configuration(call: Call[None, None]) -> Reply:
    url = call.runtime.settings.public_url
    return Reply(200, metadata(url, url), CACHEABLE)


async def _answer(call: Call[None, None], answering: Answering) -> Reply:
    authorization = list(filter(None, request.headers.getlist("Authorization")))
    fields = (await request.form).to_dict(flat=False)
    if message := _wrong_parameters(authorization, fields):
        return Reply(400, OAuthError("invalid_request", message))
    given = {name: values[0] for name, values in fields.items() if values[0]}  # empty: as if it were left out
    form = ProviderRequest("POST", given, {"Authorization": "".join(authorization)})
    runtime = call.runtime
    try:
        answered: TokenResponse = await runtime.books.write(answering, runtime.tokens, runtime.key, form)
    except UnicodeDecodeError:  # raised by Authlib for an Authorization header that is not UTF-8
        return Reply(401, OAuthError("invalid_client"), {"WWW-Authenticate": "Basic"})
    status, body, headers = answered
    return Reply(status, body, dict(headers))


def _wrong_parameters(authorization: list[str], fields: dict[str, list[str]]) -> str | None:
    """RFC 6749 §3.2: no parameter may be there twice; §2.3: a client says who it is in one way."""
    if len(authorization) > 1 or any(len(values) > 1 for values in fields.values()):
        return "A parameter is given more than once."
    if authorization and "client_secret" in fields:
        return "The client's secret stands in the header and in the body."
    return None
