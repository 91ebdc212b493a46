"""What stands for a number towards one reader can be compared with nothing that another one is shown."""

import re
from itertools import combinations
from pathlib import Path

import pytest

from connectors.keyfiles import SecretMissing
from gateway.prints import Prints, open_prints
from schemas.cards import find_numbers
from schemas.settings import Settings

PRINTS = Prints(bytes(range(32)))
VAULTS = "fp_abcdefghjkmnprstabcdefghjkmnprst"
OTHER = "fp_tsrpnmkjhgfedcbatsrpnmkjhgfedcba"


def everything(vaults: str) -> list[str]:
    return [
        PRINTS.of_card("acc_1", vaults),
        PRINTS.of_card("acc_2", vaults),
        PRINTS.of_payment("acc_1", vaults),
        PRINTS.of_payment("acc_2", vaults),
        PRINTS.instrument(vaults),
        PRINTS.of_try("acc_1", vaults),
        PRINTS.of_try("", vaults),
    ]


def test_no_reader_and_no_purpose_shares_a_print_with_another() -> None:
    shown = [*everything(VAULTS), *everything(OTHER), VAULTS, OTHER]
    bare = [value.partition("_")[2] or value for value in shown]
    assert [pair for pair in combinations(bare, 2) if pair[0] == pair[1]] == []


def test_the_same_number_has_the_same_print_for_the_same_reader() -> None:
    assert everything(VAULTS) == everything(VAULTS)


def test_a_print_is_letters_and_no_card_number() -> None:
    assert re.fullmatch(r"fp_[a-z]{32}", PRINTS.of_card("acc_1", VAULTS))
    assert re.fullmatch(r"fp_[a-z]{32}", PRINTS.of_payment("acc_1", VAULTS))
    assert re.fullmatch(r"ins_[a-z]{32}", PRINTS.instrument(VAULTS))
    assert not [value for value in everything(VAULTS) if find_numbers(value)]


def test_another_key_makes_other_prints() -> None:
    other = Prints(bytes(32))
    assert other.of_card("acc_1", VAULTS) != PRINTS.of_card("acc_1", VAULTS)
    assert other.instrument(VAULTS) != PRINTS.instrument(VAULTS)


def test_a_reader_and_a_value_are_not_written_like_others() -> None:
    assert PRINTS.of_card("acc_1", "2x") != PRINTS.of_card("acc_12", "x")


def test_the_key_is_made_once_and_production_needs_it(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    made = open_prints(settings).instrument(VAULTS)
    assert open_prints(settings).instrument(VAULTS) == made
    assert (settings.secrets() / "prints.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SecretMissing):
        open_prints(Settings(data=tmp_path / "other", profile="production"))
