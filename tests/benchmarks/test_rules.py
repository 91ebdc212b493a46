"""The benchmark of the rules, in short: its rules are ones that hold for some payments and not for others."""

import random

from benchmarks.rules import rule, values
from schemas.expressions import check, compiled, parse
from schemas.features import FEATURES


def test_what_is_measured_decides_something() -> None:
    chosen = random.Random(14)
    rules = [parse(rule(chosen)) for _ in range(50)]
    assert not [finding for each in rules for finding in check(each, FEATURES) if finding.severity == "error"]
    payments = [values(chosen) for _ in range(200)]
    met = sum(compiled(each)(payment) for each in rules for payment in payments)
    assert 0 < met < len(rules) * len(payments)
