"""The page docs/features.md: every name that rules may use, as the table says it.

`python -m schemas.features_page` writes the page, which a test holds current.
"""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from schemas.features import FEATURES, Feature

PAGE = Path(__file__).parents[1] / "docs" / "features.md"

HEAD = """# What fraud rules may use

Every name, with unit, window, range and meaning, as `GET /v1/features` tells it; the values stand on `risk.v1`
([consumers.md](consumers.md)) and in the column `features` of the view `risk` ([sql.md](sql.md)). A name whose key
a payment does not name has no value there, and none before the first payment where the meaning says so: a
comparison with it is false.

*Window*: `1h` counts what happened within an hour, exactly; in `fading 7d` a payment of a week ago counts e times
less than one of now; `all` is from the first payment on. Windows end with the key's own newest payment: no clock
is in them, so a replay of the topics computes the same numbers. How they are kept and what they cost is told in
[fraud.md](fraud.md).

`make schemas` writes this page from `schemas/features.py`.
"""
TITLES = {"payment": "The payment itself", "instrument": "The card, or the PayPal payer", "bin": "The BIN"}


def page() -> str:
    """The whole page, as Markdown."""
    groups = groupby(FEATURES.values(), key=lambda feature: feature.key)
    return "\n".join([HEAD, *(_section(key, features) for key, features in groups)])


def _section(key: tuple[str, ...], features: Iterable[Feature]) -> str:
    names = [name.replace("_", " ") for name in key]
    title = TITLES.get(key[0], f"The {names[0]}") if len(key) == 1 else f"The {' and the '.join(names)} together"
    lines = [f"## {title}", "", "| name | unit | window | range | meaning |", "|---|---|---|---|---|"]
    for each in features:
        unit, window = each.unit or "–", each.window or "–"
        lines.append(f"| `{each.name}` | {unit} | {window} | {_range(each)} | {each.meaning} |")
    return "\n".join([*lines, ""])


def _range(feature: Feature) -> str:
    if feature.type == "text":
        return "text"
    low, high = (f"{bound:g}" if bound is not None else "" for bound in (feature.low, feature.high))
    return f"{low} to {high}" if high else f"from {low}"


if __name__ == "__main__":
    PAGE.write_text(page())
