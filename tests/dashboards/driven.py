"""The app driven by Streamlit's own test runner: a page opened as somebody, what it says, and a press on it."""

from pathlib import Path

from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

APP = Path(__file__).parents[2] / "dashboards" / "app.py"


def opened(role: str, path: str = "", **query: str) -> AppTest:
    """The page at `path`, for who has the token `role`; for a stranger where that is empty."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.user = {"is_logged_in": bool(role), "tokens": {"access": role}}
    app._page_hash = calc_hash(path)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def words(page: AppTest) -> str:
    """All that its templates say, as HTML."""
    assert not page.exception
    return " ".join(element.proto.body for element in page.get("html"))


def links(page: AppTest) -> list[str]:
    """The labels of its links to other pages."""
    return [link.proto.label for link in page.get("page_link")]


def press(page: AppTest, label: str) -> AppTest:
    """The page after a press on its one button of that label."""
    (button,) = [button for button in page.button if button.label == label]
    return button.click().run()
