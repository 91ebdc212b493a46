"""A page of another origin sets no fault and moves no money; the payer's own page at PayPal works."""

import aiohttp
import pytest

from connectors.sandbox.browsers import names_of, refusal
from tests.connectors.sandbox.process import SandboxProcess

HOST = "localhost:8025"
OWN = {"Host": HOST, "Origin": f"http://{HOST}"}
PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FAULT = {"processor": "visa", "fault": "refuse"}


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:8025", "127.0.0.1:8025", "[::1]:8025", "paypal.localhost:8093", "localhost.:8025",
        "192.168.1.5", "0.0.0.0:1", "catcher:8025", "",
    ],
)  # fmt: skip
def test_it_is_known_by_addresses_and_by_its_own_names(host: str) -> None:
    assert refusal("GET", {"Host": host}, names_of("http://catcher:8025", "", "0.0.0.0")) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8025", "localhost.evil.example", "evillocalhost", "127.0.0.1.evil.example",
     "127.0.0.1@evil.example", "catcher.evil.example", "2130706433", "[::1", "catcher,evil.example"],
)  # fmt: skip
def test_a_name_that_somebody_pointed_here_is_refused(host: str) -> None:
    found = refusal("GET", {"Host": host}, names_of("http://catcher:8025"))
    assert found is not None
    assert (found.status, found.code) == (421, "foreign_host")


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"Origin": "http://evil.example"}),
        ("POST", {"Origin": "null"}),
        ("POST", {"Origin": "http://localhost:8501"}),  # another port is another origin
        ("POST", {"Origin": "http://localhost"}),
        ("POST", {"Origin": ""}),
        ("DELETE", {"Origin": "https://localhost:8025.evil.example"}),
        ("GET", {"Origin": "http://evil.example"}),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}),
        ("GET", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}),
        ("GET", {"Sec-Fetch-Site": "cross-site", **PAGE, "Sec-Fetch-Dest": "iframe"}),
        ("POST", {"Sec-Fetch-Site": "cross-site", **PAGE}),
    ],
)
def test_another_page_is_refused(method: str, headers: dict[str, str]) -> None:
    found = refusal(method, {"Host": HOST, **headers}, ())
    assert found is not None
    assert (found.status, found.code) == (403, "foreign_origin")


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"Host": HOST}),  # no browser
        ("POST", OWN),
        ("POST", OWN | {"Sec-Fetch-Site": "same-origin", **PAGE}),
        ("GET", {"Host": HOST, "Sec-Fetch-Site": "none", **PAGE}),  # typed
        ("GET", {"Host": HOST, "Sec-Fetch-Site": "cross-site", **PAGE}),  # a payer who is sent to PayPal
        ("GET", {"Host": HOST, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}),
    ],
)
def test_its_own_pages_persons_and_programs_are_not(method: str, headers: dict[str, str]) -> None:
    assert refusal(method, headers, ()) is None


async def test_no_port_of_the_sandbox_takes_anything_from_another_page(
    http: aiohttp.ClientSession, sandbox: SandboxProcess
) -> None:
    for name in ("sandbox", "visa", "mastercard", "paypal"):
        url = f"{sandbox.url(name)}/_sandbox/faults"
        for headers, status in (({"Origin": "http://evil.example"}, 403), ({"Host": "evil.example"}, 421)):
            async with http.post(url, json=FAULT, headers=headers) as refused:
                assert refused.status == status
                assert refused.content_type == "application/problem+json"
                assert (await refused.json())["code"] in {"foreign_origin", "foreign_host"}
                assert "Access-Control-Allow-Origin" not in refused.headers
    async with http.get(f"{sandbox.url('sandbox')}/_sandbox/faults") as answer:
        assert (await answer.json())["data"] == []
