"""How numbers and dates are written where a reader is at home: their browser says its language and country.

The pages speak English, so names of months do; what is read wrongly otherwise are the marks in numbers and the
order of day and month. From CLDR 46 (https://cldr.unicode.org), the symbols of Latin digits, for the languages
that browsers of most readers have; what is not here is written as English is.
"""

from functools import lru_cache

import msgspec
import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

NARROW, WIDE = "\u202f", "\u00a0"  # spaces that break no line


class Locale(msgspec.Struct, frozen=True):
    """`group` parts thousands, `decimal` the fraction; `percent` is the sign with what stands before it.

    `groups`: digits of each group from the right, the last one for all that follow. `month_first`: `Nov 27`.
    """

    group: str = ","
    decimal: str = "."
    percent: str = "%"
    groups: tuple[int, ...] = (3,)
    month_first: bool = False

    def number(self, value: float, decimals: int = 0) -> str:
        """`1,234.5`."""
        return self.grouped(f"{value:.{decimals}f}")

    def grouped(self, digits: str) -> str:
        """A number in plain digits, with a point or none, as it is read here; every digit is kept."""
        sign, unsigned = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
        whole, _, fraction = unsigned.partition(".")
        return sign + self._parted(whole) + (self.decimal + fraction if fraction else "")

    def _parted(self, whole: str) -> str:
        parts, sizes = [], list(self.groups)
        while whole:
            size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
            parts.append(whole[-size:])
            whole = whole[:-size]
        return self.group.join(reversed(parts))


ENGLISH = Locale()
POINTS = Locale(".", ",")
POINTS_SPACED = Locale(".", ",", f"{WIDE}%")
SPACES = Locale(WIDE, ",")
SPACES_SPACED = Locale(WIDE, ",", f"{WIDE}%")
INDIAN = Locale(groups=(3, 2))
SWISS = Locale("’", ".")

# The language, or language and country where these differ from the rest of the language.
KNOWN: dict[str, Locale] = {
    **dict.fromkeys(("it", "nl", "pt", "id", "el", "vi", "sr", "tr", "is"), POINTS),
    **dict.fromkeys(("de", "es", "da", "hr", "sl", "ro", "ca"), POINTS_SPACED),
    **dict.fromkeys(("pl", "hu", "bg", "uk", "et", "lv", "pt-pt"), SPACES),
    **dict.fromkeys(("ru", "cs", "sk", "sv", "nb", "nn", "no", "fi", "lt", "de-at"), SPACES_SPACED),
    **dict.fromkeys(("hi", "bn", "mr", "te", "ta", "en-in"), INDIAN),
    **dict.fromkeys(("de-ch", "de-li", "it-ch"), SWISS),
    **dict.fromkeys(("es-mx", "es-us", "es-419", "es-pe", "es-gt", "es-do"), Locale(percent=f"{WIDE}%")),
    "fr": Locale(NARROW, ",", f"{NARROW}%"),
    "fr-ca": SPACES_SPACED,
    "en-us": Locale(month_first=True),
}


@lru_cache(maxsize=256)
def locale_of(tag: str) -> Locale:
    """The locale of a browser's language (BCP 47): of language and country, or of the language."""
    language, *rest = tag.replace("_", "-").lower().split("-")
    country = next((part for part in rest if len(part) in (2, 3)), "")
    return KNOWN.get(f"{language}-{country}") or KNOWN.get(language) or ENGLISH


def reader() -> Locale:
    """The locale of whoever looks at the page that is being drawn; English outside of one."""
    drawing = get_script_run_ctx(suppress_warning=True) is not None
    return locale_of((st.context.locale if drawing else None) or "en")
