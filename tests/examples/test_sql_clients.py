"""Clients of others ask the warehouse over TLS from another host: what runs is what stands in `docs/sql.md`."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path

import duckdb
import pytest

from connectors.warehouse import token
from flows.analytics.ingest import ingest
from tests.deploy.tls_front import front, other_host
from tests.flows.analytics.conftest import Log, lives, served_copy
from tests.tidy.sources import ROOT, text

PAGE = text("docs/sql.md")
PLACE, AUTHORITY = "sql.example:9443", "sluice-ca.pem"
PAYMENTS = 30
BARE = ("duckdb", "duckdb-extension-httpfs", "duckdb-extension-quack", "duckdb-extensions")
SLUICE = [sys.executable, "-m", "sluice"]

Run = Callable[..., str]


def snippet(heading: str, language: str = "") -> str:
    """The first example in that language below a heading of the page."""
    (below,) = re.findall(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    found = re.search(rf"^```{language}\n(.*?)^```", below, re.DOTALL | re.MULTILINE)
    assert found, heading
    return found[1]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where somebody works on the other host, with a home directory of their own."""
    desk = tmp_path_factory.mktemp("desk")
    (desk / "home").mkdir()
    return desk


@pytest.fixture(scope="module")
def run(desk: Path) -> Iterator[Run]:
    """Runs a command on the other host, and answers what it prints. The page's `PLACE` becomes the front's."""
    log = Log()
    batch = [ingest(log.record(out)) for out in lives(PAYMENTS)]
    with (
        served_copy(desk / "data", batch) as served,
        other_host() as elsewhere,
        front(desk, served.port("sql"), elsewhere.address) as before,
    ):
        shutil.copy(before.authority, desk / AUTHORITY)
        (desk / "sluice.token").write_text(f"{token(served, 'sql')}\n")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")} | {
            "HOME": str(desk / "home"),
            "SLUICE_DATA": "/nowhere",
            "SLUICE_SQL_HOST": before.at,
            "SLUICE_SQL_CA": str(desk / AUTHORITY),
            "SLUICE_SQL_TOKEN": token(served, "sql"),
            "SLUICE_SQL_TOKEN_FILE": str(desk / "sluice.token"),
        }

        def run(*command: str | Path, **own: str) -> str:
            done = subprocess.run(
                [*elsewhere.prefix, *(str(part).replace(PLACE, before.at) for part in command)],
                cwd=desk,
                env=environment | {name: value.replace(PLACE, before.at) for name, value in own.items()},
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        install = shlex.split(snippet("From another program", "sh").splitlines()[1])
        run(sys.executable, *install[1:])
        yield run


def test_sluice_sql(run: Run) -> None:
    [line] = snippet("From another host", "sh").splitlines()
    assert run(*SLUICE, *shlex.split(line)[1:], "--csv", PYTHONPATH=str(ROOT)) == f"payments\n{PAYMENTS}\n"


def test_the_examples_of_the_command_line(run: Run, desk: Path) -> None:
    (desk / "questions.sql").write_text("SELECT 1 AS a; SELECT 2 AS b;")
    own = {"PYTHONPATH": str(ROOT), "SLUICE_SQL": f"https://{PLACE}"}
    block = PAGE[PAGE.index("```sh\n") + 6 :].partition("```")[0]
    shell = f'sluice() {{ {shlex.join(SLUICE)} "$@"; }}\n'
    said = [run("sh", "-euc", shell + line, **own) for line in block.splitlines()]
    assert "captured" in said[0]
    assert "sum(amount)" in said[1]
    assert said[2] == "a\n1\nb\n2\n"


def test_duckdbs_command_line(run: Run, desk: Path) -> None:
    program = Path(sys.executable).with_name("duckdb")
    assert str(PAYMENTS) in run(program, "-csv", "-c", snippet("DuckDB's command line"))
    [(payments,)] = duckdb.sql(f"SELECT count(*) FROM '{desk}/payments.parquet'").fetchall()
    assert payments == PAYMENTS * 2 // 3


def test_python_without_sluice(run: Run, desk: Path) -> None:
    packages = desk / "packages"
    packages.mkdir()
    for name in BARE:
        for file in distribution(name).files or ():
            top = packages / file.parts[0]
            if file.parts[0] != ".." and not top.exists():
                top.symlink_to(Path(str(distribution(name).locate_file(file.parts[0]))))
    alone = "import importlib.util; assert importlib.util.find_spec('sluice') is None\n"
    told = run(sys.executable, "-S", "-c", alone + snippet("Python", "python"), PYTHONPATH=str(packages))
    assert told == f"[({PAYMENTS},)]\n"


def test_a_notebook(run: Run, desk: Path) -> None:
    shutil.copy(ROOT / "examples/warehouse.ipynb", desk)
    run(Path(sys.executable).with_name("jupyter-execute"), "--inplace", "warehouse.ipynb")
    cells = json.loads((desk / "warehouse.ipynb").read_text())["cells"]
    shown = ["".join(output["data"]["text/plain"]) for cell in cells for output in cell.get("outputs", [])]
    assert len(shown) == 2
    assert "EUR" in shown[0]
    assert "mastercard" in shown[1]


def test_the_notebook_is_kept_without_answers() -> None:
    cells = json.loads(text("examples/warehouse.ipynb"))["cells"]
    assert [cell["outputs"] for cell in cells if cell["cell_type"] == "code" and cell["outputs"]] == []


def test_node(run: Run) -> None:
    folder = ROOT / "examples/javascript"
    assert (folder / "node_modules/@duckdb").is_dir(), "the examples in JavaScript need their packages: make node"
    assert "node warehouse.mjs" in snippet("Node.js", "sh")
    rows = json.loads(run("node", folder / "warehouse.mjs"))
    assert [row["currency"] for row in rows] == ["EUR", "JPY"]
    assert sum(int(row["payments"]) for row in rows) == PAYMENTS


def test_a_token_goes_to_its_own_server_alone(run: Run) -> None:
    """The scope in the examples: another server is asked without it, and DuckDB says so."""
    elsewhere = snippet("DuckDB's command line").partition("FROM sluice(")[0]
    asked = f"{elsewhere}FROM quack_query('quack:localhost:9', 'SELECT 1');"
    with pytest.raises(AssertionError, match="Could not find a Quack authentication token"):
        run(Path(sys.executable).with_name("duckdb"), "-c", asked)


def test_the_lock_of_the_packages_names_no_registry() -> None:
    lock = text("examples/javascript/package-lock.json")
    assert "://" not in lock
    packages = json.loads(lock)["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)
