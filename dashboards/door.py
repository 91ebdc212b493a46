"""Who is at the page: logged in at the gateway and known to it, or asked to log in.

`st.login` gets the tokens by OpenID Connect; what the gateway says of the token now decides, never the cookie.
"""

from typing import Literal
from urllib.parse import urlsplit

import streamlit as st

from connectors.gateway import GatewayRefused, GatewayUnavailable
from dashboards import gateway_calls
from dashboards.cached_queries import settings
from dashboards.gateway_calls import Api
from dashboards.page import html
from dashboards.places import PagePlace, Places, browser_of
from dashboards.session_checks import Person, SessionChecks

LOOK_AGAIN_S = 4.0

# `elsewhere`: at an address whose cookies no login reaches. `ended`: the gateway does not know the session any
# more. `away`: the gateway cannot be asked. `refused`: it let them log in, and not ask who they are.
Standing = Literal["elsewhere", "stranger", "ended", "away", "refused"]
Visitor = Person | Standing


def visitor() -> Visitor:
    """Who is at the page."""
    if _is_elsewhere():
        return "elsewhere"
    given = token()
    if not given:
        return "stranger"
    try:
        return _checks().person(given) or "ended"
    except GatewayUnavailable:
        return "away"
    except GatewayRefused:
        return "refused"


def api() -> Api:
    """The gateway's API for the person at the page."""
    return Api(token())


def watch(seen: Visitor) -> None:
    """Draw the page anew once its visitor is not the one it was drawn for. To be run every `LOOK_AGAIN_S`."""
    if visitor() != seen:
        st.rerun()


def still_known() -> bool:
    """Whether the gateway knows the person, asked anew because it refused them a call."""
    _checks().forget(token())
    return isinstance(visitor(), Person)


def draw(who: Standing, path: str) -> None:
    """Show what stands in the way. `path`: that of the page which was asked for, to come back to."""
    if who == "ended" and _places().may_send(_browser()):
        _log_in(path)
        html("door.html", standing="sent", address="")
        return
    html("door.html", standing=who, address=settings().dashboard_url)
    match who:
        case "stranger" | "ended":
            with st.container(key="door", horizontal_alignment="center"):
                if st.button("Log in", type="primary", width=220):
                    _go_and_log_in(path)
        case "refused":
            leave()
        case "away" | "elsewhere":
            pass


def draw_no_page(person: Person, has_others: bool) -> None:
    """Say that this page, or any, is not for this person."""
    html("no_page.html", person=person, has_others=has_others)
    if not has_others:
        leave()


def leave() -> None:
    """A button that logs out, for whoever has no menu with one."""
    with st.container(key="door", horizontal_alignment="center"):
        if st.button("Log out", width=220):
            st.logout()


def came_back() -> PagePlace | None:
    """Where the browser was before it logged in; only once."""
    return _places().take(_browser())


def _go_and_log_in(path: str) -> None:
    if gateway_calls.answers():
        _log_in(path)
    else:
        html("trouble.html", words="The gateway does not answer. Try again in a moment.")


def _log_in(path: str) -> None:
    _places().keep(_browser(), PagePlace(path, st.query_params.to_dict()))
    st.login()


def token() -> str:
    """The access token in the cookie, signed by us; empty where nobody logged in."""
    if not st.user.get("is_logged_in"):
        return ""
    return st.user.tokens.get("access", "")


def _is_elsewhere() -> bool:
    """Whether the address in the browser is another one than ours: `127.0.0.1` where `localhost` is meant, say."""
    here, home = urlsplit(st.context.url or ""), urlsplit(settings().dashboard_url)
    return bool(here.netloc) and here.netloc != home.netloc


def _browser() -> str:
    return browser_of(st.context.cookies)


@st.cache_resource(show_spinner=False)
def _checks() -> SessionChecks:
    return SessionChecks(lambda token: Api(token).get("/v1/me", Person))


@st.cache_resource(show_spinner=False)
def _places() -> Places:
    return Places()
