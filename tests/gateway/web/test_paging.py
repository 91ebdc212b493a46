"""Lists: every page once, whatever is added meanwhile, and no made-up place."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from gateway.refusals import InvalidFields
from gateway.web.paging import Page, read_page

PlaceOf = tuple[int, str]


class Numbers:
    """Stands where the books would; newest first."""

    def __init__(self, items: list[PlaceOf]) -> None:
        self.items = items

    async def read(self, select: Any, after: Any, most: int) -> Any:
        return select(None, after, most)

    def select(self, _conn: Connection, after: PlaceOf | None, most: int) -> list[PlaceOf]:
        ordered = sorted(self.items, reverse=True)
        return [item for item in ordered if after is None or item < after][:most]


async def pages(numbers: Numbers, limit: int, added: list[PlaceOf]) -> list[PlaceOf]:
    seen: list[PlaceOf] = []
    cursor: str | None = ""
    while cursor is not None:
        shown, cursor = await read_page(
            numbers,  # type: ignore[arg-type]
            Page(cursor, limit),
            numbers.select,
            lambda item: item,
            tuple[int, str],
        )
        assert 0 < len(shown) <= limit or (not shown and not numbers.items)
        seen += shown
        numbers.items = numbers.items + added
        added = []
    return seen


places = st.tuples(st.integers(0, 5), st.text(max_size=3))


@given(st.lists(places, unique=True, max_size=12), st.integers(1, 5), st.integers(6, 9))
def test_every_item_is_on_one_page_whatever_is_added_before_it(
    items: list[PlaceOf], limit: int, newer: int
) -> None:
    numbers = Numbers(items)
    seen = asyncio.run(pages(numbers, limit, [(newer, "new")]))
    assert seen == sorted(items, reverse=True)


@pytest.mark.parametrize("cursor", ["x", "pay_1", "AAAA", "kgA", "\u00e9", "=" * 9, "kgGhYQ!!", "kgGh YQ"])
async def test_a_made_up_place_is_refused(cursor: str) -> None:
    numbers = Numbers([(1, "a")])
    with pytest.raises(InvalidFields):
        await read_page(numbers, Page(cursor), numbers.select, lambda item: item, tuple[int, str])  # type: ignore[arg-type]
