"""Statements of persons, each asked in its own thread in the process `sql`, by the token of whoever asks.

What people type never runs where the tiles ask. The process `sql` keeps its limits for each account, by whatever
it asks; here it is kept how many wait at once.
"""

import re
import shutil
import time
from concurrent.futures import Future, wait
from pathlib import Path
from secrets import token_hex
from threading import BoundedSemaphore, Thread

import duckdb
import msgspec
import streamlit as st
import structlog

from connectors.warehouse import (
    NOT_LET_IN,
    REFUSED,
    Pointed,
    WarehouseAway,
    WarehouseError,
    WarehouseReader,
    pointed,
)
from dashboards.cached_queries import settings
from dashboards.own_answers import OwnAnswers, own_answers
from dashboards.sql_answer import KeptAnswer
from schemas.cards import find_numbers

AT_ONCE = 16  # of all persons; each holds a thread and a connection until the warehouse answers
AT_ONCE_WAITED_S = 0.5  # most are answered by then, and the page is drawn once
LENGTH_MAX = 65_536  # characters, as the process `sql` takes them
BUSY = "too many statements are asked at the moment: try again"
CARD = "A card number stands in the statement. It was not sent, and is not kept here."

log = structlog.get_logger()


class NoAnswer(msgspec.Struct, frozen=True):
    """Why there is no answer, in one sentence, and where in the statement the mistake is, if that is known."""

    words: str
    statement: str
    pointed: Pointed | None = None


class AskedStatement:
    """A statement that was asked; it goes on there until it is done or too long, whether somebody waits or not."""

    def __init__(self, statement: str) -> None:
        self.statement, self.began = statement, time.monotonic()
        self.outcome: Future[KeptAnswer] = Future()

    def seconds(self) -> float:
        """Since when it runs."""
        return time.monotonic() - self.began

    def is_done(self, wait_s: float = 0) -> bool:
        """Whether its end is known, after this wait at most."""
        return bool(wait([self.outcome], wait_s).done)

    def ended(self) -> KeptAnswer | NoAnswer:
        """How it ended; to be asked once it did."""
        error = self.outcome.exception()
        if error is None:
            return self.outcome.result()
        place = error.pointed if isinstance(error, WarehouseError) else None
        return NoAnswer(words(error), self.statement, place)


class PersonsSql:
    """Asks for everybody. The files of answers are in `folder`, which is emptied first."""

    def __init__(self, reader: WarehouseReader, folder: Path, turns: OwnAnswers) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        self._reader, self._folder, self._turns = reader, folder, turns
        self._free = BoundedSemaphore(AT_ONCE)

    def ask(self, statement: str, token: str, person_id: str) -> AskedStatement:
        """Ask, in the name of the person who has the `token`."""
        running = AskedStatement(statement)
        if self._free.acquire(blocking=False):
            Thread(target=self._answer, args=(running, token, person_id), daemon=True).start()
        else:
            running.outcome.set_exception(WarehouseAway(BUSY))
        return running

    def _answer(self, running: AskedStatement, token: str, person_id: str) -> None:
        path = self._folder / f"{token_hex(16)}.duckdb"
        try:
            with self._turns.turn(person_id):  # a merchant's tiles are asked there too, one at a time with this
                rows = self._reader.keep(running.statement, path, token)
            running.outcome.set_result(KeptAnswer(path, running.statement, rows, running.seconds()))
        except Exception as error:  # whatever it is, somebody waits for an end
            path.unlink(missing_ok=True)
            running.outcome.set_exception(error)
        finally:
            self._free.release()


@st.cache_resource(show_spinner=False)
def asking() -> PersonsSql:
    """The one of this process."""
    nobodys = WarehouseReader(settings(), "sql", own_token="")
    return PersonsSql(nobodys, settings().data / "run" / "answers", own_answers())


def mistake(statement: str) -> NoAnswer | None:
    """What is wrong with a statement that can be seen without asking: such a one is not sent."""
    if find_numbers(statement):
        return NoAnswer(CARD, "")
    if len(statement) > LENGTH_MAX:
        return NoAnswer(f"The statement is longer than {LENGTH_MAX:,} characters.", statement)
    con = duckdb.connect(config={"threads": 1})
    try:
        con.extract_statements(statement)
    except duckdb.Error as error:
        return NoAnswer(_sentence(str(error).partition("\n")[0]), statement, pointed(str(error)))
    except UnicodeEncodeError:
        return NoAnswer("The statement has signs that are none.", statement)
    finally:
        con.close()
    return None


def words(error: BaseException) -> str:
    """Why there is no answer, as a sentence."""
    if not isinstance(error, WarehouseError):
        log.warning("statement.failed", reason=type(error).__name__)
        return "The answer could not be kept here: the disk may be full."
    if NOT_LET_IN in str(error):
        return "Your session does not count there any more: log in again."
    return _sentence(str(error))


def _sentence(message: str) -> str:
    """An error without the place in it, which is shown beside, and without the class that DuckDB gives it."""
    text = re.sub(r" LINE \d+: .*\Z", "", message, flags=re.DOTALL).removeprefix(REFUSED)
    text = re.sub(r"\A(?:Parser|Binder|Catalog|Conversion|Invalid Input) Error: ", "", text).strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
