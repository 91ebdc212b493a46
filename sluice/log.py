"""A process's output: all of it in a file, and on the terminal what is more than routine."""

import re
from collections.abc import Callable
from pathlib import Path

SIZE_MAX = 64 * 1024 * 1024  # bytes; one older file is kept beside it

# JSON of level info or debug, and what is indented: the frames between a traceback's first line and its last.
ROUTINE = re.compile(rb'"level":\s*"(info|debug)"|^\s|^$')


class Log:
    """The log file of process `name`. `show` gets each line for the terminal, prefixed with the name.

    `everything`: routine lines are shown as well.
    """

    def __init__(self, directory: Path, name: str, show: Callable[[str], None], everything: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"{name}.log"
        self._file = self._path.open("ab")
        self._name = name
        self._show = show
        self._everything = everything
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Take output as it came, cut anywhere."""
        self._file.write(chunk)
        self._file.flush()
        if self._file.tell() > SIZE_MAX:
            self._turn_over()
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if self._everything or not ROUTINE.search(line):
                self._show(f"{self._name:<13} | {line.decode(errors='replace').rstrip()}")

    def close(self) -> None:
        """Nothing may be fed after this."""
        self._file.close()

    def _turn_over(self) -> None:
        self._file.close()
        self._path.replace(self._path.with_suffix(".log.1"))
        self._file = self._path.open("ab")
