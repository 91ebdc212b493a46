"""The page of features is current, and tells them all."""

from schemas import features_page
from schemas.features import FEATURES


def test_the_committed_page_is_current() -> None:
    assert features_page.page() == features_page.PAGE.read_text(), "run `make schemas`"


def test_it_tells_every_name_once() -> None:
    page = features_page.page()
    assert [name for name in FEATURES if page.count(f"| `{name}` |") != 1] == []
