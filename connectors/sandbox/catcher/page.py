"""The HTTP side a person looks at: the page of what came in, and the same as JSON."""

from itertools import islice
from pathlib import Path

import msgspec
from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from connectors.sandbox.catcher.inbox import Inbox, Message

SHOWN = 200  # on the page; `/messages` has all

# What came in is a stranger's: no script runs, nothing is fetched, and a mail's HTML stays in a sandboxed frame.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'; form-action 'none'"
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


def _render(shown: list[Message], picked: Message | None, total: int) -> str:
    return _pages.get_template("page.html").render(messages=shown, picked=picked, total=total)
