"""Where a process's output goes: its log file, and what is not routine to the terminal.

Nothing here raises: a process whose output nobody reads blocks on its pipe for good. What a full disk does not
take is left out, and the file says how much that was.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path

LOG_SIZE_MAX = 64 * 1024 * 1024  # bytes; one older file is kept beside it
LINE_MAX = 64 * 1024  # bytes of a line that are shown; the file has all of it

# Routine: JSON of level info or debug, and what is indented, the frames between a traceback's first and last line.
ROUTINE = re.compile(rb'"level":\s*"(info|debug)"|^\s|^\Z')
LEFT_OUT = b'\n{"event":"output.left_out","level":"warning","process":"%s","bytes":%d}\n'


class OutputLog:
    """The log file of process `name`. `show` gets each line for the terminal, prefixed with the name.

    `everything`: routine lines are shown as well.
    """

    def __init__(self, directory: Path, name: str, show: Callable[[str], None], everything: bool = False) -> None:
        self._path = directory / f"{name}.log"
        self._file: FileIO | None = None
        self._left_out = 0  # bytes
        self._name = name
        self._show = show
        self._everything = everything
        self._rest = b""  # of a line without its end, at most `LINE_MAX`
        with suppress(OSError):
            self._file = self._open()

    def feed(self, chunk: bytes) -> None:
        """Write output; a line may be cut over several chunks."""
        self._write(chunk)
        *ends, begin = chunk.split(b"\n")
        for end in ends:
            self._extend(end)
            self._show_line(self._rest)
            self._rest = b""
        self._extend(begin)

    def close(self) -> None:
        """Nothing may be fed after this."""
        if self._file is not None:
            self._file.close()

    def _extend(self, part: bytes) -> None:
        self._rest += part[: LINE_MAX - len(self._rest)]

    def _show_line(self, line: bytes) -> None:
        if self._everything or not ROUTINE.search(line):
            cut = " …" * (len(line) == LINE_MAX)
            self._show(f"{self._name:<13} | {line.decode(errors='replace').rstrip()}{cut}")

    def _write(self, chunk: bytes) -> None:
        try:
            self._file = self._file or self._open()
            if self._left_out:
                self._file.write(LEFT_OUT % (self._name.encode(), self._left_out))
                self._left_out = 0
            self._left_out += len(chunk) - self._file.write(chunk)
        except OSError:
            self._left_out += len(chunk)
        else:
            self._turn_over(self._file)

    def _open(self) -> FileIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return FileIO(self._path, "a")  # without a buffer, which would keep what could not be written

    def _turn_over(self, file: FileIO) -> None:
        """Begin a new file where this one is large. Where that fails, the next write goes on with this one."""
        with suppress(OSError):
            if file.tell() > LOG_SIZE_MAX:
                self._file = None
                file.close()
                self._path.replace(self._path.with_suffix(".log.1"))
