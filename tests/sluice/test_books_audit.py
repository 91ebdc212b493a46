"""`sluice audit` over the books' audit: whatever is done to it shows, and the first altered entry is named."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, delete, insert, text, update

from gateway.books.audit import (
    GENESIS,
    Act,
    ActRow,
    audit,
    audit_heads,
    hash_of,
    list_entries,
    list_hashes,
    record,
    sealing,
)
from gateway.books.opening import migrate, run_once
from gateway.vault.audit import Audit, opened_audit
from gateway.vault.isolation import Peer
from schemas.times import now_micros
from sluice.audit import audit as command
from sluice.books_audit import WAITS_MAX

KEY = b"k" * 32
ENTRIES = 20
TABLE = audit
LONG_AGO = now_micros() - 10 * WAITS_MAX.total_seconds() * 1_000_000


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Books with an audit whose heads the vault keeps."""
    monkeypatch.setenv("SLUICE_DATA", str(tmp_path))
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / "gateway.key").write_bytes(KEY)
    migrate(url(tmp_path))
    add(tmp_path, *range(1, ENTRIES + 1))
    tell_vault(tmp_path, 0)
    return tmp_path


def url(data: Path) -> str:
    return f"sqlite:///{data / 'books.sqlite3'}"


def add(data: Path, *numbers: int) -> None:
    run_once(url(data), lambda conn: [record(conn, decided(number)) for number in numbers], seal=sealing(KEY))


def decided(number: int) -> Act:
    return Act("review_decided", "acc_analyst", f"rev_{number}", {"decision": "approve"})


def tell_vault(data: Path, after: int) -> None:
    """As `AuditHeads` does, with a vault that runs."""
    hashes = run_once(url(data), lambda conn: list_hashes(conn, after, 1_000), readonly=True)
    asyncio.run(_tell(opened_audit(data, 400, 10), [f"{n}:{digest}" for n, digest in hashes]))


async def _tell(trail: Audit, heads: list[str]) -> None:
    for begun in range(0, len(heads), 7):
        await trail.keep_heads(heads[begun : begun + 7], Peer(1, 2))
    await trail.close()


def run(*arguments: str, input: str | None = None) -> Result:
    return CliRunner().invoke(command, arguments, input=input)


def change(data: Path, harm: Callable[[Connection], object]) -> None:
    run_once(url(data), harm)


def edit(n: int, **values: object) -> Callable[[Connection], object]:
    return lambda conn: conn.execute(update(TABLE).where(TABLE.c.n == n).values(**values))


def remove(first: int, last: int) -> Callable[[Connection], object]:
    return lambda conn: conn.execute(delete(TABLE).where(TABLE.c.n.between(first, last)))


def cut(conn: Connection) -> None:
    """The tail is taken off, and the head follows, as if nothing had been there."""
    remove(ENTRIES - 1, ENTRIES)(conn)
    head = list_hashes(conn, ENTRIES - 3, 1)[0]
    conn.execute(update(audit_heads).values(n=head.n, hash=head.hash))


def swap(conn: Connection) -> None:
    """Two entries say what the other said, under their own numbers and hashes."""
    first, other = list_entries(conn, 6, 1)[0], list_entries(conn, 11, 1)[0]
    edit(first.n, subject_id=other.subject_id, at=other.at)(conn)
    edit(other.n, subject_id=first.subject_id, at=first.at)(conn)


def close_up(conn: Connection) -> None:
    """An entry is gone, and those behind it move up with their hashes."""
    remove(9, 9)(conn)
    conn.execute(text("UPDATE audit SET n = n - 1 WHERE n > 9"))


def squeeze_in(conn: Connection) -> None:
    """One is added in the middle, and those behind it make room."""
    conn.execute(text("UPDATE audit SET n = -n - 1 WHERE n > 9"))
    conn.execute(text("UPDATE audit SET n = -n WHERE n < 0"))
    conn.execute(insert(TABLE), [msgspec.structs.asdict(list_entries(conn, 8, 1)[0]) | {"n": 10}])


def write_anew(conn: Connection) -> None:
    """By somebody who has the gateway's key: edited, and chained anew from there on."""
    edit(8, actor_id="acc_other")(conn)
    previous = list_hashes(conn, 6, 1)[0].hash
    for entry in list_entries(conn, 7, 1_000):
        previous = hash_of(KEY, previous, entry)
        edit(entry.n, hash=previous)(conn)


HARM: dict[str, tuple[Callable[[Connection], object], int]] = {
    "who acted": (edit(5, actor_id="acc_other"), 5),
    "what it was done to": (edit(5, subject_id="rev_6"), 5),
    "what was done": (edit(5, kind="login"), 5),
    "when": (edit(5, at=1), 5),
    "how": (edit(5, detail='{"decision":"reject"}'), 5),
    "its hash": (edit(5, hash="b" * 64), 5),
    "the first ones are gone": (remove(1, 3), 1),
    "one is gone": (remove(9, 9), 9),
    "one is gone, and the rest moves up": (close_up, 9),
    "the last ones are gone": (remove(ENTRIES, ENTRIES), ENTRIES),
    "the last ones are gone, and the head follows": (cut, ENTRIES - 1),
    "all are gone": (remove(1, ENTRIES), 1),
    "two are swapped": (swap, 7),
    "one is squeezed in": (squeeze_in, 10),
    "written anew with the key": (write_anew, 8),
}


def test_what_nobody_touched_is_found_so(data: Path) -> None:
    add(data, 21, 22)  # the vault has not heard of them yet
    result = run("verify")
    assert result.exit_code == 0, result.output
    assert "the books' audit: 22 entries, of which 2 wait for the vault" in result.output


@pytest.mark.parametrize("how", HARM)
def test_a_change_shows_and_the_first_altered_entry_is_named(data: Path, how: str) -> None:
    harm, n = HARM[how]
    change(data, harm)
    result = run("verify")
    assert result.exit_code == 1
    assert f"entry {n} is the first of the books that was altered" in result.output


@pytest.mark.parametrize("n", [0, ENTRIES + 1])
def test_who_has_no_key_adds_nothing_even_where_the_vault_is_told_of_it(data: Path, n: int) -> None:
    """Whoever can write the books alone; the gateway tells the vault of what it finds there."""
    forged = ActRow(
        n=n, at=now_micros(), kind="role_changed", actor_id="acc_admin", subject_id="acc_x", detail="{}", hash=""
    )
    before = run_once(url(data), lambda conn: list_hashes(conn, n - 2, 1))[0].hash if n else GENESIS
    forged = msgspec.structs.replace(forged, hash=hash_of(b"guessed", before, forged))
    change(data, lambda conn: conn.execute(insert(TABLE), [msgspec.structs.asdict(forged)]))
    tell_vault(data, ENTRIES)
    result = run("verify")
    assert result.exit_code == 1
    assert f"entry {n} is the first of the books that was altered" in result.output


def test_a_chain_without_its_heads_would_not_tell_that_it_was_written_anew(data: Path) -> None:
    """What the vault keeps is what finds it: its files went with the vault, and new ones began."""
    change(data, write_anew)
    for path in (data / "audit").iterdir():
        path.unlink()
    tell_vault(data, 0)
    assert run("verify").exit_code == 0


def test_entries_from_before_what_the_vault_still_keeps_are_checked_by_the_chain(data: Path) -> None:
    """Its files are dropped after a year, the books' entries never."""
    for path in (data / "audit").iterdir():
        path.unlink()
    tell_vault(data, ENTRIES - 5)
    assert run("verify").exit_code == 0
    change(data, edit(3, actor_id="acc_other"))
    assert "entry 3 is the first of the books" in run("verify").output


def test_an_entry_that_waits_for_the_vault_for_long_is_told(data: Path) -> None:
    late = ActRow(
        n=ENTRIES + 1,
        at=int(LONG_AGO),
        kind="login",
        actor_id="acc_a",
        subject_id="ses_a",
        detail="{}",
        hash="",
    )
    last = run_once(url(data), lambda conn: list_hashes(conn, ENTRIES - 1, 1))[0].hash
    late = msgspec.structs.replace(late, hash=hash_of(KEY, last, late))
    change(data, lambda conn: conn.execute(insert(TABLE), [msgspec.structs.asdict(late)]))
    assert f"entry {ENTRIES + 1} of the books: the vault keeps no head of it, since" in run("verify").output


def test_they_can_be_carried_to_where_the_vault_is(data: Path) -> None:
    carried = run("heads").output
    for name in ("books.sqlite3", "secrets/gateway.key"):
        (data / name).unlink()
    assert run("verify", "--heads", "-", input=carried).exit_code == 0
    *lines, end = carried.splitlines(keepends=True)
    cut_off = run("verify", "--heads", "-", input="".join([*lines[:-2], end]))
    assert cut_off.exit_code == 0  # so young that they may have been added since
    later = end.replace("20", "21", 1)
    assert (
        f"entry {ENTRIES - 1} is the first"
        in run("verify", "--heads", "-", input="".join([*lines[:-2], later])).output
    )
    assert "its end is missing" in run("verify", "--heads", "-", input="".join(lines)).output


def test_entries_are_exported_as_json_lines_and_that_is_one_itself(data: Path) -> None:
    whole = [json.loads(line) for line in run("export", "--books").output.splitlines()]
    assert [entry["n"] for entry in whole] == list(range(1, ENTRIES + 2))
    assert (whole[-1]["kind"], whole[-1]["subject_id"]) == ("export", "audit")
    assert whole[-1]["actor_id"].startswith("uid:")
    assert whole[4].keys() == set(ActRow.__struct_fields__)
    assert run("export", "--books", "--until", "2020-01-01").output == ""
    assert run("verify").exit_code == 0


def test_without_the_key_nothing_is_called_good(data: Path) -> None:
    (data / "secrets" / "gateway.key").unlink()
    result = run("verify")
    assert (result.exit_code, "without it nobody can check" in result.output) == (1, True)
