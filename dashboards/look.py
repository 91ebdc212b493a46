"""What a page looks at: from when to when, in which time zone, and as it stood at which moment.

All of it stands in the address, so that what one person sees can be sent to another:
`?period=24h&tz=Europe/Berlin`, or `?from=2026-11-01T00:00&to=2026-11-08T00:00`; with `at` payments are shown as
they stood then. Times in the address are local to `tz`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from connectors.warehouse import HASHED, hash_of, quoted
from dashboards import formats
from schemas.ids import born_at
from schemas.times import now

PERIODS = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
DEFAULT_PERIOD = "24h"
# How long the steps of a course are: the first one of which at most `STEPS_MAX` fit into the period.
STEPS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 720, 1440, 7 * 1440))
STEPS_MAX = 120
NAME = r"([\w$]+)"
# What stands in quotes is somebody's text, and stays as it is, whatever names are in it.
PLACES = re.compile(
    r"'(?:[^']|'')*'|\$(?:(since|until|begin|grain|step|zone|id)\b"
    rf"|spans\({NAME}, {NAME}\)|(is|sampled|born|since_born)\((\w+)\))"
)
# No payment is older, and no clock later; beyond, times of other zones are no years of Python's.
FIRST_MOMENT, LAST_MOMENT = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
BY_TIME = """
SELECT date_trunc('{unit}', created_at) AS {unit}, currency, processor, state, count(*)::BIGINT AS count,
       sum(amount)::BIGINT AS amount, sum(amount_captured)::BIGINT AS amount_captured,
       sum(amount_refunded)::BIGINT AS amount_refunded
FROM payments WHERE {within} GROUP BY ALL"""
RISK_BY_MINUTE = """
SELECT date_trunc('minute', created_at) AS minute, risk_outcome AS outcome, risk_source AS source, currency,
       count(*)::BIGINT AS count, sum(amount)::BIGINT AS amount
FROM payments WHERE risk_outcome IS NOT NULL AND {within} GROUP BY ALL"""
SAMPLED_US = 2**24  # times of 17 s are read whole, or not at all
DAY, WEEK = timedelta(days=1), timedelta(days=7)


class Look(msgspec.Struct, frozen=True):
    """What is looked at. `since` and `until` (UTC) are null where `period` ends now.

    `at`: the moment (UTC) as of which payments are shown; null: as they stand.
    """

    period: str = DEFAULT_PERIOD
    since: datetime | None = None
    until: datetime | None = None
    zone: str = "UTC"
    at: datetime | None = None

    @property
    def length(self) -> timedelta:
        """How long the period is."""
        return self.until - self.since if self.since and self.until else PERIODS[self.period]

    def span(self) -> tuple[datetime, datetime]:
        """Begin and end of the period (UTC), to the minute, as its statements have them."""
        end = self.until or self.at or now()
        return (self.since or end - self.length).replace(second=0, microsecond=0), end

    @property
    def step(self) -> timedelta:
        """How long a step of a course through the period is."""
        return next((step for step in STEPS if self.length <= STEPS_MAX * step), STEPS[-1])

    @property
    def compared(self) -> dict[str, timedelta]:
        """What the period is compared with: by its name, how far back it lies."""
        if self.length > WEEK:
            return {"the time before": self.length}
        return {"last week": WEEK} if self.length > DAY else {"yesterday": DAY, "last week": WEEK}

    @property
    def is_calm(self) -> bool:
        """Whether it is so long that a few seconds change nothing one sees."""
        return self.length > DAY

    @property
    def grain(self) -> Literal["minute", "hour"]:
        """What sums are asked by: of more than a day hours, where its clock begins and ends with whole ones."""
        ends = [moment for moment in (self.since, self.until) if moment] or [_whole_hour(now())]
        is_on_the_hour = all(each == _whole_hour(each) for end in ends for each in (end, self.local(end)))
        return "hour" if self.is_calm and is_on_the_hour else "minute"

    def local(self, moment: datetime) -> datetime:
        """A moment (UTC) by the clock of the zone that was chosen."""
        return moment.astimezone(ZoneInfo(self.zone))

    def shown(self, moment: datetime, *, seconds: bool = True) -> str:
        """`27 Nov 14:03:07`, by that clock; of another year with it."""
        return formats.dated(self.local(moment), now().year, seconds=seconds)

    def statement(self, sql: str, id: str = "", one_in: int = 1) -> str:
        """A statement of a tile as it is asked, with the period in place of `$since`, `$until`, `$step`, `$zone`.

        What ends now is written so: everybody who looks at the same period then asks the same. Sums are asked by
        `$grain` from `$begin` on, the first whole one. `$spans(table, column)`: the rows of the period and of the
        times it is compared with, by a time of theirs, each with the name of its `span` (`shown` is the period)
        and when that begins and ends (`since`, `until`): with whole grains, but the last one of `shown`. `id`
        stands in place of `$id` as a literal: it comes from the address, and may be any text, these names too.

        Conditions by which DuckDB reads a part of a table: `$born(column)`, about when `$id` was made, as an id of
        ours tells, and `$since_born(column)`, not before; `$is(column)`, of `payments`, that it is `$id`.
        `$sampled(column)` is true for one row in `one_in`, a power of two: by a time, those of 17 s in a row.
        """
        values = {"since": self._since(), "until": self._until(), "step": _interval(self.step)}
        values |= {"begin": self._before(timedelta())[0], "grain": self.grain}
        values |= {"zone": quoted(self.zone), "id": quoted(id)}
        conditions: dict[str, Callable[[str], str]] = {
            "is": partial(_is, id),
            "sampled": partial(_sampled, one_in),
            "since_born": partial(_born, id),
            "born": partial(_born, id, only=True),
        }

        def filled(place: re.Match[str]) -> str:
            name, table, column, condition, of = place.groups()
            if table:
                return self._spans(*(each.replace("$grain", self.grain) for each in (table, column)))
            if condition:
                return conditions[condition](of)
            return values[name] if name else place[0]

        return self._narrowed(PLACES.sub(filled, sql.strip()))

    def _since(self) -> str:
        """A period begins with a minute: sums of minutes and rows one by one then tell of the same payments."""
        if self.since:
            return _literal(self.since.replace(second=0, microsecond=0))
        return f"date_trunc('minute', {self._now()} - {_interval(self.length)})"

    def _until(self) -> str:
        return _literal(self.until) if self.until else self._now()

    def _each_span(self) -> list[tuple[str, str, str]]:
        """The name, begin and end of the period and of those it is compared with."""
        begin, _ = self._before(timedelta())
        return [
            ("shown", begin, self._until()),
            *((name, *self._before(back)) for name, back in self.compared.items()),
        ]

    def _spans(self, table: str, column: str) -> str:
        """As one range over all of them, or with OR, DuckDB would read what lies in between as well."""
        rows = "SELECT {} AS span, {} AS since, {} AS until, * FROM {} WHERE {}"
        each = [
            rows.format(quoted(name), begin, end, table, _between(column, begin, end))
            for name, begin, end in self._each_span()
        ]
        return f"({' UNION ALL '.join(each)})"

    def _in_spans(self) -> str:
        each = [_between("created_at", begin, end) for _, begin, end in self._each_span()]
        return f"({' OR '.join(each)})"

    def _before(self, back: timedelta) -> tuple[str, str]:
        """Begin and end of the whole grains of the period, so long before."""
        earlier = f" - {_interval(back)}" if back else ""
        since, until = (f"date_trunc('{self.grain}', {end}){earlier}" for end in (self._since(), self._until()))
        return since, until

    def _now(self) -> str:
        return _literal(self.at) if self.at else "now()::TIMESTAMP"

    def _narrowed(self, sql: str) -> str:
        """The statement over payments as of `at`, by names that hide the views'."""
        if self.at is None:
            return sql
        hiding = _hiding(self.at, self._in_spans())
        past = ", ".join(f"{name} AS NOT MATERIALIZED ({query})" for name, query in hiding.items())
        rest = sql[len("WITH") :] if sql[:5].upper() in ("WITH ", "WITH\n") else None
        return f"WITH {past},{rest}" if rest else f"WITH {past}\n{sql}"


def _hiding(at: datetime, within: str) -> dict[str, str]:
    """Names, and what they stand for; `within`: what is counted by time, that of the spans."""
    by_time = {
        f"payments_by_{unit}": BY_TIME.format(unit=unit, within=within).strip()
        for unit in ("minute", "hour", "day")
    }
    risk = {"risk_outcomes_by_minute": RISK_BY_MINUTE.format(within=within).strip()}
    return {"payments": f"FROM payments_as_of({_literal(at)})"} | by_time | risk


def read(query: Mapping[str, str], zone: str = "UTC") -> Look:
    """What an address says; `zone`: of the browser, where the address names none.

    What cannot be meant is passed over: a time without its other end, an unknown zone, a period that ends first.
    """
    zone = next((name for name in (query.get("tz", ""), zone) if name in zones()), "UTC")
    since, until, at = (_moment(query.get(name, ""), zone) for name in ("from", "to", "at"))
    since, until = (moment and moment.replace(second=0, microsecond=0) for moment in (since, until))
    period = query.get("period", "")
    look = Look(period if period in PERIODS else DEFAULT_PERIOD, zone=zone, at=at)
    if since and until and since < until:
        return msgspec.structs.replace(look, since=since, until=until)
    return look


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """The names of all time zones (IANA)."""
    return frozenset(available_timezones())


def _moment(text: str, zone: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    local = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
    try:
        found = local.astimezone(UTC)
    except OverflowError:
        return None
    return found if FIRST_MOMENT <= found < LAST_MOMENT else None


def _literal(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"


def _is(id: str, column: str) -> str:
    """A condition that a column of `payments` is `id`, with that on its hash where it has one."""
    same = f"{column} = {quoted(id)}"
    return f"{column}_hash = ({hash_of(quoted(id))}) AND {same}" if column in HASHED else same


def _sampled(one_in: int, clock: str) -> str:
    """Whole blocks have none of the sample and are not read, so it costs less than one by a hash of the time."""
    return f"(epoch_us({clock}) & {(one_in - 1) * SAMPLED_US} = 0)" if one_in > 1 else "TRUE"


def _born(id: str, column: str, *, only: bool = False) -> str:
    """A condition that holds for what happened when an id was made, or (not `only`) since; else for everything.

    An id tells the steady clock of the books, which is a day from the wall's where somebody set that by a day.
    """
    born = born_at(id)
    if born is None:
        return "TRUE"
    since = f"{column} >= {_literal(born - DAY)}"
    return f"({since} AND {column} < {_literal(born + DAY)})" if only else since


def _between(column: str, begin: str, end: str) -> str:
    return f"{column} >= {begin} AND {column} < {end}"


def _whole_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _interval(length: timedelta) -> str:
    return f"INTERVAL {length // timedelta(seconds=1)} SECOND"
