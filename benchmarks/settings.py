"""The environment of what the benchmarks start: this one, with a stack of its own."""

import os
from pathlib import Path


def environment(data: Path, port_offset: int) -> dict[str, str]:
    """The plain environment and where the measured stack lives; no other `SLUICE_…` variable reaches it."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    return plain | {"SLUICE_DATA": str(data), "SLUICE_PORT_OFFSET": str(port_offset)}
