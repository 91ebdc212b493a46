"""Where a login leads to: a page of ours, whatever an address says."""

import pytest

from gateway.pages.next_page import own_path, with_next
from tests.gateway.conftest import Gateway
from tests.gateway.pages.conftest import logged_in

OWN = [
    "/",
    "/oauth/authorize?client_id=a&redirect_uri=https%3A%2F%2Fapp.example.com%2Fback&scope=openid+email",
    "/second-factor?next=%2Foauth%2Fauthorize",
    "/oauth/authorize?state=" + "%2C" * 1_900,
]
FOREIGN = [
    *("", "evil.example", "https://evil.example/", "javascript:alert(1)", "//evil.example", "///evil.example"),
    *("/\\evil.example", "\\/evil.example", "/%5Cevil.example", "/%2Fevil.example", "/%252Fevil.example"),
    *(
        "/%255Cevil",
        "/\tevil",
        "/%09/evil.example",
        "/ /evil",
        "/\n/evil",
        "/%0d%0aSet-Cookie:x",
        "/é",
        "/a#//evil",
    ),
    *(
        "/..//evil.example",
        "/.//evil.example",
        "/a/%2e//evil.example",
        "/../evil",
        "/a/%2e%2e/b",
        "?next=/",
        "/" + "a" * 6_000,
        "/\0",
        "/;@evil\r\n",
        " /login",
    ),
]


@pytest.mark.parametrize("given", OWN)
def test_own_pages_are_left_as_they_are(given: str) -> None:
    assert own_path(given) == given


@pytest.mark.parametrize("given", FOREIGN)
def test_no_other_site_is_one_of_ours(given: str) -> None:
    assert own_path(given) == ""


@pytest.mark.parametrize("given", [path for path in FOREIGN if path])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_login_leads_to_no_other_site(gateway: Gateway, given: str) -> None:
    surfer = await logged_in(gateway, "", with_next("/login", given))
    assert "You are logged in" in surfer.page.text
    assert "evil" not in surfer.page.text
    assert not any("evil" in link for link in surfer.page.links)
