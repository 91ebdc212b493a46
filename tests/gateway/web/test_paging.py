"""Lists: every page once, whatever is added meanwhile, and no place but one that this list gave."""

import asyncio
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from gateway.books.engine import Slice
from gateway.refusals import InvalidFields
from gateway.web.call import Call, Caller
from gateway.web.paging import Page, read_page, read_slice

PlaceOf = tuple[int, str]
KEY = bytes(32)
CALLER = Caller("acc_1", "acc_1", "merchant", frozenset())


class Filtered(Page, frozen=True):
    """A page of a list with a filter."""

    color: str | None = None
    after: datetime | None = None


class Numbers:
    """Stands where the books would; newest first."""

    def __init__(self, items: list[PlaceOf]) -> None:
        self.items = items

    async def browse(self, select: Any, after: Any, most: int) -> Any:
        return select(None, after, most)

    def select(self, _conn: Connection, after: PlaceOf | None, most: int) -> list[PlaceOf]:
        ordered = sorted(self.items, reverse=True)
        return [item for item in ordered if after is None or item < after][:most]

    def sparse(self, _conn: Connection, after: PlaceOf | None, most: int) -> Slice[PlaceOf, PlaceOf]:
        """Looks at two rows at a time, and finds those with an even number."""
        seen = self.select(_conn, after, 2)
        found = [item for item in seen if item[0] % 2 == 0][:most]
        return Slice(found, None if len(seen) < 2 else seen[-1])


def call(numbers: Numbers, page: Page, caller: Caller = CALLER, path: str = "/v1/numbers") -> Any:
    runtime: Any = SimpleNamespace(books=numbers, key=KEY)
    return Call(runtime, caller, None, page, None, b"", "", "", path)


async def read(numbers: Numbers, page: Page, **given: Any) -> Any:
    return await read_page(call(numbers, page, **given), numbers.select, lambda item: item, tuple[int, str])


async def pages(numbers: Numbers, limit: int, added: list[PlaceOf]) -> list[PlaceOf]:
    seen: list[PlaceOf] = []
    cursor: str | None = ""
    while cursor is not None:
        shown, cursor = await read(numbers, Page(cursor, limit))
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


@given(st.lists(places, unique=True, max_size=12), st.integers(1, 5))
def test_a_page_that_finds_less_goes_on_where_it_came_to(items: list[PlaceOf], limit: int) -> None:
    async def all_of_them() -> list[PlaceOf]:
        numbers, seen, cursor = Numbers(items), list[PlaceOf](), ""
        while cursor is not None:
            asked = call(numbers, Page(cursor, limit))
            shown, cursor = await read_slice(asked, numbers.sparse, lambda item: item, tuple[int, str])
            seen += shown
        return seen

    assert asyncio.run(all_of_them()) == sorted([item for item in items if item[0] % 2 == 0], reverse=True)


@pytest.mark.parametrize("cursor", ["x", "pay_1", "AAAA", "kgA", "\u00e9", "=" * 9, "kgGhYQ!!", "kgGh YQ"])
async def test_a_made_up_place_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidFields):
        await read(Numbers([(1, "a")]), Page(cursor))


async def test_a_cursor_holds_for_its_list_filters_and_account_alone() -> None:
    numbers = Numbers([(n, "a") for n in range(5)])
    _, cursor = await read(numbers, Filtered(None, 2, "red"))
    shown, _ = await read(numbers, Filtered(cursor, 1, "red"))  # another limit is another page of the same list
    assert shown == [(2, "a")]
    others: list[tuple[Page, dict[str, Any]]] = [
        (Filtered(cursor, 2, "blue"), {}),
        (Filtered(cursor, 2), {}),
        (Filtered(cursor, 2, "red"), {"path": "/v1/others"}),
        (Filtered(cursor, 2, "red"), {"caller": Caller("acc_2", "acc_2", "merchant", frozenset())}),
        (Filtered(cursor[:-2] + "AA", 2, "red"), {}),
    ]
    for page, given_by in others:
        with pytest.raises(InvalidFields):
            await read(numbers, page, **given_by)


async def test_a_cursor_tells_nothing_and_is_the_same_each_time() -> None:
    numbers = Numbers([(1, "secret"), (2, "secret")])
    (_, cursor), (_, again) = [await read(numbers, Page(None, 1)) for _ in range(2)]
    assert cursor == again
    assert "secret" not in cursor


@pytest.mark.parametrize("after", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
async def test_a_time_that_utc_has_no_year_for_is_a_filter_like_any(after: str) -> None:
    numbers = Numbers([(number, "") for number in range(3)])
    moment = datetime.fromisoformat(after)
    _, cursor = await read(numbers, Filtered(limit=2, after=moment))
    assert (await read(numbers, Filtered(cursor, limit=2, after=moment)))[0] == [(0, "")]
    with pytest.raises(InvalidFields):
        await read(numbers, Filtered(cursor, limit=2, after=datetime.fromisoformat("2026-01-01T00:00:00Z")))
