"""What clients are told of us (OpenID Connect Discovery 1.0 §3, RFC 8414)."""

from typing import Any

from authlib.oauth2 import rfc9207
from authlib.oidc import discovery, rpinitiated

from gateway.identity.oauth_clients import IDENTITY_SCOPES, SECRET_METHODS
from gateway.identity.oauth_requests import PROMPTS
from gateway.identity.signing_keys import ALGORITHM
from gateway.roles import SCOPES

CLAIMS = (
    "iss",
    "aud",
    "sub",
    "iat",
    "exp",
    "auth_time",
    "nonce",
    "at_hash",
    "amr",
    "sid",
    "name",
    "email",
    "email_verified",
    "roles",
)


def metadata(public_url: str, internal_url: str) -> dict[str, Any]:
    """The document for clients whose browsers reach us at `public_url`, and their servers at `internal_url`."""
    methods = ["none", *SECRET_METHODS]
    return {
        "issuer": public_url,
        "authorization_endpoint": f"{public_url}/oauth/authorize",
        "token_endpoint": f"{internal_url}/oauth/token",
        "revocation_endpoint": f"{internal_url}/oauth/revoke",
        "jwks_uri": f"{internal_url}/oauth/jwks",
        "end_session_endpoint": f"{public_url}/oauth/logout",
        "service_documentation": f"{public_url}/docs",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": sorted(PROMPTS),
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "subject_types_supported": ["public"],
        "scopes_supported": [*IDENTITY_SCOPES, *SCOPES],
        "claims_supported": list(CLAIMS),
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


def check() -> None:
    """Raises `ValueError` where the document is none that clients can read."""
    # As if it were of any https issuer: `GatewaySettings` allows others on this machine alone. RS256 must be there
    # by Discovery 1.0 §3; nothing is signed by it here, so that no key of another kind is ever tried.
    document = discovery.OpenIDProviderMetadata(metadata("https://localhost", "https://localhost"))
    document["id_token_signing_alg_values_supported"].append("RS256")
    document.validate(metadata_classes=[rpinitiated.OpenIDProviderMetadata, rfc9207.AuthorizationServerMetadata])
