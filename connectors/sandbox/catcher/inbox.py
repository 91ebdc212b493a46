"""The newest caught messages, in memory only, and the page and JSON that show them."""

from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Literal

import msgspec
from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from schemas.ids import new_id
from schemas.times import now

KEPT = 1000  # messages: above that the oldest is dropped, and a restart begins empty
SHOWN = 200  # on the page; `/messages` has all

# Messages are untrusted: no script runs, nothing is fetched, and a mail's HTML stays in a sandboxed frame.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'; form-action 'none';"
    " frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_pages = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class CaughtMessage(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    """One message, as `GET /messages` shows it. `message_id` is a mail's Message-ID or an SMS's sid.

    `copies`: how often this mail arrived. Like most mailboxes the catcher shows one Message-ID to one recipient
    once (RFC 5322 §3.6.4: it is one message).
    """

    id: str
    channel: Literal["email", "sms"]
    to: str
    sender: str
    subject: str
    text: str
    html: str
    message_id: str
    received_at: datetime
    copies: int = 1


class Inbox:
    """The last `KEPT` messages."""

    def __init__(self) -> None:
        self._messages: OrderedDict[tuple[str, str], CaughtMessage] = OrderedDict()

    def __iter__(self) -> Iterator[CaughtMessage]:
        """Newest first."""
        return reversed(self._messages.values())

    def __len__(self) -> int:
        return len(self._messages)

    def take_mail(self, to: str, sender: str, subject: str, text: str, html: str, message_id: str) -> None:
        """Keep a mail, or count it as a copy of one that is kept."""
        first = self._messages.get((to, message_id)) if message_id else None
        if first:
            self._messages[to, message_id] = msgspec.structs.replace(first, copies=first.copies + 1)
        else:
            self._keep(CaughtMessage(new_id("msg"), "email", to, sender, subject, text, html, message_id, now()))

    def take_sms(self, to: str, sender: str, body: str, sid: str) -> CaughtMessage:
        """Keep a short message and return it."""
        message = CaughtMessage(new_id("msg"), "sms", to, sender, "", body, "", sid, now())
        self._keep(message)
        return message

    def _keep(self, message: CaughtMessage) -> None:
        self._messages[message.to, message.message_id or message.id] = message
        if len(self._messages) > KEPT:
            self._messages.popitem(last=False)


def page_routes(inbox: Inbox) -> list[web.RouteDef]:
    """`/` for people, `/messages` for programs, `/healthz`."""

    async def show(request: web.Request) -> web.Response:
        shown = list(islice(inbox, SHOWN))
        picked = next((m for m in shown if m.id == request.query.get("id")), None)
        return web.Response(text=_render(shown, picked, len(inbox)), content_type="text/html", headers=HEADERS)

    async def messages(_request: web.Request) -> web.Response:
        body = msgspec.json.encode({"data": list(inbox)})
        return web.Response(body=body, content_type="application/json", headers=HEADERS)

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    return [web.get("/", show), web.get("/messages", messages), web.get("/healthz", healthz)]


def _render(shown: list[CaughtMessage], picked: CaughtMessage | None, total: int) -> str:
    return _pages.get_template("page.html").render(messages=shown, picked=picked, total=total)
