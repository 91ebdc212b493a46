"""CyberSource's HTTP signature: HMAC-SHA256 over host, date, target, digest and merchant.

https://developer.cybersource.com/docs/cybs/en-us/platform/developer/all/rest/rest-getting-started.html
"""

import base64
import hashlib
import hmac

import msgspec


class Signer(msgspec.Struct, frozen=True):
    """A merchant's key. `secret` is the shared key, base64 as the Business Center shows it."""

    merchant: str
    key: str
    secret: str

    def __repr__(self) -> str:
        return f"Signer({self.merchant})"

    def headers(self, method: str, path: str, host: str, date: str, body: bytes) -> dict[str, str]:
        """The headers that authenticate a request. `date` is an HTTP date (RFC 9110); a GET has no digest."""
        signed = {"host": host, "date": date, "request-target": f"{method.lower()} {path}"}
        headers = {"v-c-merchant-id": self.merchant, "Date": date, "Host": host}
        if body:
            signed["digest"] = headers["Digest"] = _digest(body)
        signed["v-c-merchant-id"] = self.merchant
        headers["Signature"] = self._signature(signed)
        return headers

    def _signature(self, signed: dict[str, str]) -> str:
        text = "\n".join(f"{name}: {value}" for name, value in signed.items())
        mac = base64.b64encode(hmac.digest(base64.b64decode(self.secret), text.encode(), "sha256")).decode()
        return f'keyid="{self.key}", algorithm="HmacSHA256", headers="{" ".join(signed)}", signature="{mac}"'


def signer_of(merchant: str, key: str, secret: str) -> Signer:
    """A merchant's key, whose id may stand before the secret in the same text; else it is `key`."""
    own_key, _, shared = secret.rpartition(" ")
    return Signer(merchant, own_key.strip() or key, shared)


def is_shared_key(text: str) -> bool:
    """Whether a text is base64, as shared keys are shown."""
    try:
        return bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False


def _digest(body: bytes) -> str:
    return f"SHA-256={base64.b64encode(hashlib.sha256(body).digest()).decode()}"
