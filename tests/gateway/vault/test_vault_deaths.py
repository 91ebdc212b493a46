"""What a vault of two has beside a single one's tasks and threads: where one of them ends, the process does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gateway.vault.conftest import RunningVault
from tests.gateway.vault.pairs import Pair
from tests.gateway.vault.test_tls import House
from tests.victims import VAULT_OF_TWO, Victim


@pytest.mark.parametrize("name", VAULT_OF_TWO)
def test_the_vault_ends(
    name: str,
    tmp_path: Path,
    new_vault: Callable[..., RunningVault],
    victim: Callable[..., Victim],
    free_ports: Callable[[int], list[int]],
) -> None:
    pair = Pair(tmp_path, new_vault)
    if name in ("vault copy", "vault standby"):
        pair.a.start()
        victim(name, "gateway.vault", pair.b.settings).killed(lambda: pair.row().standby == "b")
        return
    house = House(tmp_path, *free_ports(1))
    over_tls = house.settings(house.holder("a", "vault", host="127.0.0.1"))
    one = victim(name, "gateway.vault", pair.a.settings | over_tls)
    one.killed(lambda: "vault.ready" in one.said())
