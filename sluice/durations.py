"""Durations on the command line: `7d`, `12h`, `30m`, `45s`."""

import re
from datetime import timedelta
from typing import Any

import click

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Duration(click.ParamType[timedelta]):
    """A number and a unit of s, m, h or d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The duration; a usage error where it is none."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d+)([smhd])", value)
        if found is None:
            self.fail(f"{value!r} is not a duration such as 7d, 12h, 30m or 45s", param, ctx)
        return timedelta(**{UNITS[found[2]]: int(found[1])})


DURATION = Duration()
