"""UTC, everywhere: `datetime` at the edges, integer microseconds since 1970 in the books."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """The current time, UTC."""
    return datetime.now(UTC)


def as_utc(moment: datetime) -> datetime:
    """`moment`, as UTC where it has no time zone."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC; exact, unlike `timestamp()`. `moment` must know its zone."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """The UTC moment that `to_micros` numbered."""
    return EPOCH + timedelta(microseconds=micros)


def now_micros() -> int:
    """The current time in microseconds since 1970-01-01 UTC."""
    return to_micros(now())
