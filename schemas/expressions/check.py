"""The static check of an expression: unknown names, types, and conditions that can never decide anything."""

from collections.abc import Iterator

from schemas.expressions.facts import Facts
from schemas.expressions.findings import Finding, Names, type_findings
from schemas.expressions.tree import And, Comparison, Expression, Has, Membership, Name, Not, Or


def check(expression: Expression, names: Names) -> list[Finding]:
    """What is wrong or odd in an expression, by position; `names` are those it may use.

    Errors: an unknown name, a wrong type, and an expression that no payment meets, or each that has its values.
    Warnings: a part of it that changes nothing. Ranges are those of `names`.
    """
    if wrong := type_findings(expression, names):
        return wrong
    partial, complete = Facts(names, False, {}), Facts(names, True, {})
    if partial.assume(expression, True) is None:
        return [_impossible(expression, partial)]
    if complete.assume(expression, False) is None:
        message = "this holds for each payment that has its values"
        return [Finding("always_true", message, expression.at)]
    return sorted(_odd(expression, partial, complete), key=lambda finding: finding.position)


def _impossible(expression: Expression, facts: Facts) -> Finding:
    """Why an expression that no payment meets is met by none: its first part that leaves nothing."""
    match expression:
        case And(parts):
            for part in parts:
                narrower = facts.assume(part, True)
                if narrower is None:
                    return _impossible(part, facts)
                facts = narrower
        case Or(parts):
            return _impossible(parts[0], facts)
    if facts.known and Facts(facts.names, False, {}).assume(expression, True) is not None:
        return Finding("contradiction", "this contradicts what must hold before it", expression.at)
    return Finding("never_true", _never(expression, facts), expression.at)


def _never(expression: Expression, facts: Facts) -> str:
    match expression:
        case Comparison(_, Name(name), _) | Comparison(_, _, Name(name)) | Membership(Name(name)):
            feature = facts.names[name]
            ends = [f"from {feature.low:g}"] if feature.low is not None else []
            ends += [f"up to {feature.high:g}"] if feature.high is not None else []
            return f"this never holds: {name} goes {' '.join(ends)}" if ends else "this never holds"
        case _:
            return "this never holds"


def _odd(expression: Expression, partial: Facts, complete: Facts) -> Iterator[Finding]:
    """Parts that change nothing. `partial` and `complete`: what is so where the parts before did not decide."""
    match expression:
        case And(parts):
            yield from _decided(parts, partial, complete, True)
        case Or(parts):
            yield from _decided(parts, partial, complete, False)
        case Not(condition):
            yield from _odd(condition, partial, complete)
        case Comparison() | Membership() | Has():
            return


def _decided(parts: tuple[Expression, ...], partial: Facts, complete: Facts, going_on: bool) -> Iterator[Finding]:
    """Each part is looked at where those before it were `going_on`: all true in an `And`, all false in an `Or`."""
    for part in parts:
        if partial.assume(part, True) is None:
            yield Finding("unreachable", "this can never hold here", part.at, "warning")
        elif complete.assume(part, False) is None:
            yield Finding("redundant", "this always holds here", part.at, "warning")
        else:
            yield from _odd(part, partial, complete)
        after = partial.assume(part, going_on), complete.assume(part, going_on)
        if after[0] is None:
            return
        partial, complete = after[0], after[1] or complete
