"""No card number and no CVC stands anywhere: the short form of `python -m benchmarks.canary`.

Its name puts this file last, so that it looks at what the other tests left as well. That each look finds what is
planted for it, `tests/benchmarks/test_canary.py` shows.
"""

import asyncio
import os

import pytest

from benchmarks.canary import looks, plants
from benchmarks.canary.canaries import LIKELY, canaries, card_data, texts
from benchmarks.canary.everywhere import CATCHER, Everywhere, searched
from benchmarks.canary.payments import AT_ONCE, CanaryPayer
from benchmarks.canary.sends import RouteFigures, RouteSender, typed
from benchmarks.described import Tokens
from connectors.kafka_login import login
from gateway.seed import SERVICES
from tests.end_to_end.shop import PASSWORD, Shop
from tests.end_to_end.stack import Stack

BIRDS = canaries(718_281_828)
LOOKS = ("files", "rows of SQLite", "batches of Kafka", "topics", "SQL", "the warehouse", "open files")

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def shown(stack: Stack, session_shop: Shop) -> RouteFigures:
    """What routes answered after the canaries paid, under faults too, and were typed where they do not belong."""
    session_shop.clear_faults()
    figures = asyncio.run(_use(stack))
    session_shop.clear_faults()
    for sql in (f"SELECT '{BIRDS.numbers[0]}' || no_such_column", f"SELECT '{BIRDS.numbers[0]}'"):
        stack.says("sql", sql)
    stack.reconcile()
    return figures


@pytest.fixture
def places(stack: Stack, shown: RouteFigures) -> Everywhere:
    return Everywhere(stack.settings, lambda: {n: entry.pid for n, entry in stack.now().items() if entry.pid})


async def _use(stack: Stack) -> RouteFigures:
    url = stack.settings.url("gateway")
    secrets = {name: (stack.settings.secrets() / f"{name}.secret").read_text().strip() for name in SERVICES}
    tokens = Tokens(url, PASSWORD, secrets)
    payer = CanaryPayer(stack.settings, BIRDS, await tokens.of("merchant"))
    try:
        await payer.join()
        await payer.pay_in_every_way()
        await payer.pay_under_faults(AT_ONCE)
        tokens.keep("customer", payer.token())
        sender = RouteSender(url, BIRDS, tokens, await payer.known())
        await sender.send_everywhere(typed(BIRDS)[1:2])
    finally:
        await payer.close()
    return sender.figures


def test_no_answer_shows_what_was_typed(shown: RouteFigures) -> None:
    assert shown.shown == {}
    assert shown.operations >= 40
    assert shown.requests > 10 * shown.operations


@pytest.mark.parametrize("name", LOOKS)
def test_nothing_that_must_not_be_there_is_found(places: Everywhere, name: str) -> None:
    look, numbers = places.places()[name], card_data(BIRDS.numbers, BIRDS.codes)
    persons = texts((*BIRDS.persons(), BIRDS.words, "customer@example.com", "+15005550006"))
    seen = searched(look, numbers)
    assert seen.hits == {}
    assert seen.pieces > 0 or name == "open files"  # there are none, unless a process spills
    assert searched(look, persons, CATCHER).hits == {}
    assert searched(look, texts([BIRDS.password])).hits == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads the memory of others")
def test_no_card_number_is_in_the_memory_of_a_flow(places: Everywhere) -> None:
    likely = card_data(BIRDS.numbers[:1], (), LIKELY)
    assert searched(lambda: places.memory(["notifications"]), likely).hits == {}


def test_a_number_in_a_record_is_found_in_each_codec(stack: Stack) -> None:
    found = plants.in_kafka(login(stack.settings, "admin"), stack.settings.data / "kafka")
    assert found == dict.fromkeys(found, True)


def test_the_look_into_topics_sees_what_is_there(stack: Stack, shown: RouteFigures) -> None:
    assert looks.found(texts(["payment.initiated"]), looks.records(stack.settings.bootstrap()))
