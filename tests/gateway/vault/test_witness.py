"""The row that says which of two vaults serves: on either kind of witness whoever is second changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from benchmarks.postgres import Server
from gateway.vault.standing import NotInPlace, Standing, check_alone, check_standing, first_row, keep_standing
from gateway.vault.witness import Witness, WitnessAway, WitnessRow, open_witness
from schemas.settings import BadSetting

ROW = WitnessRow("store_a", "a", "run_a", "", 3)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def witness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Witness]:
    """An empty witness of either kind."""
    url = f"sqlite:///{tmp_path / 'witness.sqlite3'}"
    if request.param == "postgres":
        server: Server = request.getfixturevalue("postgres")
        conn = await asyncpg.connect(server.url())
        await conn.execute("DROP DATABASE IF EXISTS vault_witness")
        await conn.execute("CREATE DATABASE vault_witness")
        await conn.close()
        url = server.url("vault_witness")
    made = open_witness(url)
    yield made
    await made.close()


async def test_of_two_changes_of_one_term_one_is_made(witness: Witness) -> None:
    assert await witness.read() is None
    await witness.begin(ROW)
    changes = [ROW._replace(serving=name, run_id=f"run_{name}", term=4) for name in ("a", "b", "c", "d")]
    made = await asyncio.gather(*(witness.change(3, row) for row in changes))
    assert sorted(made) == [False, False, False, True]
    found = await witness.read()
    assert found == changes[made.index(True)]
    assert not await witness.beat("run_nobody")
    assert await witness.beat(found.run_id)
    assert await witness.read() == found._replace(beats=1)


async def test_one_that_does_not_answer_is_away(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/none/witness", f"postgresql://postgres@/none?host={tmp_path}"):
        with pytest.raises(WitnessAway):
            await open_witness(url).read()
    with pytest.raises(BadSetting, match="SLUICE_VAULT_WITNESS"):
        open_witness("mysql://somewhere/else")


def test_a_vault_that_the_witness_contradicts_neither_serves_nor_stands_by(tmp_path: Path) -> None:
    def refused(name: str, found: WitnessRow | None, has_cards: bool = False) -> str:
        with pytest.raises(NotInPlace) as caught:
            check_standing(tmp_path, name, found, has_cards)
        return str(caught.value)

    assert "empty" in refused("a", None)
    assert "holds no cards" in refused("a", ROW), "an empty disk under the name of the one that served"
    assert "other cards" in refused("b", ROW, has_cards=True), "a store that was never a copy of this one"
    assert check_standing(tmp_path, "b", ROW, has_cards=False) == Standing()
    check_alone(tmp_path)
    keep_standing(tmp_path, Standing("store_a"))
    with pytest.raises(NotInPlace, match="one of two"):
        check_alone(tmp_path)
    assert "holds no cards" in refused("a", ROW), "half a copy"
    keep_standing(tmp_path, Standing("store_a", 9))
    assert "set back to term 3" in refused("b", ROW)
    assert first_row(tmp_path, "b", ROW) == WitnessRow("store_a", "b", "", "", 10)
    keep_standing(tmp_path, Standing("store_a", 3, "b"))
    assert "is that of `b`" in refused("a", ROW), "it has b's copy, which may be an old one"
    (tmp_path / "vault.standing").write_text("{")
    assert "vault.standing" in refused("b", ROW)
