"""Log events as JSON lines; card numbers and secrets are removed last, from everything that is written."""

import logging
import sys
from collections.abc import Hashable
from time import monotonic
from typing import Any

import msgspec
import structlog

from schemas.cards import mask_numbers

SECRET_KEYS = frozenset(
    {"authorization", "cvc", "cvv", "number", "otp", "pan", "password", "refresh_token", "secret", "token"}
)

CHATTY = ("alembic", "uvicorn")  # they tell of each start in sentences; ours are `noun.verb`

SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


class LoggedOnce:
    """Tells what repeats too soon to be logged again: each kind is logged once in `every_s` seconds."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._logged: dict[Hashable, float] = {}

    def is_due(self, kind: Hashable) -> bool:
        """Whether to log this `kind` now, which counts as done."""
        moment = monotonic()
        if moment - self._logged.get(kind, -self._every_s) < self._every_s:
            return False
        self._logged[kind] = moment
        return True


def configure(process: str, level: int = logging.INFO) -> None:
    """Write our own and the libraries' logs to standard output as JSON lines with the field `process`."""
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _naming(process),
                structlog.processors.format_exc_info,  # before the redaction: tracebacks hide numbers too
                redact,
                structlog.processors.JSONRenderer(_dump),
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for library in CHATTY:
        logging.getLogger(library).setLevel(logging.WARNING)


def redact(_logger: Any, _method: str, event: Any) -> Any:
    """The event without values of secret keys and with masked card numbers, at any depth."""
    return {key: _clean(key, value) for key, value in event.items()}


def _naming(process: str) -> Any:
    # Not a contextvar: threads, such as those of the Kafka client, would not have it.
    return lambda _logger, _method, event: {**event, "process": process}


def _clean(key: str, value: Any) -> Any:
    if key.lower() in SECRET_KEYS:
        return "***"
    if isinstance(value, dict):
        return {k: _clean(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(key, v) for v in value]
    if isinstance(value, int | float | None):
        return value
    return mask_numbers(str(value))


def _dump(event: Any, **_options: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
