"""Forms of our pages: who sent one, what stands in it, and what is wrong with a field, in words for people.

A form of another site's page is refused by three things, each of which is enough (OWASP, Cross-Site Request
Forgery Prevention): its browser says so (`Sec-Fetch-Site`, W3C Fetch Metadata; `Origin`, RFC 6454 §7), it sends no
cookie of ours along (`SameSite=Lax`), and it cannot know the token.
"""

from hmac import compare_digest

import msgspec
from quart import request

from gateway.pages.render import FORM_COOKIE, form_token
from gateway.problems import Code, Problem
from gateway.refusals import InvalidFields
from gateway.return_urls import origin
from gateway.runtime import current_runtime
from gateway.web.browser_session import cookie_name

FORM = "application/x-www-form-urlencoded"
# What may answer any form beside its own pages.
FORM_CODES: tuple[Code, ...] = ("forbidden", "body_too_large", "body_timeout", "unavailable")
FIELD_MAX = 512  # characters
STALE = "This form was open for too long, or it is not from a page of ours."


class Fields(msgspec.Struct, frozen=True):
    """The fields of a form by their names; what was not sent is empty."""

    values: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")


async def submitted() -> Fields:
    """The fields of the form that was sent.

    Raises the problems `forbidden`, where it is not from a page that we sent to this browser, and
    `malformed_request`.
    """
    if not _is_from_here():
        raise Problem("forbidden", STALE)
    if request.mimetype != FORM:
        raise Problem("malformed_request", "A form of ours is sent in another way.")
    given = (await request.form).to_dict(flat=False)
    fields = Fields({name: values[0] for name, values in given.items()})
    device = request.cookies.get(cookie_name(FORM_COOKIE), "")
    if not device or not compare_digest(fields["form_token"].encode(), form_token(device).encode()):
        raise Problem("forbidden", STALE)
    if any(len(values) > 1 or len(values[0]) > FIELD_MAX or "\0" in values[0] for values in given.values()):
        raise Problem("malformed_request", "A field is too long, or stands there twice.")
    return fields


def _is_from_here() -> bool:
    """Whether the browser says that a page of ours sent the form, or says nothing.

    `Origin` is "null" on our own forms too: they are sent without a referrer (Fetch §3.1, "append a request
    `Origin` header"). Browsers that send no `Sec-Fetch-Site` are left to cookie and token then.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site not in (None, "same-origin", "none"):
        return False
    sender = request.headers.get("Origin", "null")
    return sender == "null" or sender == origin(current_runtime().settings.public_url)


def field_errors(refused: InvalidFields) -> dict[str, str]:
    """What is wrong with which field (`$.email` is the field `email`)."""
    return {error.path.removeprefix("$."): error.message for error in refused.errors or ()}


def missing(fields: Fields, **asked: str) -> dict[str, str]:
    """What to say of the fields that are empty: their name → the words given for it."""
    return {name: words for name, words in asked.items() if not fields[name].strip()}
