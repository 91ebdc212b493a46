"""What a value can be: an interval or a set, made narrower by each comparison that must hold."""

from collections.abc import Iterable
from math import inf, isnan
from typing import assert_never

import msgspec
from msgspec.structs import replace

from schemas.expressions.tree import FunctionName, Item, Relation, Sign

OPPOSITE: dict[Relation, Relation] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
MIRRORED: dict[Relation, Relation] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


class Domain(msgspec.Struct, frozen=True):
    """What a value can be, and whether it can be `missing`.

    A number lies from `low` to `high`, without an end that is open. `allowed` (None: any) and `excluded` are
    single numbers or texts.
    """

    low: float = -inf
    high: float = inf
    low_open: bool = False
    high_open: bool = False
    allowed: frozenset[Item] | None = None
    excluded: frozenset[Item] = frozenset()
    missing: bool = False

    def is_empty(self) -> bool:
        """Whether there is no value that it can have."""
        if self.allowed is not None:
            return not any(self._takes(item) for item in self.allowed)
        if self.low == self.high:
            return self.low_open or self.high_open or self.low in self.excluded
        return self.low > self.high

    def is_impossible(self) -> bool:
        """Whether it can neither have a value nor be missing."""
        return not self.missing and self.is_empty()

    def only(self) -> Item | None:
        """The one value that it can have; None where there are others, or none."""
        if self.allowed is not None:
            left = [item for item in self.allowed if self._takes(item)]
            return left[0] if len(left) == 1 else None
        return self.low if self.low == self.high and not self.is_empty() else None

    def present(self) -> "Domain":
        """The same, but not missing."""
        return replace(self, missing=False) if self.missing else self

    def nothing(self) -> "Domain":
        """No value: missing, where it can be."""
        return replace(self, allowed=frozenset())

    def within(self, items: frozenset[Item]) -> "Domain":
        """Only what is among `items`."""
        kept = replace(self, allowed=items if self.allowed is None else self.allowed & items)
        numbers = [item for item in items if isinstance(item, float)]
        return kept._above(min(numbers), False)._below(max(numbers), False) if numbers else kept

    def without(self, items: frozenset[Item]) -> "Domain":
        """None of `items`."""
        return replace(self, excluded=self.excluded | items)

    def related(self, relation: Relation, other: "Domain") -> "Domain":
        """Only what can stand in a relation to something that is in `other`."""
        match relation:
            case "<" | "<=":
                return self._below(other.high, other.high_open or relation == "<")
            case ">" | ">=":
                return self._above(other.low, other.low_open or relation == ">")
            case "==":
                nearer = self._below(other.high, other.high_open)._above(other.low, other.low_open)
                nearer = nearer.without(other.excluded)
                return nearer if other.allowed is None else nearer.within(other.allowed)
            case "!=":
                only = other.only()
                return self if only is None else self.without(frozenset({only}))
            case _:
                assert_never(relation)

    def either(self, other: "Domain") -> "Domain":
        """What is in one of the two, or between them."""
        if self.is_empty() or other.is_empty():
            kept = other if self.is_empty() else self
            return replace(kept, missing=self.missing or other.missing)
        either = None if self.allowed is None or other.allowed is None else self.allowed | other.allowed
        low, low_closed = min((self.low, self.low_open), (other.low, other.low_open))
        high, high_closed = max((self.high, not self.high_open), (other.high, not other.high_open))
        excluded = frozenset(item for item in self.excluded if not other._takes(item))
        excluded |= frozenset(item for item in other.excluded if not self._takes(item))
        missing = self.missing or other.missing
        return Domain(low, high, low_closed, not high_closed, either, excluded, missing)

    def _takes(self, item: Item) -> bool:
        if item in self.excluded or (self.allowed is not None and item not in self.allowed):
            return False
        if isinstance(item, str):
            return True
        above = item > self.low or (item == self.low and not self.low_open)
        return above and (item < self.high or (item == self.high and not self.high_open))

    def _below(self, high: float, is_open: bool) -> "Domain":
        if (high, not is_open) < (self.high, not self.high_open):
            return replace(self, high=high, high_open=is_open)
        return self

    def _above(self, low: float, is_open: bool) -> "Domain":
        if (low, is_open) > (self.low, self.low_open):
            return replace(self, low=low, low_open=is_open)
        return self


def exactly(item: Item) -> Domain:
    """The domain of a constant."""
    return Domain(allowed=frozenset({item})) if isinstance(item, str) else Domain(item, item)


def negative(domain: Domain) -> Domain:
    """Of a number with its sign turned."""
    return Domain(-domain.high, -domain.low, missing=domain.missing)


def called(function: FunctionName, arguments: list[Domain]) -> Domain:
    """Of what a function makes of values."""
    missing = any(each.missing for each in arguments)
    match function:
        case "min" | "max":
            best = min if function == "min" else max
            low, high = best(each.low for each in arguments), best(each.high for each in arguments)
            return Domain(low, high, missing=missing)
        case "abs":
            (domain,) = arguments
            ends = (abs(domain.low), abs(domain.high))
            return Domain(0 if domain.low <= 0 <= domain.high else min(ends), max(ends), missing=missing)
        case "lower":
            return Domain(missing=missing)
        case _:
            assert_never(function)


def computed(sign: Sign, left: Domain, right: Domain) -> Domain:
    """Of what is computed from two numbers: rounding keeps their order, so the ends are computed from the ends."""
    missing = left.missing or right.missing
    match sign:
        case "+":
            return _from((left.low + right.low, left.high + right.high), missing)
        case "-":
            return _from((left.low - right.high, left.high - right.low), missing)
        case "*":
            return _from((_times(one, other) for one in _ends(left) for other in _ends(right)), missing)
        case "/" if right.low <= 0 <= right.high:
            return Domain(missing=True)  # by zero
        case "/":
            return _from((_over(one, other) for one in _ends(left) for other in _ends(right)), missing)
        case _:
            assert_never(sign)


def _ends(domain: Domain) -> tuple[float, float]:
    return domain.low, domain.high


def _times(one: float, other: float) -> float:
    return 0.0 if 0 in (one, other) else one * other


def _over(one: float, other: float) -> float:
    return 0.0 if other in (-inf, inf) else one / other


def _from(ends: Iterable[float], missing: bool) -> Domain:
    """From the least to the greatest of `ends`; an end that is no number stands for anything."""
    found = list(ends)
    return Domain(missing=missing) if any(map(isnan, found)) else Domain(min(found), max(found), missing=missing)
