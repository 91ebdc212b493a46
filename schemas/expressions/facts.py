"""What must be so of the values of a payment where a condition holds, or does not."""

from collections.abc import Iterable
from functools import reduce
from math import inf
from typing import assert_never

import msgspec
from msgspec.structs import replace

from schemas.expressions.domains import (
    MIRRORED,
    OPPOSITE,
    Domain,
    called,
    computed,
    exactly,
    negative,
)
from schemas.expressions.findings import Names
from schemas.expressions.tree import (
    And,
    Arithmetic,
    Comparison,
    Expression,
    FunctionCall,
    Has,
    Membership,
    Minus,
    Name,
    Not,
    Number,
    Or,
    Relation,
    Text,
    Value,
    text_of,
    walk,
)

KNOWN_MAX = 24  # computed values that are remembered: a check is quick, whatever is typed


class Facts(msgspec.Struct, frozen=True):
    """What each value can be, by the ranges of the `names` and by what was assumed: `known`.

    With `complete`, each name has a value, and what `has` says is not asked. Nothing possible is ever left out;
    what is impossible may be found possible, as with three names compared in a ring.
    """

    names: Names
    complete: bool
    known: dict[Value, Domain]

    def assume(self, condition: Expression, truth: bool) -> "Facts | None":
        """What is also so where `condition` holds, or with `truth` false does not; None: that is impossible."""
        facts = self._assume(condition, truth)
        # A value may have become impossible by what was assumed later of its names.
        if facts is None or any(facts.of(value).is_impossible() for value in facts.known):
            return None
        return facts

    def _assume(self, condition: Expression, truth: bool) -> "Facts | None":
        match condition:
            case Comparison(relation, left, right):
                return self._compare(left, relation, right) if truth else self._fail(left, relation, right)
            case Membership():
                return self._list(condition, truth)
            case Has(name):
                return self._has(Name(name), truth)
            case Not(turned):
                return self._assume(turned, not truth)
            case And(parts):
                return self._every(parts, True) if truth else self._some(parts, False)
            case Or(parts):
                return self._some(parts, True) if truth else self._every(parts, False)
            case _:
                assert_never(condition)

    def of(self, value: Value) -> Domain:
        """What a value can be."""
        domain = self._by_its_parts(value)
        known = self.known.get(value)
        if known is None:
            return domain
        return replace(domain.related("==", known), missing=known.missing)

    def _by_its_parts(self, value: Value) -> Domain:
        match value:
            case Number(constant) | Text(constant):
                return exactly(constant)
            case Name(name):
                feature = self.names[name]
                low = -inf if feature.low is None else feature.low
                high = inf if feature.high is None else feature.high
                return Domain(low, high, missing=not self.complete)
            case Minus(operand):
                return negative(self.of(operand))
            case Arithmetic(sign, left, right):
                return computed(sign, self.of(left), self.of(right))
            case FunctionCall(function, arguments):
                return called(function, [self.of(argument) for argument in arguments])
            case _:
                assert_never(value)

    def _compare(self, left: Value, relation: Relation, right: Value) -> "Facts | None":
        one, other = self.of(left).present(), self.of(right).present()
        changed = {left: one.related(relation, other), right: other.related(MIRRORED[relation], one)}
        ordered, turned = _ordered(left, relation, right)
        if ordered is not None:
            changed[ordered] = self.of(ordered).present().related(turned, exactly(0.0))
        return self._with(changed, present=(left, right))

    def _fail(self, left: Value, relation: Relation, right: Value) -> "Facts | None":
        """One of the two may be missing: then nothing is known of the other."""
        one, other = self.of(left), self.of(right)
        changed = {}
        if not other.missing:
            changed[left] = one.related(OPPOSITE[relation], other)
        if not one.missing:
            changed[right] = other.related(MIRRORED[OPPOSITE[relation]], one)
        ordered, turned = _ordered(left, relation, right)
        if ordered is not None and not (one.missing or other.missing):
            changed[ordered] = self.of(ordered).related(OPPOSITE[turned], exactly(0.0))
        return self._with(changed)

    def _list(self, condition: Membership, truth: bool) -> "Facts | None":
        value, items = condition.value, frozenset(condition.items)
        domain = self.of(value).present() if truth else self.of(value)
        domain = domain.within(items) if truth != condition.negated else domain.without(items)
        return self._with({value: domain}, present=(value,) if truth else ())

    def _has(self, name: Name, truth: bool) -> "Facts | None":
        if self.complete:
            return self
        return self._with({name: self.of(name).present() if truth else self.of(name).nothing()})

    def _every(self, parts: Iterable[Expression], truth: bool) -> "Facts | None":
        facts: Facts | None = self
        for part in parts:
            if facts is not None:
                facts = facts._assume(part, truth)
        return facts

    def _some(self, parts: Iterable[Expression], truth: bool) -> "Facts | None":
        possible = [facts for part in parts if (facts := self._assume(part, truth)) is not None]
        return reduce(Facts._either, possible) if possible else None

    def _either(self, other: "Facts") -> "Facts":
        both = self.known.keys() & other.known.keys()
        return replace(self, known={value: self.known[value].either(other.known[value]) for value in both})

    def _with(self, changed: dict[Value, Domain], present: tuple[Value, ...] = ()) -> "Facts | None":
        """What is so with narrower domains; None where a value has nothing left that it can be."""
        known = dict(self.known)
        for value, domain in changed.items():
            narrowed = _lowered(value, domain)
            if narrowed.is_impossible():
                return None
            if isinstance(value, Name) or (len(known) < KNOWN_MAX and not isinstance(value, Number | Text)):
                known[value] = narrowed
        facts = Facts(self.names, self.complete, known)
        for name in (node for value in present for node, _ in walk(value) if isinstance(node, Name)):
            known[name] = facts.of(name).present()
        return facts


def _ordered(left: Value, relation: Relation, right: Value) -> tuple[Value | None, Relation]:
    """The difference of two values that are no constants, in one order whichever way they are compared."""
    if isinstance(left, Number | Text) or isinstance(right, Number | Text) or relation in ("==", "!="):
        return None, relation
    if text_of(left) > text_of(right):
        return Arithmetic("-", right, left), MIRRORED[relation]
    return Arithmetic("-", left, right), relation


def _lowered(value: Value, domain: Domain) -> Domain:
    """Of texts that `lower` makes, only those that it can make."""
    match value:
        case FunctionCall("lower") if domain.allowed is not None:
            return domain.within(frozenset(item for item in domain.allowed if str(item).lower() == item))
        case _:
            return domain
