"""`sluice reconcile` reports in one line what it cannot reach; `tests/end_to_end/` tests the comparison."""

from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from gateway.books.opening import migrate
from sluice.cli import main


def refusal(data: Path, kafka: str, offset: int) -> str:
    known = {"SLUICE_DATA": str(data), "SLUICE_KAFKA": kafka, "SLUICE_PORT_OFFSET": str(offset)}
    ran = CliRunner().invoke(main, ["reconcile"], env=known)
    assert ran.exit_code == 1
    assert len(ran.output.splitlines()) == 1
    return ran.output


def test_kafka_is_away(tmp_path: Path) -> None:
    assert refusal(tmp_path, "localhost:1", 0) == "Error: nobody listens at localhost:1\n"


def test_no_books(tmp_path: Path, kafka: str) -> None:
    assert refusal(tmp_path, kafka, 0).startswith(f"Error: no books at {tmp_path}/books.sqlite3: ")
    assert list(tmp_path.iterdir()) == []


def test_the_processors_records_are_away(tmp_path: Path, kafka: str, free_offset: Callable[[], int]) -> None:
    migrate(f"sqlite:///{tmp_path / 'books.sqlite3'}")
    assert refusal(tmp_path, kafka, free_offset()).startswith("Error: the processors' ledger at http://localhost:")
