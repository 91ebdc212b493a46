"""The copy of an audit: the same bytes, and whatever nobody was answered for is cut off."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.vault.audit_chain import files
from gateway.vault.audit_copy import AuditCopy, NotFollowing
from gateway.vault.audit_trail import AuditTrail, OpenRefused
from gateway.vault.opens import Opening

MOST = 1_000_000


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[AuditTrail]:
    """An audit of several files."""
    made = AuditTrail(tmp_path / "audit", timedelta(days=400), 1e9, file_max=4_000)
    yield made
    made.close()


def write(trail: AuditTrail, operations: range) -> None:
    """Open a card for each operation, in one group."""
    trail.begin()
    for number in operations:
        trail.open_card(Opening(f"op_{number}", "card_a", "acc_a", b"call"))
    trail.commit()


def content(directory: Path) -> dict[str, bytes]:
    """The files of an audit."""
    return {path.name: path.read_bytes() for path in files(directory)}


def test_a_copy_has_the_same_files_and_knows_who_opened_a_card(trail: AuditTrail, tmp_path: Path) -> None:
    write(trail, range(50))
    assert trail.begin_copy([]) == 0
    assert not trail.copy_from(0, 100)
    copy = AuditCopy(tmp_path / "copy")
    assert trail.copy_from(0, MOST)
    copy.append(trail.take_lines())
    write(trail, range(50, 60))
    copy.append(trail.take_lines())
    assert content(tmp_path / "audit") == content(tmp_path / "copy")
    assert len(content(tmp_path / "copy")) > 2
    copy.close()
    successor = AuditTrail(tmp_path / "copy", timedelta(days=400), 1e9)
    successor.begin()
    successor.open_card(Opening("op_1", "card_a", "acc_a", b"call"))
    with pytest.raises(OpenRefused):
        successor.open_card(Opening("op_1", "card_a", "acc_a", b"another"))
    successor.commit()
    successor.close()


def test_what_was_answered_to_nobody_is_cut_off_and_the_copy_goes_on(trail: AuditTrail, tmp_path: Path) -> None:
    write(trail, range(50))
    copy = AuditCopy(tmp_path / "copy")
    trail.copy_from(0, MOST)
    copy.append(trail.take_lines())
    copy.close()
    alone = AuditTrail(tmp_path / "copy", timedelta(days=400), 1e9, file_max=4_000)
    write(alone, range(50, 70))
    alone.close()
    write(trail, range(70, 75))

    copy = AuditCopy(tmp_path / "copy")
    n = trail.begin_copy(copy.heads())
    copy.cut(n)
    assert trail.copy_from(n, MOST)
    copy.append(trail.take_lines())
    copy.close()
    assert content(tmp_path / "audit") == content(tmp_path / "copy")
    again = AuditTrail(tmp_path / "copy", timedelta(days=400), 1e9)
    write(again, range(50, 51))
    again.close()


def test_a_line_that_does_not_follow_is_refused(trail: AuditTrail, tmp_path: Path) -> None:
    write(trail, range(5))
    lines = trail.lines_after(0, MOST)
    copy = AuditCopy(tmp_path / "copy")
    for wrong in (lines.replace(b"op_3", b"op_9"), b"".join(lines.splitlines(keepends=True)[1:]), b"nothing\n"):
        with pytest.raises(NotFollowing):
            copy.append(wrong)
    copy.close()
