"""A problem that answers a person is a page: what happened, and what to do about it."""

from math import ceil
from urllib.parse import unquote_plus

import msgspec
from quart import Response, current_app, g, request

from gateway.pages.next_page import HOME
from gateway.pages.render import page
from gateway.problems import CONTENT_TYPE, Code, ProblemBody
from gateway.web.call import Reply, respond
from gateway.web.openapi import PAGE
from schemas.cards import find_numbers

KEPT_HEADERS = ("Allow", "Retry-After")
AGAIN = "Try again in a moment. What you sent is not lost on our side: nothing was done."


class ErrorWords(msgspec.Struct, frozen=True):
    """What a page says of a problem: its heading, what to do, and the link that does it (empty: there is none)."""

    title: str
    what_to_do: str
    link_text: str = "Go to the login"
    link: str = HOME


ELSE = ErrorWords("That did not work", "Go back and try again.")
WORDS: dict[Code, ErrorWords] = {
    "not_found": ErrorWords(
        "There is no such page", "Check the address: it may have been cut off. From a mail, copy all of its link."
    ),
    "forbidden": ErrorWords(
        "Please open the page again",
        "Open it anew and fill it in once more. Your browser has to keep cookies.",
        "Open it again",
    ),
    "method_not_allowed": ErrorWords("There is no such page", "Open the page itself instead of the form on it."),
    "body_too_large": ErrorWords("That was too long", "Go back and shorten what you typed."),
    "body_timeout": ErrorWords("That took too long", "Check your connection, go back, and send it again."),
    "malformed_request": ErrorWords("That did not arrive whole", "Go back, reload the page, and send it again."),
    "unavailable": ErrorWords("We are away for a moment", AGAIN),
    "internal": ErrorWords("Something went wrong on our side", "We see it in our logs. Try again in a minute."),
}


async def as_page(response: Response) -> Response:
    """The answer to this request; where it is a problem and a person waits for it, as a page."""
    if response.mimetype != CONTENT_TYPE or not _is_for_a_person():
        return response
    told = msgspec.json.decode(await response.get_data(as_text=False), type=ProblemBody)
    kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    return respond(_page(told, kept))


def error_page(status: int, problem: str, words: ErrorWords, headers: dict[str, str] | None = None) -> Reply:
    """A page that says what went wrong."""
    fields = msgspec.structs.asdict(words) | {"request_id": g.get("request_id", "")}
    return page("error.html", status, headers, problem=problem, **fields)


def _is_for_a_person() -> bool:
    """Whether a page was asked for: one of ours, or one that is not there by a browser that goes to it."""
    if request.url_rule is None:
        return request.headers.get("Sec-Fetch-Mode") == "navigate"
    rules = getattr(current_app.view_functions[request.url_rule.endpoint], "rules", None)
    return rules is not None and rules.media == PAGE


def _page(told: ProblemBody, headers: dict[str, str]) -> Reply:
    words = WORDS.get(told.code, ELSE)  # type: ignore[call-overload]
    if told.code == "rate_limited":
        wait = in_words(int(headers.get("Retry-After", "1")))
        words = ErrorWords("Too many tries", f"Wait for {wait}, then try again.", "", "")
    if told.code == "forbidden":
        words = msgspec.structs.replace(words, link=_this_page())
    return error_page(told.status, told.detail, words, headers)


def _this_page() -> str:
    """The path that was asked, with its query; without it where a card number could be in it."""
    asked = request.full_path.rstrip("?")
    return request.path if find_numbers(asked) or find_numbers(unquote_plus(asked)) else asked


def in_words(seconds: int) -> str:
    """About so long, and never shorter: "1 second", "40 seconds", "5 minutes", "2 hours"."""
    for unit, length in (("hour", 3_600), ("minute", 60)):
        if seconds > length:
            return _counted(ceil(seconds / length), unit)
    return _counted(seconds, "second")


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
