"""Between the password and the code: a cookie that says for ten minutes whose password was right, in this browser.

It opens nothing without the second factor, ends with the password, and is worth nothing in another browser.
"""

from base64 import urlsafe_b64encode
from hmac import compare_digest

import msgspec
from quart import request

from gateway.books.accounts import Account
from gateway.keyed_hashes import keyed_hash
from gateway.pages.render import FORM_COOKIE
from gateway.policy import MINUTE_US, SECOND_US
from gateway.runtime import current_runtime
from gateway.web.browser_session import browser_cookie, cookie_name
from schemas.times import steady_micros

HALF_COOKIE = "sluice_half_login"
LASTS_US = 10 * MINUTE_US  # to find the phone


class HalfLogin(msgspec.Struct, frozen=True):
    """Whose password was right, until when (steady clock, microseconds), and the proof of both."""

    account_id: str
    until: int
    proof: str

    def is_of(self, account: Account) -> bool:
        """Whether this browser gave the password that the account has now."""
        return compare_digest(self.proof.encode(), _proof(account, self.until).encode())


def begun(account: Account) -> str:
    """The Set-Cookie that says that the account's password was right."""
    until = steady_micros() + LASTS_US
    value = f"{account.id}.{until}.{_proof(account, until)}"
    return browser_cookie(HALF_COOKIE, value, LASTS_US // SECOND_US)


def found() -> HalfLogin | None:
    """The half login that came with this request, to be checked by `is_of`; None where there is none in time."""
    account_id, _, rest = request.cookies.get(cookie_name(HALF_COOKIE), "").partition(".")
    until, _, proof = rest.partition(".")
    if not until.isascii() or not until.isdigit() or int(until) <= steady_micros():
        return None
    return HalfLogin(account_id, int(until), proof)


def over() -> str:
    """The Set-Cookie that ends it."""
    return browser_cookie(HALF_COOKIE, "", 0)


def _proof(account: Account, until: int) -> str:
    device = request.cookies.get(cookie_name(FORM_COOKIE), "")
    made_of = (account.id, account.password_hash or "", str(until), device)
    return urlsafe_b64encode(keyed_hash(current_runtime().key, "half login", *made_of)).decode().rstrip("=")
