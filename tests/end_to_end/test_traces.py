"""No card number and no CVC is stored anywhere, and no address on any topic.

Its name puts this file last, so that it looks at what the other tests left as well. Each look is tried on a
number of its own that was planted there.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connectors.kafka import create_topics, producer
from connectors.warehouse import WarehouseReader
from schemas.topics import Topic
from tests.end_to_end import looks, mishaps
from tests.end_to_end.shop import Shop, number
from tests.end_to_end.stack import Stack

NUMBERS = [number("visa", 718_281_828), number("mastercard", 314_159_265), number("visa", 271_828_182)]
CODES = ["739", "917"]
ADDRESSES = [mishaps.EMAIL, mishaps.PHONE, "customer@example.com", "+15005550006"]

card_data = looks.card_data_in(NUMBERS, CODES)

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def used(stack: Stack, session_shop: Shop) -> None:
    """Pay with the numbers, mistype them, and pay while the processors have faults."""
    mishaps.join(session_shop)
    for card, code in zip(NUMBERS, [*CODES, CODES[0]], strict=True):
        mishaps.pay_in_every_way(session_shop, card, code)
        mishaps.send_to_wrong_places(session_shop, card, code)
    stack.reconcile()


def test_no_card_data_stands_in_any_file(stack: Stack) -> None:
    data, planted = stack.settings.data, number("visa", 101_101_101)
    assert looks.found(card_data, looks.files(data)) == []
    for text in (f"paid by {planted}", '{"cvc": "486"}'):
        (data / "logs" / "planted").write_text(text)
        assert looks.found(looks.card_data_in([planted], ["486"]), looks.files(data)) == ["logs/planted"]


def test_no_card_data_stands_in_the_books(stack: Stack, tmp_path: Path) -> None:
    original, planted = stack.settings.data / "books.sqlite3", number("visa", 202_202_202)
    assert looks.found(card_data, looks.books(original)) == []
    with closing(sqlite3.connect(original)) as books, closing(sqlite3.connect(tmp_path / "copy")) as copy:
        books.backup(copy)
        copy.execute("UPDATE accounts SET name = ?", (planted,))
        copy.commit()
    assert looks.found(looks.card_data_in([planted], CODES), looks.books(tmp_path / "copy")) == ["accounts"]


def test_no_card_data_stands_in_the_warehouse(stack: Stack, tmp_path: Path) -> None:
    reader, planted = WarehouseReader(stack.settings, "sql"), number("visa", 303_303_303)
    assert looks.found(card_data, looks.warehouse(lambda sql: reader.query(sql).rows)) == []
    with duckdb.connect(_copy_of_warehouse(stack, tmp_path)) as copy:
        copy.execute("UPDATE store.payments SET merchant = ?", [planted])
        asked = looks.warehouse(lambda sql: copy.execute(sql).fetchall())
        assert looks.found(looks.card_data_in([planted], CODES), asked) == ["store.payments"]


def test_no_card_data_and_no_address_stands_on_any_topic(stack: Stack) -> None:
    bootstrap, planted = stack.settings.bootstrap(), number("visa", 404_404_404)
    for suspect in (card_data, looks.text_in(ADDRESSES)):
        assert looks.found(suspect, looks.records(bootstrap)) == []
    create_topics(bootstrap, [Topic("planted", "none", "Of one test.", (), {}, 1)])
    kafka = producer(bootstrap)
    kafka.produce("planted", f'{{"mail": "eve@example.net", "card": "{planted}"}}', headers={"place": b"key"})
    kafka.flush(10)
    for suspect in (looks.card_data_in([planted], CODES), looks.text_in(["Eve@example.net"])):
        assert looks.found(suspect, looks.records(bootstrap)) == ["planted"]


def _copy_of_warehouse(stack: Stack, directory: Path) -> Any:
    """A copy to be written to: the flow alone may open its own file."""
    with stack.frozen("analytics"):
        for name in ("warehouse.duckdb", "warehouse.duckdb.wal"):
            if (file := stack.settings.data / name).exists():
                shutil.copy(file, directory)
    return directory / "warehouse.duckdb"
