"""`sluice audit`: the vault's entries against what the books keep of them, and as JSON lines."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, text

from gateway.books.opening import migrate, run_once
from gateway.books.operations import Operation, operations
from gateway.vault.audit import Audit, opened_audit
from gateway.vault.audit_chain import GENESIS, AuditEntry, file_name, files, line_of
from gateway.vault.isolation import Peer
from gateway.vault.opens import Opening
from schemas.times import now
from sluice.audit import audit

PEER = Peer(1, 2)
LONG_AGO = "2020-01-01T00:00:00+00:00"
OPERATIONS = [f"op_{number}" for number in range(30)]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with an audit of opened cards, and books whose operations keep its heads."""
    monkeypatch.setenv("SLUICE_DATA", str(tmp_path))
    url = f"sqlite:///{tmp_path / 'books.sqlite3'}"
    migrate(url)
    heads = asyncio.run(opened(opened_audit(tmp_path, 400, 1_000_000)))
    run_once(url, lambda conn: [keep(conn, *each) for each in heads.items()])
    return tmp_path


async def opened(trail: Audit) -> dict[str, str]:
    heads = {}
    for operation_id in OPERATIONS:
        head = await trail.open_card(Opening(operation_id, "card_a", "acc_a", b""), PEER)
        heads[operation_id] = str(head)
        await trail.note("card.store", "updated", PEER, card_id="card_a", owner_id="acc_a")
    await trail.close()
    return heads


def keep(conn: Connection, operation_id: str, head: str | None) -> None:
    """An operation that keeps a head; of the rest of the books nothing is asked."""
    row = Operation(
        id=operation_id,
        payment_id=f"pay_{operation_id}",
        attempt_id="att_a",
        processor="visa",
        kind="sale",
        amount=1,
        currency="EUR",
        status="succeeded",
        created_at=1,
        audit_head=head,
    )
    conn.execute(operations.insert().values({name: getattr(row, name) for name in row.__struct_fields__}))


def run(*arguments: str, input: str | None = None) -> Result:
    return CliRunner().invoke(audit, arguments, input=input)


def test_what_nobody_touched_agrees_with_the_books(data: Path) -> None:
    result = run("verify")
    assert result.exit_code == 0, result.output
    assert "entries 1 to 61 (61)" in result.output
    assert "31 heads are kept elsewhere and stand in it; 30 cards were opened" in result.output


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda lines: [*lines[:20], lines[20].replace(b"acc_a", b"acc_b"), *lines[21:]], "entry 21: altered"),
        (lambda lines: lines[:30] + lines[31:], "entry 31: altered, removed"),
        (lambda lines: lines[:-1], "entry 61: cut off: opens.sqlite3 keeps it"),
        (lambda lines: lines[:-3], "entry 60: cut off: op_29 keeps it"),
    ],
)
def test_a_change_is_found_and_told(data: Path, harm: Callable[[list[bytes]], list[bytes]], said: str) -> None:
    [path] = files(data / "audit")
    path.write_bytes(b"".join(harm(path.read_bytes().splitlines(keepends=True))))
    result = run("verify")
    assert result.exit_code == 1
    assert said in result.output
    assert "the audit was changed" in result.output


def test_no_audit_at_all_is_no_good_one(data: Path) -> None:
    for path in files(data / "audit"):
        path.unlink()
    result = run("verify")
    assert result.exit_code == 1
    assert "there is no audit in" in result.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM operations WHERE id = 'op_7'", "which is no operation of the books"),
        (
            # Staff are shown the ids of captures and refunds, and no vault knows what an operation is.
            "UPDATE operations SET kind = 'capture' WHERE id = 'op_7'",
            "which is no operation of the books that needs one",
        ),
    ],
    ids=["no operation", "an operation that needs no card"],
)
def test_a_card_that_was_opened_for_no_operation_that_needs_one_is_told(
    data: Path, change: str, said: str
) -> None:
    run_once(f"sqlite:///{data / 'books.sqlite3'}", lambda conn: conn.execute(text(change)))
    result = run("verify")
    assert result.exit_code == 1
    assert f"a card was opened for op_7, {said}" in result.output


def test_a_chain_that_begins_behind_every_head_is_no_good_one(data: Path) -> None:
    """Old entries are dropped, and heads of before count for nothing; but these operations are of today."""
    for path in (data / "audit").iterdir():
        path.unlink()
    entry = AuditEntry(n=1_000, at=now(), event="audit.continue", result="ok", detail=f"{GENESIS} {LONG_AGO}")
    (data / "audit" / file_name(1_000)).write_bytes(line_of(entry, GENESIS)[0])
    result = run("verify")
    assert result.exit_code == 1
    assert "missing: op_29 keeps it, and the chain begins at 1000" in result.output


def test_heads_can_be_carried_to_where_the_vault_is(data: Path) -> None:
    heads = run("heads").output
    assert json.loads(heads.splitlines()[0]) == {"operation": "op_0", "head": heads.split('"')[7]}
    (data / "books.sqlite3").unlink()
    assert run("verify", "--heads", "-", input=heads).exit_code == 0
    missing = "".join(line for line in heads.splitlines(keepends=True) if "op_7" not in line)
    assert "opened for op_7" in run("verify", "--heads", "-", input=missing).output
    assert "not what `sluice audit heads` writes" in run("verify", "--heads", "-", input="nonsense\n").output


def test_entries_of_a_range_of_time_are_written_as_json_lines(data: Path) -> None:
    whole = [json.loads(line) for line in run("export").output.splitlines()]
    assert [entry["n"] for entry in whole] == list(range(1, 62))
    since, until = whole[10]["at"], whole[20]["at"]
    part = [json.loads(line) for line in run("export", "--since", since, "--until", until).output.splitlines()]
    began, ended = map(datetime.fromisoformat, (since, until))
    assert part == [entry for entry in whole if began <= datetime.fromisoformat(entry["at"]) < ended]
    assert run("export", "--since", now().isoformat()).output == ""
    opened: dict[str, Any] = next(entry for entry in whole if entry["event"] == "card.open")
    assert opened.keys() == {"n", "at", "event", "result", "pid", "uid", "operation_id", "card_id", "owner_id"}
