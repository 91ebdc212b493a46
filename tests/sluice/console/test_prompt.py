"""The prompt of `sluice sql` at a terminal, as a person has it; and what is kept of it."""

import os
import re
import signal
import stat
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from prompt_toolkit.history import InMemoryHistory

from connectors.warehouse import token
from flows.analytics.settings import SqlSettings
from sluice.console.history import open_history
from tests.patience import PATIENCE_S, until
from tests.tidy.sources import ROOT

CARD = "4111 1111 1111 1111"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


LONG = "SELECT count(*) FROM range(1000000000) t(a) WHERE a % 7 = 3"


def heed_interrupts() -> None:
    """Ctrl-C counts also where the tests run in the background, whose children ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Person:
    """Types at a terminal of 24 lines and 80 columns, and reads."""

    def __init__(self, environment: dict[str, str], history: Path) -> None:
        own = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "PAGER": "cat", "SLUICE_SQL_HISTORY": str(history)}
        self._child = pexpect.spawn(
            sys.executable,
            ["-m", "sluice", "sql"],
            cwd=ROOT,
            env=os.environ | environment | own,
            dimensions=(24, 80),
            encoding="utf-8",
            timeout=PATIENCE_S,
            preexec_fn=heed_interrupts,
        )
        self.sees("sluice>")

    def types(self, keys: str) -> None:
        self._child.send(keys)

    def sees(self, text: str) -> str:
        """What was on the screen up to the first such text, without colours and moves."""
        self._child.expect(text)
        return ESCAPES.sub("", self._child.before)

    def interrupts(self, statement: str) -> None:
        """Ask, and press Ctrl-C once the prompt has given the terminal back: before, it would be a key."""
        until(lambda: not self._gets_signals())
        self.types(f"{statement};\r")
        until(self._gets_signals)
        self.types("\x03")

    def _gets_signals(self) -> bool:
        return bool(termios.tcgetattr(self._child.child_fd)[3] & termios.ISIG)

    def leaves(self) -> int | None:
        self.types("\x04")
        self._child.expect(pexpect.EOF)
        self._child.close()
        return self._child.exitstatus

    def goes(self) -> None:
        self._child.close(force=True)


@pytest.fixture
def person(environment: dict[str, str], tmp_path: Path) -> Iterator[Person]:
    there = Person(environment, tmp_path / "state" / "history")
    yield there
    there.goes()


def test_a_person_asks_over_lines_completes_stops_waiting_and_asks_again(person: Person, tmp_path: Path) -> None:
    person.types("SELECT 1 AS one\r")
    person.sees(r"\.\.\.>")
    person.types(", 2 AS two;\r")
    person.sees(r"\(1 row\)")

    person.types("SELECT count(*) AS n FROM model_q\t")  # one view begins so
    person.sees("uality")
    person.types(";\r")
    person.sees(r"\(1 row\)")

    person.types("SELECT * FROM payments;\r")
    person.sees(r"\(0 rows; \d+ of \d+ columns fit\)")

    person.types("FROM range(60);\r")  # more than a screen: by way of the pager
    person.sees(r"\(60 rows\)")

    person.interrupts(LONG)
    person.sees("Not waited for any longer")

    person.types(f"SELECT '{CARD}';\r")
    person.sees("a card number stands")
    person.types("\x03.quit-not\x15.help\r")  # Ctrl-C and Ctrl-U forget what was begun
    person.sees(r"\.columns VIEW")
    assert person.leaves() == 0

    kept = tmp_path / "state" / "history"
    assert "model_quality" in kept.read_text()
    assert "4111" not in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_a_single_statement_is_left_by_ctrl_c(environment: dict[str, str], served: SqlSettings) -> None:
    own = {"SLUICE_SQL_TOKEN": token(served, "bench")}
    command = [sys.executable, "-m", "sluice", "sql", LONG]
    environment = os.environ | environment | own
    started = subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, preexec_fn=heed_interrupts
    )
    with started as asking:
        until(
            lambda: served.readers_file().exists() and "bench" in served.readers_file().read_text()
        )  # it is asked
        asking.send_signal(signal.SIGINT)
        _, said = asking.communicate(timeout=PATIENCE_S)
    assert (asking.returncode, said) == (130, b"")


def test_a_history_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.touch(0o644)
    history = open_history(path)
    history.append_string("SELECT 1")
    history.append_string(f"SELECT '{CARD}'")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [*open_history(path).load_history_strings()] == ["SELECT 1"]


@pytest.mark.parametrize("place", ["/dev/null", "/proc/nowhere/history", "link"])
def test_a_history_that_is_no_file_of_ours_is_not_written(place: str, tmp_path: Path) -> None:
    mode = os.stat("/dev/null").st_mode
    target = tmp_path / "target"
    (tmp_path / "link").symlink_to(target)
    assert isinstance(open_history(tmp_path / place), InMemoryHistory)
    assert not target.exists()
    assert os.stat("/dev/null").st_mode == mode
