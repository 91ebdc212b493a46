"""Each look of `python -m benchmarks.canary` finds a number that was planted for it, in each disguise."""

from pathlib import Path
from random import Random

import pytest

from benchmarks.canary import looks, plants
from benchmarks.canary.canaries import KINDS, canaries, card_data, number, texts
from benchmarks.canary.everywhere import searched
from benchmarks.canary.sends import requests_with, typed
from benchmarks.described import DescribedOperation
from schemas.cards import brand_of, find_numbers, luhn_valid

OPERATION = DescribedOperation(
    method="POST",
    path="/v1/things/{thing}",
    scope=None,
    variables=("thing",),
    query=("limit",),
    takes_key=True,
    media_type="application/json",
    body={"name": "a", "inner": {"list": [1]}},
)


def test_no_disguise_escapes() -> None:
    assert plants.missed_disguises() == []


@pytest.mark.parametrize("plant", [plants.in_files, plants.in_sqlite, plants.in_duckdb], ids=lambda p: p.__name__)
def test_what_is_planted_in_a_file_is_found(plant: "plants.Plant", tmp_path: Path) -> None:
    assert plant(tmp_path)


def test_what_sqlite_keeps_on_two_pages_is_found_by_rows_alone(tmp_path: Path) -> None:
    plants.in_sqlite(tmp_path)
    whole = next(looks.files(tmp_path))[1]
    rows = [content for _, content in looks.sqlite_files(tmp_path)]
    planted = find_numbers(rows[0].decode())[0].encode()
    assert sum(planted in row for row in rows) > whole.count(planted)


def test_what_is_planted_in_a_process_is_found(tmp_path: Path) -> None:
    assert plants.in_a_process(looks.memory)
    assert plants.in_a_process(lambda pid: looks.open_files(pid, tmp_path))


def test_a_search_names_the_place_and_passes_over_what_is_allowed() -> None:
    card = plants.planted_number()
    pages = {"books": card, "page": f"<p>{card}</p>"}
    assert searched(lambda: looks.named_texts(pages), card_data([card], [])).hits.keys() == {"books", "page"}
    assert searched(lambda: looks.named_texts(pages), card_data([card], []), ("books",)).hits.keys() == {"page"}


def test_what_is_no_canary_is_not_found() -> None:
    numbers = card_data(canaries(1).numbers, canaries(1).codes)
    for innocent in (b'{"amount": 739, "code": "7390"}', b"line 739", *(n.encode() for n in canaries(2).numbers)):
        assert numbers(innocent) is None
    assert texts(canaries(1).persons())(canaries(2).email.encode()) is None


@pytest.mark.parametrize(("prefix", "length"), KINDS)
def test_canaries_are_card_numbers_that_we_take(prefix: str, length: int) -> None:
    made = number(prefix, length, Random(1))
    assert luhn_valid(made)
    assert brand_of(made)
    assert len(made) == length


def test_a_number_is_typed_into_every_place_of_a_route() -> None:
    text = typed(canaries(1))[0]
    sent = list(requests_with(OPERATION, text, "739", {"thing": "thg_1", "name": "b"}))
    assert any(text in request.target.partition("?")[0] for request in sent)
    assert {f"limit={text}", f"{text}={text}"} <= {request.target.partition("?")[2] for request in sent}
    for header in ("Idempotency-Key", "traceparent", "User-Agent", "Content-Type"):
        assert any(request.headers.get(header) == text for request in sent)
    bodies = {request.body for request in sent}
    assert f'{{"name":"{text}","inner":{{"list":[1]}}}}'.encode() in bodies
    assert f'{{"name":"b","inner":{{"{text}":[1]}}}}'.encode() in bodies
    assert b'{"name":"b","inner":{"list":[1]},"metadata":{"cvc":"739"}}' in bodies
    assert sum(request.target.startswith("/v1/things/thg_1") for request in sent) == len(sent) - 1
    keys = [request.headers["Idempotency-Key"] for request in sent]
    assert len(set(keys)) == len(keys)
