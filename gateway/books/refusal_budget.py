"""How many refused logins stand in the audit, each as an entry: so many a minute, however many are tried.

A flood of guesses fills no disk. What is left out is counted by the next one that is written. Guesses at no
account have a budget of their own: whoever floods with made-up addresses hides none at a real one.
"""

from collections import Counter
from time import monotonic
from typing import Literal

from gateway.rate_limits import RateLimits

Budget = Literal["audited_refusals", "audited_refusals_of_nobody"]  # of `gateway.rate_limits`


class RefusalBudget:
    """The budget of one process."""

    def __init__(self) -> None:
        self._limits = RateLimits()
        self._left_out: Counter[Budget] = Counter()

    def admit(self, subject_id: str, detail: dict[str, str]) -> dict[str, str] | None:
        """The detail of a refusal at an account (empty: none), with how many were left out; None: this one is."""
        budget: Budget = "audited_refusals" if subject_id else "audited_refusals_of_nobody"
        if self._limits.spend(budget, "", monotonic()).retry_after_s:
            self._left_out[budget] += 1
            return None
        left_out = self._left_out.pop(budget, 0)
        return detail | {"left_out": str(left_out)} if left_out else detail
