"""How long the warehouse takes for what is asked: by the dashboards, and on the page of docs/sql.md."""

import re
import time
from pathlib import Path

import duckdb
import msgspec

from dashboards import navigation, payment_tiles
from dashboards.look import Look
from dashboards.tile import Tile

PAGE = Path("docs/sql.md")
TIMES = 7


class QuestionFigures(msgspec.Struct, frozen=True):
    """Milliseconds of one question, asked some times."""

    p50_ms: float
    p95_ms: float


def ask_all(con: duckdb.DuckDBPyConnection, times: int = TIMES) -> dict[str, QuestionFigures]:
    """The figures of each question, the dashboards' first."""
    questions = {f"dashboard: {name}": sql for name, sql in tiles().items()}
    [(some,)] = con.execute("SELECT min(id) FROM payments WHERE created_at >= now() - INTERVAL 9 DAY").fetchall()
    questions |= {f"dashboard: {tile.name}": tile.statement(Look(), some or "") for tile in payment_tiles.TILES}
    return {name: _ask(con, sql, times) for name, sql in (questions | _documented()).items()}


def tiles() -> dict[str, str]:
    """What the tiles of all pages ask, as they are first seen; those of a feature, of the score."""
    found = [value for module in navigation.modules() for value in vars(module).values()]
    return {tile.name: tile.statement(Look(), "score") for tile in found if isinstance(tile, Tile)}


def _documented() -> dict[str, str]:
    """The statements of the page, each by its first words and its number."""
    blocks = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    statements = [each for block in blocks for each in block.split(";\n") if each.strip()]
    return {f"sql.md {n}: {' '.join(each.split())[:60]}": each for n, each in enumerate(statements, 1)}


def _ask(con: duckdb.DuckDBPyConnection, sql: str, times: int) -> QuestionFigures:
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        con.execute(sql).fetchall()
        took.append((time.perf_counter() - begun) * 1000)
    took.sort()
    return QuestionFigures(round(took[len(took) // 2], 1), round(took[int(len(took) * 0.95)], 1))
