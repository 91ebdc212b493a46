"""A secret that is replaced while it is used: who shows one and who checks one never disagree."""

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from connectors.keyfiles import SecretMissing
from connectors.secret_files import SecretFile, put_next, secret_file, take_next
from schemas.settings import Settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.secret").write_text("one\n")
    return tmp_path / "a.secret"


def test_at_each_step_what_is_shown_is_taken(path: Path, set_clock: Callable[[float], None]) -> None:
    shown, checked = SecretFile(path), SecretFile(path)
    put_next(path, "two")
    assert (shown.text(), checked.accepts("one"), checked.accepts("two")) == ("one", True, True)
    take_next(path, overlap_s=60)
    assert (shown.text(), checked.accepts("one"), checked.accepts("two")) == ("two", True, True)
    set_clock(61 / 3600)
    assert (checked.accepts("one"), checked.accepts("two")) == (False, True)
    put_next(path, "three")
    take_next(path)
    assert [each.name for each in path.parent.iterdir()] == ["a.secret"]
    assert (path.stat().st_mode & 0o777, checked.accepted()) == (0o600, ["three"])


def test_without_an_overlap_the_one_before_ends_at_once(path: Path) -> None:
    put_next(path, "two")
    take_next(path)
    assert not SecretFile(path).accepts("one")


def test_a_file_that_is_written_in_place_or_gone_changes_nothing(path: Path) -> None:
    shown = SecretFile(path)
    assert shown.text() == "one"
    path.write_text("")
    with capture_logs() as lines:
        assert shown.text() == "one"
        path.unlink()
        assert shown.text() == "one"
    assert [line["event"] for line in lines] == ["secret.unreadable"]
    with pytest.raises(SecretMissing, match=r"a\.secret"):
        SecretFile(path).text()
    assert SecretFile(path, "of a setting").text() == "of a setting"


def test_another_files_name_that_begins_alike_is_no_secret_of_before(path: Path) -> None:
    for name in ("a.secret.old.x", "a.secret.older.99999999999", "a.secret.old.99999999999.new"):
        (path.parent / name).write_text("stranger")
    assert SecretFile(path).accepted() == ["one"]


def test_an_empty_secret_is_none(tmp_path: Path) -> None:
    with pytest.raises(SecretMissing, match="empty"):
        secret_file(Settings(data=tmp_path), "b.secret", bytes)
