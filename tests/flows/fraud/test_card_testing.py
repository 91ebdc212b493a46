"""Card testing: how many stolen cards an issuer is asked about, and what it costs honest people meanwhile."""

import pytest

from tests.flows.fraud.attack import Attack, Crowd, run

REACHED_MAX = 20
HELD_MAX = 2

BY_TEN_ACCOUNTS = {
    "as it was seen": (Attack(), Crowd()),
    "all of them alive": (Attack(alive=1.0), Crowd()),
    "all of them dead": (Attack(alive=0.0), Crowd()),
    "each card from a new address": (Attack(addresses=1_000), Crowd()),
    "one account after the other": (Attack(account_by_account=True), Crowd()),
    "over 100 addresses, at 50 merchants": (Attack(addresses=100, merchants=50), Crowd()),
    "at one merchant": (Attack(merchants=1), Crowd(merchants=1)),
    "in three days": (Attack(hours=72), Crowd()),
    "in yen": (Attack(currency="JPY", lowest=100, highest=1_000), Crowd()),
    "by a single account": (Attack(accounts=1), Crowd()),
    "ten cards": (Attack(cards=10, accounts=1, merchants=1), Crowd()),
    "honest newcomers of the same BIN": (Attack(), Crowd(same_bin=1.0)),
    "everybody at one address": (Attack(addresses=1), Crowd(same_bin=1.0, address="ip_thief_0")),
    "some honest cards declined": (Attack(), Crowd(retries=0.05)),
    "during a flash sale": (Attack(), Crowd(newcomers=600, merchants=1)),
}
BY_MORE = {
    "twenty accounts": (Attack(accounts=20), 30),
    "a hundred accounts": (Attack(accounts=100), 120),
    "an account and an address for each card": (Attack(accounts=1_000, addresses=1_000), 100),
    "amounts that are not small": (Attack(lowest=1_000, highest=5_000), 150),
}
QUIET = {
    "a flash sale": Crowd(newcomers=600, merchants=1, same_bin=0.3),
    "an office, cards of one bank, some declined": Crowd(same_bin=1.0, address="ip_office", retries=0.05),
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", BY_TEN_ACCOUNTS)
def test_of_a_thousand_stolen_cards_few_reach_an_issuer_and_nobody_else_is_refused(name: str, seed: int) -> None:
    told = run(*BY_TEN_ACCOUNTS[name], seed)
    assert told.reached <= REACHED_MAX
    assert told.refused == 0
    assert told.held <= HELD_MAX


@pytest.mark.parametrize("name", BY_MORE)
def test_whoever_takes_more_accounts_or_larger_amounts_gets_further_and_not_far(name: str) -> None:
    attack, most = BY_MORE[name]
    told = run(attack, Crowd(), 1)
    assert told.reached <= most
    assert told.refused == 0


@pytest.mark.parametrize("name", QUIET)
def test_honest_newcomers_are_neither_refused_nor_held(name: str) -> None:
    told = run(Attack(cards=0), QUIET[name], 1)
    assert (told.refused, told.held) == (0, 0)
