"""How far apart two countries are, by the places in the time zone database (public domain) of `tzdata`."""

import re
from functools import cache, lru_cache
from importlib.resources import files
from math import asin, cos, radians, sin, sqrt

EARTH_RADIUS_KM = 6_371.0
# ISO 6709: degrees and minutes of latitude and longitude, with or without seconds.
PLACE = re.compile(r"([+-]\d{2})(\d{2})(\d{2})?([+-]\d{3})(\d{2})(\d{2})?")

Place = tuple[float, float]  # latitude and longitude in radians


@lru_cache(maxsize=4_096)
def distance_km(one: str, other: str) -> float | None:
    """The distance between the two places of two countries (ISO 3166-1 alpha-2) that are nearest to each other.

    0 within a country; None where a country has no place. Each zone of a country is one place, its largest town;
    so what is between neighbours is rather too long, and between others rather too short.
    """
    places = _places()
    if one == other:
        return 0.0
    apart = [_great_circle_km(here, there) for here in places.get(one, ()) for there in places.get(other, ())]
    return min(apart, default=None)


@cache
def _places() -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    table = files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    for line in table.splitlines():
        if not line.startswith("#"):
            country, place, *_ = line.split("\t")
            found.setdefault(country, []).append(_place(place))
    return found


def _place(text: str) -> Place:
    match = PLACE.fullmatch(text)
    assert match is not None, text
    north, north_minutes, north_seconds, east, east_minutes, east_seconds = match.groups(default="0")
    return _angle(north, north_minutes, north_seconds), _angle(east, east_minutes, east_seconds)


def _angle(degrees: str, minutes: str, seconds: str) -> float:
    size = abs(int(degrees)) + int(minutes) / 60 + int(seconds) / 3_600
    return radians(-size if degrees.startswith("-") else size)


def _great_circle_km(one: Place, other: Place) -> float:
    """By the haversine formula."""
    (north, east), (north_other, east_other) = one, other
    half = sin((north_other - north) / 2) ** 2
    half += cos(north) * cos(north_other) * sin((east_other - east) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(half)))
