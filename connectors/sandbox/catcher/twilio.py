"""The SMS side of the catcher: Twilio's Messages resource.

https://www.twilio.com/docs/messaging/api/message-resource and, for the numbers that simulate an error,
https://www.twilio.com/docs/iam/test-credentials
"""

import asyncio
import re
import secrets
from base64 import b64decode
from collections.abc import Awaitable, Callable
from datetime import date
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from connectors.sandbox.catcher.inbox import CaughtMessage, Inbox
from connectors.secret_files import Secret, is_secret

E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
BODY_MAX = 1600  # characters
PAGE, PAGE_MAX = 50, 1000  # messages
PATH = "/2010-04-01/Accounts/{account}/Messages.json"

# code: (HTTP status, message), https://www.twilio.com/docs/api/errors
ERRORS = {
    20003: (401, "Authenticate"),
    21211: (400, "Invalid 'To' Phone Number"),
    21602: (400, "Message body is required."),
    21603: (400, "A 'From' phone number is required."),
    21604: (400, "A 'To' phone number is required."),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21612: (400, "The 'To' phone number is not currently reachable"),
    21614: (400, "'To' number is not a valid mobile number"),
    20500: (500, "Internal Server Error"),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
}
MAGIC = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550004": 21610,
    "+15005550009": 21614,
    "+15005550099": 20500,  # not one of Twilio's: a number that no message reaches today
}
HANGING = "+15005550098"  # not one of Twilio's either: a message to it has no answer for so long
HANGS_S = 60

RouteHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def twilio_routes(inbox: Inbox, account: str, token: Secret) -> list[web.RouteDef]:
    """POST a message, GET the sent ones; both for one account and its token."""

    def guarded(handle: Callable[[web.Request], Awaitable[web.Response]]) -> RouteHandler:
        async def guard(request: web.Request) -> web.Response:
            if not _authentic(request, account, token):
                return _error(20003)
            return await handle(request)

        return guard

    async def create(request: web.Request) -> web.Response:
        form = await request.post()
        to, sender, body = (str(form.get(name, "")).strip() for name in ("To", "From", "Body"))
        if to == HANGING:
            await asyncio.sleep(HANGS_S)
        code = _refusal(to, sender, body)
        if code:
            return _error(code)
        message = inbox.take_sms(to, sender, body, f"SM{secrets.token_hex(16)}")
        return web.json_response(_resource(message, account, "queued"), status=201)

    async def list_sent(request: web.Request) -> web.Response:
        to, since = request.query.get("To"), _day(request.query.get("DateSent>", ""))
        size = _page_size(request.query.get("PageSize", ""))
        found = [
            _resource(m, account, "delivered")
            for m in inbox
            if m.channel == "sms" and (not to or m.to == to) and (not since or m.received_at.date() >= since)
        ]
        return web.json_response({"messages": found[:size], "next_page_uri": None})

    return [web.post(PATH, guarded(create)), web.get(PATH, guarded(list_sent))]


def _authentic(request: web.Request, account: str, token: Secret) -> bool:
    try:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        pair = b64decode(given, validate=True)
    except ValueError:
        return False
    user, _, shown = pair.decode(errors="replace").partition(":")
    right = user == account and is_secret(token, shown)
    return right and scheme.lower() == "basic" and request.match_info["account"] == account


def _refusal(to: str, sender: str, body: str) -> int | None:
    """Twilio's code of the first error of a message; None where it has none."""
    checks = (
        (not to, 21604),
        (not sender, 21603),
        (not body, 21602),
        (len(body) > BODY_MAX, 21617),
        (not E164.fullmatch(to), 21211),
    )
    wrong = next((code for is_wrong, code in checks if is_wrong), None)
    return wrong or MAGIC.get(to)


def _error(code: int) -> web.Response:
    status, message = ERRORS[code]
    more = f"https://www.twilio.com/docs/errors/{code}"
    return web.json_response(
        {"code": code, "message": message, "more_info": more, "status": status}, status=status
    )


def _resource(message: CaughtMessage, account: str, status: str) -> dict[str, Any]:
    moment = format_datetime(message.received_at)
    return {
        "sid": message.message_id,
        "account_sid": account,
        "to": message.to,
        "from": message.sender,
        "body": message.text,
        "status": status,
        "date_created": moment,
        "date_sent": moment if status == "delivered" else None,
        "error_code": None,
        "error_message": None,
    }


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _page_size(text: str) -> int:
    return min(int(text), PAGE_MAX) if text.isascii() and text.isdigit() else PAGE
