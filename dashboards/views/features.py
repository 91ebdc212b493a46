"""Features: the names that rules may use, what each is, its course and drift, and which rules read it."""

import streamlit as st

from dashboards import acting, chooser, door, formats, tables, tile
from dashboards.acting import NotDone
from dashboards.feature_tiles import COURSE, DRIFT
from dashboards.fraud_rules import ShownRule, names, rule_href, rules, used_names
from dashboards.look import Look
from dashboards.look_bar import look_of
from dashboards.page import card, html
from dashboards.page_entry import PageEntry
from dashboards.session_checks import STAFF, Person
from dashboards.tables import Cell, Column
from dashboards.wording import listed
from schemas.features import Feature

REFRESH_S = 30.0  # history is read here, not watched
ANY = "any"
COLUMNS = [
    Column("Name"),
    Column("Of", wide=True),
    Column("Window", wide=True),
    Column("Unit", wide=True),
    Column("Range", "right", wide=True),
    Column("Rules", "right"),
    Column("Meaning", wide=True),
]
NO_COURSE = "It is a field of the payment itself: the pages Payments and SQL have its values."


def draw(person: Person) -> None:
    """Show all names, or the one that the address names."""
    html("page_head.html", title="Features", note="what fraud rules may use")
    try:
        known, made = acting.ask(lambda: (names(door.api()), rules(door.api())))
    except NotDone:
        return
    chosen = next((feature for feature in known if feature.name == st.query_params.get("name", "")), None)
    if chosen is not None:
        _one(chosen, made, look_of(person))
    else:
        _all(known, made)


def _all(known: list[Feature], made: list[ShownRule]) -> None:
    with card("features", "Names", f"{formats.count(len(known))} of them", fills=False):
        with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
            keys = sorted({listed(feature.key) for feature in known})
            of = st.selectbox("Of", [ANY, *keys], key="of")
            text = st.text_input("Name or meaning", key="like", live=True).strip().lower()
        fitting = [feature for feature in known if _fits(feature, of, text)]
        if fitting:
            tables.table(COLUMNS, [_line(feature, made) for feature in fitting], "Names that rules may use")
        else:
            html("nothing.html", words="No name is like that.")


def _fits(feature: Feature, of: str, text: str) -> bool:
    said = f"{feature.name} {feature.meaning}".lower()
    return of in (ANY, listed(feature.key)) and all(word in said for word in text.split())


def _line(feature: Feature, made: list[ShownRule]) -> list[Cell | str]:
    read_by = len(readers(feature.name, made))
    return [
        Cell(feature.name, href=f"features?name={feature.name}"),
        listed(feature.key),
        feature.window or formats.NONE,
        feature.unit or formats.NONE,
        in_range(feature),
        formats.count(read_by) if read_by else formats.NONE,
        feature.meaning,
    ]


def readers(name: str, made: list[ShownRule]) -> list[ShownRule]:
    """The rules whose expression reads a name."""
    return [rule for rule in made if name in used_names(rule.expression)]


def in_range(feature: Feature) -> str:
    """`1 to 65`, `from 0`; a dash where both ends are open."""
    low, high = (None if end is None else formats.shortened(end) for end in (feature.low, feature.high))
    match low, high:
        case None, None:
            return formats.NONE
        case None, _:
            return f"up to {high}"
        case _, None:
            return f"from {low}"
        case _:
            return f"{low} to {high}"


def _one(feature: Feature, made: list[ShownRule], look: Look) -> None:
    chooser.to_all("name", "All features")
    left, right = st.columns([1.55, 1], gap="small")
    with right, card("feature", feature.name, feature.type, fills=False):
        html("facts.html", facts=_facts(feature))
        _read_by(readers(feature.name, made))
    with left:
        if feature.source == "payment":
            html("nothing.html", words=NO_COURSE)
        else:
            st.fragment(_tiles, run_every=REFRESH_S)(feature.name, look)


def _tiles(name: str, look: Look) -> None:
    tile.show(COURSE, look, name)
    tile.show(DRIFT, look, name)


def _facts(feature: Feature) -> list[tuple[str, str]]:
    return [
        ("Meaning", feature.meaning),
        ("Whose history", "the payment itself" if feature.key == ("payment",) else listed(feature.key)),
        ("Window", feature.window or formats.NONE),
        ("Unit", feature.unit or formats.NONE),
        ("Range", in_range(feature)),
    ]


def _read_by(found: list[ShownRule]) -> None:
    if not found:
        html("nothing.html", words="No rule reads it.")
        return
    lines: list[list[Cell | str]] = [
        [Cell(rule.id, note=rule.mode, href=rule_href(rule.id)), rule.expression] for rule in found
    ]
    tables.table([Column("Read by"), Column("Where", wide=True)], lines, "Rules that read it")


PAGE = PageEntry("features", "Features", draw, STAFF, "work", 46)
