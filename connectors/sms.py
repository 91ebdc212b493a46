"""Short messages by Twilio's HTTP API, or any service compatible with it.

https://www.twilio.com/docs/messaging/api/message-resource. It has no idempotency key: after a time-out, look for
the message with `find` before sending it again.
"""

import secrets
from typing import Any, TypeVar

import msgspec
from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientTimeout,
    TCPConnector,
    encode_basic_auth,
)

from connectors.delivery import CONNECTIONS, DeliveryRefused, NotDelivered, ServerAway, TryLater
from connectors.http_bodies import AnswerTooLong, read_body
from connectors.secret_files import Secret, text_of

TOKEN_FILE = "sms.token"  # noqa: S105 (the name of a file)
TIMEOUT = ClientTimeout(total=10, connect=3)
LOOKED_AT = 200  # messages to a number, the newest first
CODE_END = 1_000_000
# https://www.twilio.com/docs/api/errors. What this number, or this text, is refused for, today and tomorrow.
FINAL = frozenset({21211, 21214, 21217, 21265, 21602, 21604, 21610, 21612, 21614, 21617, 21635})
# Refused for whoever it is: the account is wrong, suspended or out of money, there is no such address, too many
# requests, no service; an answer that Twilio does not have comes from another server.
AWAY = frozenset({204, 301, 302, 303, 307, 308, 401, 402, 403, 404, 429, 503})
OUR_SENDER = frozenset({10001, 21212, 21603, 21606, 21607, 21611, 21659, 21660, 21661})
OUR_ACCOUNT = range(20001, 20500)  # 20500 is an error of theirs


class SmsAccount(msgspec.Struct, frozen=True):
    """The account to send from. `url` has no path; `sender` is an E.164 number."""

    url: str
    account: str
    token: Secret
    sender: str


class _Sent(msgspec.Struct):
    sid: str
    body: str


class _Listed(msgspec.Struct):
    messages: list[_Sent]


_sent = msgspec.json.Decoder(_Sent)
_listed = msgspec.json.Decoder(_Listed)

A = TypeVar("A")


class Texter:
    """Sends short messages. Belongs to the event loop that created it."""

    def __init__(self, account: SmsAccount) -> None:
        """Connects with the first message."""
        self._account = account
        self._session = ClientSession(
            connector=TCPConnector(limit=CONNECTIONS), timeout=TIMEOUT, raise_for_status=False
        )
        self._url = f"{account.url.rstrip('/')}/2010-04-01/Accounts/{account.account}/Messages.json"

    async def send(self, to: str, text: str) -> str:
        """Send to an E.164 number and return the sid. Raises `DeliveryRefused`, `TryLater`, `ServerAway`."""
        form = {"To": to, "From": self._account.sender, "Body": text}
        return (await self._call(_sent, "POST", data=form)).sid

    async def find(self, to: str, text: str) -> str | None:
        """The sid of this text to this number, if it was sent lately. Raises as `send`.

        No time is compared: the provider's clock is not ours, and ours may have been set since. So a text that is
        meant to be told apart from another one says what it is about.
        """
        sent = await self._call(_listed, "GET", params={"To": to, "PageSize": LOOKED_AT})
        return next((message.sid for message in sent.messages if message.body == text), None)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _call(self, answer: msgspec.json.Decoder[A], method: str, **request: Any) -> A:
        headers = {"Authorization": encode_basic_auth(self._account.account, text_of(self._account.token))}
        try:
            async with self._session.request(
                method, self._url, allow_redirects=False, headers=headers, **request
            ) as response:
                body = await read_body(response)
        except AnswerTooLong:
            raise TryLater("sms_unreadable") from None
        except ClientConnectorError:
            raise ServerAway("sms_unreachable") from None
        except (ClientError, OSError, TimeoutError):
            raise TryLater("sms_unreachable") from None
        if response.status not in (200, 201):
            raise _not_delivered(response.status, body)
        try:
            return answer.decode(body)
        except (ValueError, RecursionError):
            raise TryLater("sms_unreadable") from None


def new_token() -> bytes:
    """A random token for the local catcher, in the format of Twilio's."""
    return secrets.token_hex(16).encode()


def _not_delivered(status: int, body: bytes) -> NotDelivered:
    """Final is only what is due to the recipient for certain; what is not clear waits for itself alone."""
    try:
        code = int(msgspec.json.decode(body)["code"])
    except (ValueError, LookupError, TypeError, RecursionError):
        code = status
    code = code if 0 < code < CODE_END else status
    if code in FINAL:
        return DeliveryRefused(f"sms_{code}")
    is_ours = code in OUR_SENDER or code in OUR_ACCOUNT or status in AWAY
    return ServerAway(f"sms_{code}") if is_ours else TryLater(f"sms_{code}")
