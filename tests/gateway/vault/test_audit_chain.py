"""Whatever is done to the audit's files shows, against the heads that others keep."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from benchmarks import audit
from benchmarks.audit import KEPT, checked
from gateway.vault.audit_chain import GENESIS, AuditEntry, Head, KeptHead, entry_of, files, head_of, line_of
from gateway.vault.audit_trail import AuditDamaged, AuditTrail

ENTRIES = 60
CHANGES = 600  # `python -m benchmarks.audit` makes 10,000


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, list[KeptHead]]:
    """A chain in several files, and the heads that operations keep of it, of its last entry too."""
    kept = audit.written(tmp_path, ENTRIES, file_max=4_000)
    assert len(files(tmp_path)) > 3
    return tmp_path, kept


def test_an_untouched_chain_has_no_fault(written: tuple[Path, list[KeptHead]]) -> None:
    directory, kept = written
    chain = checked(directory, kept)
    assert (chain.faults, chain.first, chain.last) == ([], 1, kept[-1].head)
    assert chain.compare(kept) == ENTRIES
    assert all(head_of(str(each.head)) == each.head for each in kept)


def test_every_edit_deletion_swap_and_cut_is_found(written: tuple[Path, list[KeptHead]]) -> None:
    directory, kept = written
    chance = random.Random(7)
    before = {path: path.read_bytes() for path in files(directory)}
    for number in range(CHANGES):
        how = audit.change(directory, chance)
        assert checked(directory, kept).faults, (number, how)
        for path, content in before.items():
            path.write_bytes(content)


def test_a_chain_that_is_written_anew_from_an_edited_entry_on_is_found_by_the_heads_alone(
    written: tuple[Path, list[KeptHead]],
) -> None:
    directory, kept = written
    rewrite(directory, "card_20")
    assert checked(directory, []).faults == []  # the chain itself is whole
    found = checked(directory, kept).faults
    assert [fault.n for fault in found] == [each.head.n for each in kept[20:]]
    assert f"{kept[20].kept_by} keeps" in found[0].what


def rewrite(directory: Path, card_id: str) -> None:
    """Give a card to another owner, and chain all that follows anew."""
    previous = GENESIS
    for path in files(directory):
        lines = []
        for line in path.read_bytes().splitlines():
            entry, _ = entry_of(line)
            if entry.event == "audit.continue":
                began = (entry.detail or "").partition(" ")[2]
                entry = msgspec.structs.replace(entry, detail=f"{previous} {began}")
            if entry.card_id == card_id:
                entry = msgspec.structs.replace(entry, owner_id="acc_b")
            fresh, previous = line_of(entry, previous)
            lines.append(fresh)
        path.write_bytes(b"".join(lines))


def test_a_tail_that_nobody_outside_saw_is_missed_by_the_vault_itself_at_its_next_start(
    written: tuple[Path, list[KeptHead]],
) -> None:
    directory, _ = written
    path = files(directory)[-1]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    AuditTrail(directory, KEPT, 1_000).close()
    lines = [entry_of(line)[0] for line in path.read_bytes().splitlines()]
    assert [(entry.event, entry.result) for entry in lines[-1:]] == [("audit.cut", "missing")]
    assert [fault.n for fault in checked(directory, []).faults] == [lines[-1].n]  # for as long as it is kept


def test_what_a_kill_left_without_an_end_is_cut_off_and_the_chain_goes_on(
    written: tuple[Path, list[KeptHead]],
) -> None:
    directory, kept = written
    path = files(directory)[-1]
    with path.open("ab") as file:
        file.write(b"abcdefgh" * 20 + bytes(100))
    trail = AuditTrail(directory, KEPT, 1_000)
    trail.begin()
    trail.note("vault.start", "ok")
    trail.commit()
    trail.close()
    assert checked(directory, kept).faults == []


def test_a_file_that_does_not_end_with_an_entry_is_not_continued(written: tuple[Path, list[KeptHead]]) -> None:
    directory, _ = written
    with files(directory)[-1].open("ab") as file:
        file.write(b"an entry\n")
    with pytest.raises(AuditDamaged, match="does not end with an entry"):
        AuditTrail(directory, KEPT, 1_000)


def test_files_are_dropped_once_they_are_older_than_they_are_kept_and_no_sooner(
    written: tuple[Path, list[KeptHead]],
) -> None:
    directory, kept = written
    there = len(files(directory))
    AuditTrail(directory, KEPT, 1_000).close()
    assert len(files(directory)) == there
    trail = AuditTrail(directory, timedelta(0), 1_000)
    trail.close()
    left = files(directory)
    assert len(left) < there
    assert entry_of(left[-1].read_bytes().splitlines()[-1])[0].event == "audit.drop"
    chain = checked(directory, kept, timedelta(0))
    assert (chain.faults, 0 < chain.compare(kept) < ENTRIES) == ([], True)
    assert ["not old enough" in fault.what for fault in checked(directory, kept).faults] == [True]


@pytest.mark.parametrize("ended", ["", "yesterday", "2020-01-01T00:00:00"])
def test_a_first_file_that_says_anything_of_what_was_before_breaks_no_check(
    written: tuple[Path, list[KeptHead]], ended: str
) -> None:
    directory, kept = written
    first, second, *_ = files(directory)
    first.unlink()
    line, *others = second.read_bytes().splitlines(keepends=True)
    entry, _ = entry_of(line.rstrip(b"\n"))
    edited = msgspec.structs.replace(entry, detail=f"{'a' * 64} {ended}")
    second.write_bytes(line_of(edited, "a" * 64)[0] + b"".join(others))
    assert checked(directory, kept).faults
    AuditTrail(directory, KEPT, 1_000).close()  # nor a start of the vault


@pytest.mark.parametrize("n", [2, 10**15])
def test_a_made_up_number_fills_no_memory(tmp_path: Path, n: int) -> None:
    entry = entry_of(line_of(entry_sample(n), "a" * 64)[0].rstrip(b"\n"))[0]
    (tmp_path / "audit.000000000001.jsonl").write_bytes(line_of(entry, "a" * 64)[0] * 2)
    assert checked(tmp_path, [KeptHead("op_1", Head(1, "b" * 64))]).faults


def entry_sample(n: int) -> AuditEntry:
    return AuditEntry(n=n, at=datetime(2026, 1, 1, tzinfo=UTC), event="vault.start", result="ok")
