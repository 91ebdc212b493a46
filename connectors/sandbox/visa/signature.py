"""The check of CyberSource's HTTP signature.

https://developer.cybersource.com/docs/cybs/en-us/platform/developer/all/rest/rest-getting-started.html
"""

import hmac
import re
from base64 import b64decode, b64encode
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256

import msgspec

from connectors.sandbox.http_shapes import ReceivedRequest
from schemas.times import now

SKEW_MAX_S = 300
PARAMETER = re.compile(r'(\w+)="([^"]*)"')
REQUIRED = frozenset({"host", "date", "request-target", "v-c-merchant-id"})


class SignatureKey(msgspec.Struct, frozen=True):
    """The merchant, its key's id, and the shared secret in base64."""

    merchant: str
    key: str
    secret: str

    def __repr__(self) -> str:
        return f"SignatureKey({self.merchant})"

    def signed(self, received: ReceivedRequest) -> bool:
        """Whether this key signed the request, all required headers included, at most `SKEW_MAX_S` ago."""
        given = dict(PARAMETER.findall(received.header("Signature")))
        names = given.get("headers", "").replace("(request-target)", "request-target").split()
        return (
            given.get("keyid") == self.key
            and given.get("algorithm") == "HmacSHA256"
            and received.header("v-c-merchant-id") == self.merchant
            and set(names) >= REQUIRED
            and _fresh(received.header("Date"))
            and _digest_holds(received, "digest" in names)
            and hmac.compare_digest(
                given.get("signature", "").encode(), self._mac(received, given["headers"].split())
            )
        )

    def _mac(self, received: ReceivedRequest, names: list[str]) -> bytes:
        text = "\n".join(f"{name}: {_value(received, name)}" for name in names)
        return b64encode(hmac.digest(b64decode(self.secret), text.encode(), "sha256"))


def _value(received: ReceivedRequest, name: str) -> str:
    if name.strip("()") == "request-target":
        return f"{received.method.lower()} {received.target()}"
    return received.header(name)


def _digest_holds(received: ReceivedRequest, signed: bool) -> bool:
    if not received.body:
        return True
    digest = f"SHA-256={b64encode(sha256(received.body).digest()).decode()}"
    return signed and hmac.compare_digest(received.header("Digest").encode(), digest.encode())


def _fresh(date: str) -> bool:
    sent = _seconds(date)
    return sent is not None and abs(now().timestamp() - sent) <= SKEW_MAX_S


@lru_cache(maxsize=64)  # all requests of one second carry the same text
def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
