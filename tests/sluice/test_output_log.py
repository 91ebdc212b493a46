"""The output log: all of it in the file, all but routine lines on the terminal."""

from pathlib import Path

import pytest

from sluice import output_log
from sluice.output_log import LINE_MAX, OutputLog


def feed(directory: Path, *chunks: bytes, everything: bool = False) -> list[str]:
    shown: list[str] = []
    out = OutputLog(directory, "one", shown.append, everything)
    for chunk in chunks:
        out.feed(chunk)
    out.close()
    return [line.partition(" | ")[2] for line in shown]


def test_lines_are_shown_whole_however_they_came(tmp_path: Path) -> None:
    text = "first\nsécond\nthird\n".encode()
    assert feed(tmp_path, *(bytes([byte]) for byte in text)) == ["first", "sécond", "third"]
    assert (tmp_path / "one.log").read_bytes() == text


@pytest.mark.parametrize(
    ("line", "is_shown"),
    [
        (b'{"event":"paid","level":"info"}', False),
        (b'{"level": "debug", "event": "asked"}', False),
        (b'{"event":"lost","level":"warning"}', True),
        (b"Traceback (most recent call last):", True),
        (b'  File "x.py", line 1, in <module>', False),
        (b"ValueError: no", True),
        (b"", False),
    ],
)
def test_what_is_shown(tmp_path: Path, line: bytes, is_shown: bool) -> None:
    assert bool(feed(tmp_path, line + b"\n")) == is_shown
    assert feed(tmp_path, line + b"\n", everything=True) == [line.decode()]


def test_bytes_that_are_no_text_break_nothing(tmp_path: Path) -> None:
    assert feed(tmp_path, b"\xff\xfe\n") == ["\N{REPLACEMENT CHARACTER}" * 2]


def test_of_a_line_without_an_end_only_the_beginning_is_kept_and_shown(tmp_path: Path) -> None:
    shown: list[str] = []
    out = OutputLog(tmp_path, "one", shown.append)
    for _ in range(100):
        out.feed(b"x" * 4096)
        assert len(out._rest) <= LINE_MAX
    out.feed(b"y\nnext\n")
    out.close()
    assert [line.partition(" | ")[2] for line in shown] == ["x" * LINE_MAX + " …", "next"]
    assert (tmp_path / "one.log").stat().st_size == 100 * 4096 + len(b"y\nnext\n")


def test_what_was_written_is_not_left_out_where_there_is_no_room_for_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_log, "LOG_SIZE_MAX", 10)
    (tmp_path / "one.log.1").mkdir()
    feed(tmp_path, b"0123456789\n", b"abc\n", b"def\n")
    assert (tmp_path / "one.log").read_bytes() == b"0123456789\nabc\ndef\n"


def test_a_file_that_has_grown_makes_room_for_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_log, "LOG_SIZE_MAX", 10)
    feed(tmp_path, b"0123456789\n", b"abc\n")
    assert (tmp_path / "one.log.1").read_bytes() == b"0123456789\n"
    assert (tmp_path / "one.log").read_bytes() == b"abc\n"
