"""The page of features is current, and tells them all; a row of them has each in its place."""

from schemas import features_page
from schemas.features import FEATURES, NUMBERS, numbers_of


def test_the_committed_page_is_current() -> None:
    assert features_page.page() == features_page.PAGE.read_text(), "run `make schemas`"


def test_it_tells_every_name_once() -> None:
    page = features_page.page()
    assert [name for name in FEATURES if page.count(f"| `{name}` |") != 1] == []


def test_a_row_of_features_has_each_in_its_place_and_nothing_for_the_others() -> None:
    given = {NUMBERS[7]: 0.0, "amount": 19.99, NUMBERS[0]: 2.5}
    assert "amount" not in NUMBERS
    assert numbers_of(given) == [{0: 2.5, 7: 0.0}.get(place) for place in range(len(NUMBERS))]
    assert numbers_of({}) == [None] * len(NUMBERS), "the row before left nothing in it"
