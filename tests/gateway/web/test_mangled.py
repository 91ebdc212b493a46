"""Mangled requests over raw sockets: the short form of `python -m benchmarks.mangled`."""

import pytest

from benchmarks.mangled.raw import RawRequest
from benchmarks.mangled.run import Gatecrasher
from benchmarks.mangled.talk import RawAnswer, Talk, complaints
from gateway.problems import CONTENT_TYPE
from gateway.settings import SEED_PASSWORD
from tests.gateway.web.conftest import ServedGateway

SEED = 4111
REQUESTS = 200
REQUEST = RawRequest(
    method=b"GET",
    target=b"/",
    version=b"HTTP/1.1",
    headers=[],
    body=b"",
    card=b"4111",
    canaries=(b"a word",),
)


def raw(status: int, body: bytes, media_type: str = CONTENT_TYPE) -> RawAnswer:
    """An answer as read off a socket."""
    return RawAnswer(status, {"content-type": media_type}, body, body)


@pytest.fixture
async def crasher(served: ServedGateway) -> Gatecrasher:
    made = Gatecrasher(served.url, SEED_PASSWORD, served.secrets, SEED)
    await made.prepare()
    return made


async def test_no_mangled_request_is_answered_wrongly(crasher: Gatecrasher) -> None:
    figures = await crasher.crash(range(REQUESTS))
    assert [(finding.number, finding.mutations, finding.wrong) for finding in figures.findings] == []
    assert sum(figures.answers.values()) > REQUESTS


async def test_a_number_makes_its_request_again(crasher: Gatecrasher) -> None:
    first, again = [await crasher.request(8) for _ in range(2)]
    assert first == again
    assert first != await crasher.request(9)


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (raw(503, b'{"code": "unavailable"}'), "503"),
        (raw(400, b"Bad Request", "text/plain"), "400 without a code"),
        (raw(400, b'{"code": "no_such_code"}'), "400 without a code"),
        (raw(422, b'{"code": "invalid_request", "detail": "a word"}'), "echoes"),
        (raw(200, b'{"number": "4111"}'), "the card number"),
        (raw(405, b'{"code": "method_not_allowed"}'), "without Allow"),
        (RawAnswer(204, {"content-length": "0"}, b"", b""), "204 with a length"),
    ],
)
def test_a_wrong_answer_is_noticed(answer: RawAnswer, wrong: str) -> None:
    assert wrong in " ".join(complaints(REQUEST, Talk([answer])))


def test_what_is_right_is_no_complaint() -> None:
    right = [raw(200, b'{"name": "a word"}'), raw(400, b'{"error": "invalid_client"}', "application/json")]
    assert complaints(REQUEST, Talk(right)) == []
    assert complaints(REQUEST, Talk([], ended="silent")) == ["neither an answer nor an end"]
