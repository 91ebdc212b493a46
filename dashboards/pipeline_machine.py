"""What only this machine, and the gateway, know of the pipeline: heartbeats of flows, and events not sent yet.

A flow that runs on another machine has its heartbeat there. `/metrics` answers whom `SLUICE_METRICS_FROM` names.
"""

import urllib.error
import urllib.request
from contextlib import suppress

import msgspec
import streamlit as st
from prometheus_client.parser import text_string_to_metric_families

from connectors.heartbeat import beating, last_beat
from dashboards import formats
from dashboards.cached_queries import settings
from dashboards.page import card, html
from dashboards.tables import Cell, Column, table
from schemas.times import boot_micros

FLOWS = ("fraud", "notifications", "analytics", "sql")
BEAT_AGE_MAX_S = 10.0  # as `sluice status` has it
ASK_AGAIN_S = 10.0
PATIENCE_S = 2.0
NONE_HERE = "No flow keeps its heartbeat on this machine. Those that run elsewhere are told of by what they write."


class BeatLine(msgspec.Struct, frozen=True):
    """A flow of this machine: records it has not read, and seconds since its last heartbeat."""

    name: str
    lag: int
    age_s: float

    def is_alive(self) -> bool:
        """Whether it beats; what beat before the machine's last start does not."""
        return 0 <= self.age_s <= BEAT_AGE_MAX_S


class Backlog(msgspec.Struct, frozen=True):
    """Events in the books that Kafka has not taken: how many at most, and how old the oldest is."""

    rows: float
    seconds: float


def draw() -> None:
    """Show the heartbeats of this machine, and what waits in the books for Kafka."""
    lines = beats()
    with card("pipeline-machine", "This machine", "heartbeats, and the gateway's outbox", fills=False):
        if lines:
            columns = (Column("Process"), Column("State"), Column("Behind", "right"), Column("Heartbeat", "right"))
            table(columns, [_cells(line) for line in lines], "Flows of this machine")
        else:
            html("nothing.html", words=NONE_HERE)
        html("asked.html", words=backlog_words(backlog()))


def _cells(line: BeatLine) -> list[Cell | str]:
    state = Cell("alive", tone="succeeded") if line.is_alive() else Cell("no heartbeat", tone="failed")
    return [line.name, state, formats.count(line.lag), _since(line)]


def silence_words(line: BeatLine) -> str:
    """What is wrong with a flow without a heartbeat, as a sentence."""
    behind = f" {formats.count(line.lag)} records waited then." if line.lag else ""
    return f"{line.name} stands still: its last heartbeat was {_since(line)}.{behind}"


def _since(line: BeatLine) -> str:
    """A beat that is older than the machine's start has no age that counts."""
    return formats.when(line.age_s) if line.age_s >= 0 else "before the last start"


def beats() -> list[BeatLine]:
    """The flows whose heartbeats are in this machine's data directory, each of their processes."""
    found = ((name, last_beat(settings(), name)) for name in beating(settings(), *FLOWS))
    return [
        BeatLine(name, beat.lag, (boot_micros() - beat.up_us) / 1_000_000)
        for name, beat in found
        if beat is not None
    ]


def silent() -> dict[str, BeatLine]:
    """The processes of this machine whose heart does not beat, by name: they stand still, whatever they wrote."""
    return {line.name: line for line in beats() if not line.is_alive()}


@st.cache_data(ttl=ASK_AGAIN_S, show_spinner=False)
def backlog() -> Backlog | None:
    """What waits in the books for Kafka; None where the gateway does not tell this machine."""
    values: dict[str, float] = {}
    with suppress(urllib.error.URLError, TimeoutError, ValueError):
        for family in text_string_to_metric_families(_metrics()):
            values |= {sample.name: sample.value for sample in family.samples}
    if "sluice_outbox_rows" not in values:
        return None
    return Backlog(values["sluice_outbox_rows"], values.get("sluice_outbox_seconds", 0))


def _metrics() -> str:
    # S310: the address is a setting of ours.
    with urllib.request.urlopen(f"{settings().gateway_url()}/metrics", timeout=PATIENCE_S) as answer:  # noqa: S310
        text: str = answer.read().decode()
    return text


def backlog_words(waits: Backlog | None) -> str:
    """The backlog as a sentence."""
    if waits is None:
        return "What waits in the books for Kafka is not known: the gateway gives this machine no metrics."
    if not waits.rows:
        return "Kafka has taken every event of the books."
    age = formats.age(waits.seconds)
    return f"{formats.count(waits.rows)} events of the books wait for Kafka at most, the oldest for {age}."
