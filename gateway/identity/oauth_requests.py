"""A request for a code: its parameters, and whether the login of the person is as new as it asks for."""

from collections.abc import Mapping
from hmac import compare_digest
from typing import Annotated
from urllib.parse import urlencode

import msgspec

from gateway.identity.oauth import ProviderRequest
from gateway.keyed_hashes import keyed_hash
from gateway.policy import MINUTE_US, SECOND_US
from schemas.times import now_micros

PROMPTS = frozenset({"none", "login", "consent", "select_account"})
MAX_AGE_MAX = 10**9
SINCE = "login_since"  # our own parameter: when we sent the person to log in, with a keyed hash
LOGIN_US = 30 * MINUTE_US  # how long that may take

Text = Annotated[str, msgspec.Meta(max_length=512)]
Url = Annotated[str, msgspec.Meta(max_length=2_048)]


class CodeQuery(msgspec.Struct, frozen=True):
    """OpenID Connect Core 1.0 §3.1.2.1. `login_since` is our own: how we know that a person was sent to log in.

    `code_challenge` is needed, by the `code_challenge_method` S256, and `redirect_uri`, as it is registered.
    `request`, `request_uri` and `registration` are not supported.
    """

    response_type: Text = ""
    client_id: Text = ""
    redirect_uri: Url = ""
    scope: Text = ""
    state: Url = ""
    nonce: Text = ""
    code_challenge: Text = ""
    code_challenge_method: Text = ""
    prompt: Text = ""
    max_age: Text = ""
    response_mode: Text = ""
    request: Url = ""
    request_uri: Url = ""
    registration: Url = ""
    login_since: Text = ""


class AuthorizationRequest(ProviderRequest):
    """A request for a code. `given`: its parameters; an empty one is as if it were left out (RFC 6749 §3.1)."""

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__("GET", {name: value for name, value in given.items() if value})

    @property
    def args(self) -> dict[str, str]:
        """Its parameters."""
        return self.form

    def prompts(self) -> frozenset[str]:
        """What the person is to be shown."""
        return frozenset(self.form.get("prompt", "").split())

    def is_silent(self) -> bool:
        """Whether nothing may be shown: then an answer comes at once."""
        return "none" in self.prompts()

    def has_valid_max_age(self) -> bool:
        """Whether the age of the login, if it is asked for, is a number."""
        given = self.form.get("max_age", "0")
        return given.isascii() and given.isdigit() and int(given) <= MAX_AGE_MAX

    def is_fresh(self, key: bytes, began_at: int) -> bool:
        """Whether a login that began at `began_at` (microseconds UTC) is as new as the client asks for."""
        if began_at >= self._sent_at(key):
            return True
        max_age = self.form.get("max_age")
        return "login" not in self.prompts() and (
            max_age is None or now_micros() - began_at <= int(max_age) * SECOND_US
        )

    def after_login(self, key: bytes) -> str:
        """The query to come back to, which remembers that the person was sent to log in now."""
        now = now_micros()
        kept = {name: value for name, value in self.form.items() if name != SINCE}
        return urlencode(kept | {SINCE: f"{now}.{self._proof(key, now)}"})

    def _sent_at(self, key: bytes) -> float:
        """When we sent the person of this very request to log in; never where that is not proved, or long ago."""
        at, _, proof = self.form.get(SINCE, "").partition(".")
        if not at.isascii() or not at.isdigit() or len(at) > len(str(MAX_AGE_MAX)) * 2:
            return float("inf")
        is_ours = compare_digest(proof.encode(), self._proof(key, int(at)).encode())
        return int(at) if is_ours and now_micros() - int(at) <= LOGIN_US else float("inf")

    def _proof(self, key: bytes, at: int) -> str:
        this = urlencode(sorted((name, value) for name, value in self.form.items() if name != SINCE))
        return keyed_hash(key, "login since", str(at), this, size=16).hex()
