"""The data dictionary: current, whole, and of topics that there are."""

import pytest

from flows.analytics import dictionary
from schemas.topics import TOPICS
from tests.flows.analytics.conftest import Kept


def test_the_committed_page_is_current() -> None:
    assert dictionary.page() == dictionary.PAGE.read_text(), "run `make schemas`"


def test_every_view_and_column_says_what_it_is(kept: Kept) -> None:
    without = """
    SELECT view_name, NULL FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal AND comment IS NULL
    UNION ALL
    SELECT table_name, column_name FROM duckdb_columns()
    WHERE schema_name = 'main' AND NOT internal AND (comment IS NULL OR contains(comment, '|'))
    """
    assert kept.ask(without) == []


def test_every_view_has_an_origin(kept: Kept) -> None:
    views = kept.ask("SELECT view_name FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal")
    assert dictionary.ORIGINS.keys() == {view for (view,) in views}
    topics = {topic.name for topic in TOPICS} | {dictionary.OURS}
    assert {*dictionary.ORIGINS.values(), *dictionary.ELSEWHERE.values()} <= topics


@pytest.mark.parametrize(("view", "column"), dictionary.ELSEWHERE)
def test_a_column_of_another_origin_is_there(kept: Kept, view: str, column: str) -> None:
    assert column in [name for name, *_ in kept.ask(f"DESCRIBE {view}")]
