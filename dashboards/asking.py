"""Who a page asks the warehouse as: whoever looks at it, found out anew for each question.

Staff see everything, so their tiles share one reader and its answers. A merchant's people ask as themselves.
Nobody else asks anything, whatever page they have open: a role that was lost is lost with the next question.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import assert_never

from dashboards import cached_queries, door
from dashboards.calm_answers import CachedAnswer
from dashboards.own_answers import own_answers
from dashboards.session_checks import Person

Ask = Callable[[str], CachedAnswer]
NOT_YOURS = "You see nothing of this any more: your session has ended, or your role is another one."


def ask(sql: str, *, calm: bool = False) -> CachedAnswer:
    """The answer to a query, by what who is at the page may see; `calm`: staff take one of minutes ago, too."""
    return asker(calm=calm)(sql)


def asker(*, calm: bool = False) -> Ask:
    """The same for later, where nobody is at a page: when a file is made for who was at it."""
    who = door.visitor()
    if not isinstance(who, Person):
        return _nobody
    match who.role:
        case "analyst" | "admin":
            return partial(cached_queries.ask_as_staff, calm=calm)
        case "merchant":
            return partial(own_answers().ask, person=who, token=door.token())
        case "customer":
            return _nobody
        case _:
            assert_never(who.role)


def _nobody(_sql: str) -> CachedAnswer:
    return CachedAnswer(None, time.monotonic(), NOT_YOURS)
