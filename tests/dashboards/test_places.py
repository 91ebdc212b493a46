"""Where a browser was before it logged in."""

import pytest
from streamlit.web.server.starlette.starlette_app_utils import generate_xsrf_token_string

from dashboards.places import COOKIE, PagePlace, Places, browser_of

HERE = PagePlace("reviews", {"review": "rev_1"})


def test_a_browser_keeps_its_name_however_its_cookie_is_masked() -> None:
    token = b"0123456789abcdef"
    names = {browser_of({COOKIE: generate_xsrf_token_string(token, 1)}) for _ in range(5)}
    assert names == {token.hex()}


@pytest.mark.parametrize("cookie", ["", "2", "2||", "2|zz|00|1", "2||00|1", "2|00|zz|1"])
def test_a_browser_without_a_readable_cookie_has_no_name_and_no_place(cookie: str) -> None:
    places = Places()
    places.keep(browser_of({COOKIE: cookie}), HERE)
    assert places.take(browser_of({COOKIE: cookie})) is None
    assert not places.may_send("")


def test_a_place_is_its_browsers_and_is_taken_once() -> None:
    places = Places()
    places.keep("one", HERE)
    assert places.take("another") is None
    assert places.take("one") == HERE
    assert places.take("one") is None


def test_nobody_is_sent_in_a_circle() -> None:
    places = Places()
    assert [places.may_send("one") for _ in range(3)] == [True, False, False]
    assert places.may_send("another")
