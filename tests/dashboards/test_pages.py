"""The pages behind the login, by Streamlit's own test runner, over a double of the gateway."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from dashboards import door
from tests.dashboards.gateway_double import GatewayDouble

APP = Path(__file__).parents[2] / "dashboards" / "app.py"


@pytest.fixture(autouse=True)
def around(gateway: GatewayDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    st.cache_resource.clear()
    monkeypatch.setenv("SLUICE_DATA", str(tmp_path))
    monkeypatch.setenv("SLUICE_GATEWAY", gateway.url)
    monkeypatch.setattr(door, "_browser", lambda: "one")  # the runner has no cookies
    yield
    st.cache_resource.clear()


def opened(role: str, path: str = "", **query: str) -> AppTest:
    """The page at `path`, for who has the token `role`; for a stranger where that is empty."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.user = {"is_logged_in": bool(role), "tokens": {"access": role}}
    app._page_hash = calc_hash(path)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def words(page: AppTest) -> str:
    assert not page.exception
    return " ".join(element.proto.body for element in page.get("html"))


def links(page: AppTest) -> list[str]:
    return [link.proto.label for link in page.get("page_link")]


def press(page: AppTest, label: str) -> AppTest:
    (button,) = [button for button in page.button if button.label == label]
    return button.click().run()


def test_smoke(gateway: GatewayDouble) -> None:
    gateway.open_case()
    for path in ("reviews", "people", "merchants", "clients", "audit", "sessions"):
        page = opened("admin", path)
        print(path, links(page), words(page)[-300:])
