"""Bugs put into the core at run time, to see that the machine finds them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PLANTS: dict[str, Callable[[], Any]] = {}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """The core with this bug in it; None: as it is."""
    yield
