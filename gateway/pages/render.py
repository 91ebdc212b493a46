"""Pages: templates without scripts, in answers that no other site frames, and that may load from nowhere else."""

from collections.abc import Mapping
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from quart import request

from gateway.keyed_hashes import keyed_hash
from gateway.runtime import current_runtime
from gateway.web.browser_session import SESSION_COOKIE, browser_cookie, cookie_name
from gateway.web.call import Reply

FORM_COOKIE = "sluice_form"
# Chromium applies `form-action` to every redirect that follows a form: none may lead to another origin. Who has to
# go there gets the page of `leave_for`.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {  # beside those of every answer: no-store, no-referrer, nosniff
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": POLICY,
}
NOTHING_YET: dict[str, Any] = {"errors": {}, "problem": "", "goes_to": "", "wide": False}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,  # during an upgrade a newer template may not fit the running code
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(
    template: str,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    cookies: tuple[str, ...] = (),
    **fields: Any,
) -> Reply:
    """A page of `templates/`, its fields escaped; to be called while a request is answered.

    Of the fields, `errors` (name of a form's field → what is wrong with it), `problem` (of all of it) and `wide`
    need not be given. Forms send `form_token` back (`gateway.pages.forms`).
    """
    device = request.cookies.get(cookie_name(FORM_COOKIE), "")
    if not device:
        device = token_urlsafe(32)
        cookies = (*cookies, browser_cookie(FORM_COOKIE, device))
    text = html(template, form_token(device), fields)
    return Reply(status, text.encode(), HEADERS | dict(headers or {}), cookies)


def html(template: str, token: str, fields: dict[str, Any]) -> str:
    """The text of a page. `token`: of its forms."""
    return _templates.get_template(template).render(NOTHING_YET | {"form_token": token} | fields)


def form_token(device: str) -> str:
    """What proves that a form was on a page that we sent to this browser, in its login if it has one.

    Made of two cookies that no other site's page can read or, under `__Host-`, set. `device`: the first of them.
    """
    session = request.cookies.get(cookie_name(SESSION_COOKIE), "")
    return keyed_hash(current_runtime().key, "form", device, session).hex()


def notice(title: str, *paragraphs: str, link: str = "", link_text: str = "Continue") -> Reply:
    """A page that says something; `link`: where one goes on from there."""
    return page("notice.html", title=title, paragraphs=paragraphs, link=link, link_text=link_text)


def leave_for(url: str, cookies: tuple[str, ...] = ()) -> Reply:
    """The page after which a browser goes to `url` by itself, be it of another origin.

    It ends the chain of redirects that `form-action` is applied to: no form can be sent elsewhere, and its answer
    leads there all the same. `url` is trusted: an own path, or what a client registered.
    """
    fields: dict[str, Any] = {
        "title": "One moment",
        "paragraphs": ("You are taken back to where you came from.",),
        "link": "",
        "link_text": "Continue",
    }
    return page("notice.html", cookies=cookies, goes_to=url, **fields)


def see(path: str, cookies: tuple[str, ...] = ()) -> Reply:
    """A redirect to an own page, as the answer to a form (RFC 9110 §15.4.4)."""
    return Reply(303, None, {"Location": path, "Cache-Control": "no-store"}, cookies)


def safe(html: str) -> Markup:
    """HTML that is ours, for a field that is not to be escaped."""
    return Markup(html)  # noqa: S704
