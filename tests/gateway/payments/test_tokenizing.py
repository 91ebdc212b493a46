"""Of the numbers that look alike few are tokenized a day, and 201 and 429 tell nothing of which is known."""

from itertools import islice
from typing import Any

import msgspec
import pytest
import structlog

from benchmarks.guesses import candidates
from gateway.addresses import counted_network
from gateway.app import create_app
from gateway.payments import tokenizing
from gateway.payments.tokenizing import TOO_MANY
from gateway.policy import DAY_US, seconds_left
from gateway.settings import GatewaySettings
from schemas.times import steady_micros
from tests.gateway.conftest import Answer, Gateway

ALIKE = list(islice(candidates(), 14))
OTHERS = list(islice(candidates("555555", "4444"), 2))
HOME = "203.0.113.7"


@pytest.fixture
def gateway_settings(gateway_settings: GatewaySettings) -> GatewaySettings:
    """Small limits: fewer accounts have to be made."""
    return msgspec.structs.replace(
        gateway_settings, lookalikes=8, lookalikes_per_account=3, lookalikes_per_address=4
    )


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """No day ends in the middle of a test."""
    moment = steady_micros()
    monkeypatch.setattr(tokenizing, "steady_micros", lambda: moment - moment % DAY_US + DAY_US // 2)


async def send(gateway: Gateway, number: str, who: str = "customer", **more: str) -> Answer:
    body = {"number": number, "exp_month": 1, "exp_year": 2039}
    return await gateway.ask("POST", "/v1/cards", body, who, **more)


async def sent(gateway: Gateway, numbers: list[str], who: str = "customer", **more: str) -> list[int]:
    return [(await send(gateway, number, who, **more)).status for number in numbers]


async def test_one_number_too_many_is_429_until_the_day_ends(gateway: Gateway) -> None:
    assert await sent(gateway, ALIKE[:3] * 3) == [201] * 9, "a number counts once"
    refused = await send(gateway, ALIKE[3])
    assert (refused.status, refused.code, refused.json["detail"]) == (429, "rate_limited", TOO_MANY)
    assert int(refused.headers["Retry-After"]) == 12 * 3600 + 1
    assert await sent(gateway, OTHERS) == [201, 201]
    listed = (await gateway.ask("GET", "/v1/cards", who="customer")).json["data"]
    assert len(listed) == 5, "a number that is refused is not stored"


async def test_who_has_come_to_the_end_learns_of_no_number_whether_it_is_known(gateway: Gateway) -> None:
    assert await sent(gateway, ALIKE[:4]) == [201, 201, 201, 429]
    answers = [await send(gateway, number) for number in (ALIKE[0], ALIKE[3], ALIKE[4])]
    assert len({(answer.status, answer.code, answer.json["detail"]) for answer in answers}) == 1
    assert await sent(gateway, [ALIKE[0], ALIKE[4]], "merchant") == [201, 201], "nor of another's"


async def test_a_known_idempotency_key_answers_no_further_candidates(gateway: Gateway) -> None:
    """422 for another number and 201 for the same would be an oracle that no limit counts."""
    assert await sent(gateway, [ALIKE[0]], idempotency_key="k1") == [201]
    assert await sent(gateway, ALIKE[1:5], idempotency_key="k1") == [422, 422, 429, 429]
    assert await sent(gateway, [ALIKE[0]], idempotency_key="k1") == [429]


async def test_an_address_has_its_own_limit_whatever_the_accounts(gateway: Gateway) -> None:
    assert await sent(gateway, ALIKE[:3], ip=HOME) == [201] * 3
    assert await sent(gateway, ALIKE[3:6], "merchant", ip=HOME) == [201, 429, 429]
    assert await sent(gateway, ALIKE[6:7], "admin", ip="::ffff:203.0.113.7") == [429]
    assert await sent(gateway, ALIKE[6:9], "replay", ip=HOME) == [201] * 3, "who imports has none"


async def test_all_accounts_and_addresses_together_have_a_limit(gateway: Gateway) -> None:
    assert await sent(gateway, ALIKE[:3]) == [201] * 3
    assert await sent(gateway, ALIKE[3:6], "merchant", ip="127.0.0.1") == [201] * 3
    assert await sent(gateway, ALIKE[6:9], "replay", ip=HOME) == [201, 201, 429]
    assert await sent(gateway, [ALIKE[0]], "admin", ip="2001:db8::1") == [429], "though somebody has it"


async def test_another_gateway_and_the_next_start_count_on(gateway: Gateway) -> None:
    assert await sent(gateway, ALIKE[:3]) == [201] * 3
    app = create_app(gateway.runtime.settings)
    async with app.test_app():
        assert await sent(Gateway(app), ALIKE[2:4]) == [201, 429]
    assert await sent(gateway, [ALIKE[0]]) == [429]


async def test_what_is_refused_is_counted_and_told_an_operator(gateway: Gateway) -> None:
    with structlog.testing.capture_logs() as lines:
        await sent(gateway, ALIKE[:6])
    (line,) = [line for line in lines if line["event"] == "lookalikes.refused"]
    assert (line["scope"], line["log_level"], line["last4"]) == ("account", "warning", "1111")
    assert not [number for number in ALIKE if number in str(lines)]
    text = (await gateway.ask("GET", "/metrics")).body.decode()
    assert 'sluice_lookalikes_refused_total{scope="account"} 3.0' in text


async def test_what_is_no_card_counts_nothing(gateway: Gateway) -> None:
    wrong = [*({"number": f"{number[:-1]}2"} for number in ALIKE[:5]), {"exp_month": 13}, {"cvc": "123"}]
    for given in wrong:
        body = {"number": ALIKE[5], "exp_month": 1, "exp_year": 2039} | given
        assert (await gateway.ask("POST", "/v1/cards", body, "customer")).status == 422
    assert await sent(gateway, ALIKE[-3:]) == [201] * 3


async def test_a_number_counts_whatever_else_is_wrong(gateway: Gateway) -> None:
    """What a known key was answered comes before all other checks, and would tell one number from another."""
    for number, status in zip(ALIKE[:5], [422] * 3 + [429] * 2, strict=True):
        body = {"number": number, "exp_month": 1, "exp_year": 2020}
        assert (await gateway.ask("POST", "/v1/cards", body, "customer")).status == status


@pytest.mark.parametrize(
    ("ip", "profile", "network"),
    [
        ("203.0.113.7", "local", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "local", "2001:db8:1:2::/64"),
        ("127.0.0.1", "local", ""),
        ("::1", "local", ""),
        ("127.0.0.1", "production", "127.0.0.1"),
        ("::1", "production", "::/64"),
        ("", "production", ""),
    ],
)
def test_this_machine_counts_in_production_alone(ip: str, profile: Any, network: str) -> None:
    assert counted_network(ip, profile) == network


def test_a_client_is_told_when_the_next_day_begins() -> None:
    assert seconds_left(0) == 86_401
    assert seconds_left(DAY_US - 1) == 1
