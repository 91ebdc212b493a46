"""The project's own files, as git knows them: tracked or about to be, never what is ignored."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("schemas", "connectors", "gateway", "flows", "dashboards", "sluice", "benchmarks")


@cache
def files() -> list[str]:
    """Paths relative to the root, with forward slashes."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted({path for path in listed.stdout.splitlines() if (ROOT / path).is_file()})


def python_files() -> list[str]:
    """Every Python file, tests as well."""
    return [path for path in files() if path.endswith(".py")]


def room_files() -> list[str]:
    """The Python files that are delivered."""
    return [path for path in python_files() if path.split("/")[0] in ROOMS]


def text(path: str) -> str:
    """The content of one of `files()`; nothing of a file that is not text."""
    return (ROOT / path).read_text(errors="ignore")
