"""The tiles of the page Pipeline: what flows and topics did last, how long it took, and what nobody could read."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from connectors.heartbeat import kind_of
from connectors.warehouse import Table
from dashboards import formats, pipeline_machine
from dashboards.look import Look
from dashboards.page import COLOURS, HUES, chart, points
from dashboards.pipeline_machine import BeatLine, silence_words
from dashboards.tables import Cell, Column, Tone, table
from dashboards.tile import Tile
from schemas.times import now

STILL = timedelta(seconds=30)  # so long nothing came of what waits
QUIET = timedelta(minutes=5)  # nothing for so long, while payments end
LATE_MS = 5_000  # of age at which a topic is behind
STILL_MS = 60_000  # the warehouse looks at its topics once a second
FLOW_HUES = [HUES[name] for name in ("blue", "violet", "amber", "green")]

State = Literal["up to date", "quiet", "behind", "stands still"]
TONES: dict[State, Tone] = {
    "up to date": "succeeded",
    "quiet": "pending",
    "behind": "pending",
    "stands still": "failed",
}
MEANINGS = {
    "analytics": "from the books to the warehouse",
    "fraud": "from a payment to its verdict",
    "notifications": "from an event to its message",
}


class FlowLine(NamedTuple):
    """One flow as `FLOWS` tells of it. `went_on`: its newest input; `since`: of the oldest that waits (UTC)."""

    flow: str
    newest: datetime | None
    went_on: datetime | None
    waiting: int | None
    since: datetime | None
    age_ms: int | None
    made: int
    p50_ms: float | None
    p99_ms: float | None


class TopicLine(NamedTuple):
    """One topic as `TOPICS` tells of it."""

    topic: str
    records: int
    lag: int
    age_ms: int | None
    delay_ms: int | None
    newest: datetime | None


def flow_state(line: FlowLine, moment: datetime) -> State:
    """How a flow does. Of messages nobody knows here how many are due: without any for a while it is `quiet`."""
    if line.age_ms is not None:
        return _by_age(line.age_ms, line.waiting or 0)
    if line.waiting and line.since and moment - line.since > STILL:
        is_still = line.newest is None or moment - line.newest > STILL
        return "stands still" if is_still else "behind"
    if line.waiting is None and line.went_on and (line.newest is None or line.went_on - line.newest > QUIET):
        return "quiet"
    return "up to date"


def _by_age(age_ms: int, lag: int) -> State:
    if age_ms > STILL_MS:
        return "stands still"
    return "behind" if lag and age_ms > LATE_MS else "up to date"


def troubles(
    flows: Table | None, topics: Table | None, moment: datetime, silent: Mapping[str, BeatLine]
) -> list[str]:
    """A sentence for each flow and topic that stands still. `silent`: the flows without a heartbeat."""
    said = [silence_words(line) for line in silent.values()]
    silent_flows = set(map(kind_of, silent))
    for flow in map(FlowLine._make, flows.rows if flows else ()):
        if flow.flow not in silent_flows and flow_state(flow, moment) == "stands still":
            since = flow.since or flow.newest
            ago = f" for {_ago(since, moment)}" if since else ""
            said.append(f"{flow.flow} stands still{ago}: {formats.count(flow.waiting or 0)} wait.")
    return said + _unread(map(TopicLine._make, topics.rows if topics else ()))


def _unread(topics: Iterable[TopicLine]) -> list[str]:
    """One sentence, however many topics the warehouse does not read: they have one cause."""
    still = [topic for topic in topics if _by_age(topic.age_ms or 0, topic.lag) == "stands still"]
    if not still:
        return []
    age = formats.age(max(topic.age_ms or 0 for topic in still) / 1000)
    return [f"The warehouse has read nothing of {', '.join(topic.topic for topic in still)} for {age}."]


def _flows(answer: Table, look: Look) -> None:
    moment = now()
    columns = (
        Column("Flow"),
        Column("State"),
        Column("From what to what", wide=True),
        Column("Waiting", "right"),
        Column("Wrote last", "right"),
        Column("Done", "right", wide=True),
        Column("Half within", "right", wide=True),
        Column("99 of 100 within", "right", wide=True),
    )
    silent = set(map(kind_of, pipeline_machine.silent()))
    rows = [_flow_cells(line, moment, line.flow in silent) for line in map(FlowLine._make, answer.rows)]
    table(columns, rows, "Flows and how they keep up")


def _flow_cells(line: FlowLine, moment: datetime, is_silent: bool) -> list[Cell | str]:
    state: State = "stands still" if is_silent else flow_state(line, moment)
    waiting = formats.NONE if line.waiting is None else formats.count(line.waiting)
    oldest = f"oldest {_ago(line.since, moment)}" if line.since else ""
    return [
        line.flow,
        Cell(state, tone=TONES[state]),
        MEANINGS.get(line.flow, ""),
        Cell(waiting, oldest),
        formats.when((moment - line.newest).total_seconds()) if line.newest else "nothing yet",
        formats.count(line.made),
        _took(line.p50_ms),
        _took(line.p99_ms),
    ]


def _topics(answer: Table, look: Look) -> None:
    moment = now()
    columns = (
        Column("Topic"),
        Column("State"),
        Column("Behind", "right"),
        Column("Age", "right"),
        Column("Last one took", "right", wide=True),
        Column("Newest", "right", wide=True),
        Column("Records", "right", wide=True),
    )
    table(columns, [_topic_cells(TopicLine._make(row), moment) for row in answer.rows], "Topics of Kafka")


def _topic_cells(line: TopicLine, moment: datetime) -> list[Cell | str]:
    state = _by_age(line.age_ms or 0, line.lag)
    return [
        line.topic,
        Cell(state, tone=TONES[state]),
        formats.count(line.lag),
        formats.age((line.age_ms or 0) / 1000),
        _took(line.delay_ms),
        formats.when((moment - line.newest).total_seconds()) if line.newest else "none yet",
        formats.count(line.records),
    ]


def _took(ms: float | None) -> str:
    return formats.age(ms / 1000) if ms and ms >= 60_000 else formats.millis(ms)


def _ago(at: datetime, moment: datetime) -> str:
    return formats.age((moment - at).total_seconds())


def _delays(answer: Table, look: Look) -> None:
    times = [row[0] for row in answer.rows]
    lines = (("half", COLOURS["succeeded"]), ("99 of 100", COLOURS["pending"]), ("longest", COLOURS["failed"]))
    series = [
        {
            "name": name,
            "type": "line",
            "showSymbol": len(times) < 3,
            "color": hue,
            "data": points(look, times, [row[at] / 1000 for row in answer.rows]),
        }
        for at, (name, hue) in enumerate(lines, 1)
    ]
    chart("delays", "Seconds from the books to the warehouse", " s", 260, series, look)


def _made(answer: Table, look: Look) -> None:
    flows = list(dict.fromkeys(row[1] for row in answer.rows))
    series = []
    for flow, hue in zip(flows, FLOW_HUES, strict=True):
        rows = [row for row in answer.rows if row[1] == flow]
        data = points(look, [row[0] for row in rows], [row[2] / look.step.total_seconds() for row in rows])
        series.append({"name": flow, "type": "line", "symbol": "none", "color": hue, "data": data})
    chart("made", "Payments, verdicts, calls and messages per second", "/s", 260, series, look)


def _letters(answer: Table, look: Look) -> None:
    columns = (
        Column("Topic"),
        Column("Why nobody could read it"),
        Column("Records", "right"),
        Column("Newest", "right"),
    )
    rows: list[list[Any]] = [
        [topic, reason, formats.count(count), look.shown(newest)] for topic, reason, count, newest in answer.rows
    ]
    table(columns, rows, "Dead letters by topic and reason")


FLOWS = Tile(
    name="pipeline-flows",
    title="Flows",
    question="Does each flow keep up, and how long does it take? A payment of the last ten minutes waits "
    "for its verdict until it has one, also where the stand-in decided; not one that its payer never approved, or "
    "that ended before. How many messages are due is not known here.",
    sql="""
WITH waiting AS (
    SELECT count(*) AS waiting, min(created_at) AS since FROM payments
    ANTI JOIN (SELECT payment FROM verdicts WHERE recorded_at > now()::TIMESTAMP - INTERVAL 15 MINUTE) judged
        ON judged.payment = payments.id
    WHERE created_at > now()::TIMESTAMP - INTERVAL 10 MINUTE
      AND (state = 'processing' OR risk_outcome IS NOT NULL)
), newest AS (
    SELECT max(created_at) AS newest_payment, max(updated_at) FILTER (status <> 'pending') AS newest_end,
           (SELECT max(recorded_at) FROM verdicts WHERE recorded_at > now()::TIMESTAMP - INTERVAL 7 DAY)
               AS newest_verdict,
           (SELECT max(recorded_at) FROM notifications WHERE recorded_at > now()::TIMESTAMP - INTERVAL 7 DAY)
               AS newest_message
    FROM payments WHERE created_at >= (SELECT max(hour) FROM payments_by_hour) - INTERVAL 1 HOUR
), kept AS (
    SELECT count(*) AS made,
           quantile_cont((epoch_us(ingested_at) - epoch_us(recorded_at)) / 1000, [0.5, 0.99])
               FILTER (is_sampled) AS ms
    FROM (SELECT *, $sampled(recorded_at) AS is_sampled FROM payments)
    WHERE recorded_at >= $since AND recorded_at < $until
), judged AS (
    SELECT count(*) AS made, quantile_cont(latency_ms, [0.5, 0.99]) FILTER (is_sampled) AS ms
    FROM (SELECT *, $sampled(recorded_at) AS is_sampled FROM verdicts)
    WHERE recorded_at >= $since AND recorded_at < $until
), told AS (
    SELECT count(*) AS made,
           quantile_cont((epoch_us(recorded_at) - epoch_us(caused_at)) / 1000, [0.5, 0.99])
               FILTER (is_sampled) AS ms
    FROM (SELECT *, $sampled(recorded_at) AS is_sampled FROM notifications)
    WHERE recorded_at >= $since AND recorded_at < $until
)
SELECT 'analytics' AS flow, max(committed_at) AS newest, max(newest_at) AS went_on, sum(lag)::BIGINT AS waiting,
       NULL::TIMESTAMP AS since, max(age_ms) AS age_ms, any_value(made) AS made, any_value(ms)[1] AS p50_ms,
       any_value(ms)[2] AS p99_ms
FROM pipeline_health, kept
UNION ALL
SELECT 'fraud', newest_verdict, newest_payment, waiting, since, NULL, made, ms[1], ms[2]
FROM judged, waiting, newest
UNION ALL
SELECT 'notifications', newest_message, newest_end, NULL, NULL, NULL, made, ms[1], ms[2]
FROM told, newest
""",
    draw=_flows,
    note="what they made in this time; times sampled",
    fills=False,
)
TOPICS = Tile(
    name="pipeline-topics",
    title="Topics",
    question="How far is the warehouse behind Kafka, topic by topic, and how old is its picture?",
    sql="""
SELECT topic, sum(next_offset)::BIGINT AS records, sum(lag)::BIGINT AS lag,
       max(age_ms) AS age_ms, max(delay_ms) AS delay_ms, max(newest_at) AS newest
FROM pipeline_health GROUP BY topic ORDER BY lag DESC, topic
""",
    draw=_topics,
    note="Kafka to warehouse",
    nothing="The warehouse has not looked at its topics yet.",
    fills=False,
)
DELAYS = Tile(
    name="pipeline-delays",
    title="Warehouse age",
    question="How old was a payment's last event when it came into the warehouse? After a rebuild, as old as it "
    "was then.",
    sql="""
SELECT time_bucket($step, recorded_at) AS moment, quantile_cont(ms, 0.5) FILTER (is_sampled) AS p50_ms,
       quantile_cont(ms, 0.99) FILTER (is_sampled) AS p99_ms, max(ms) AS longest_ms
FROM (SELECT recorded_at, (epoch_us(ingested_at) - epoch_us(recorded_at)) / 1000 AS ms,
             $sampled(recorded_at) AS is_sampled FROM payments
      WHERE recorded_at >= $since AND recorded_at < $until)
GROUP BY moment ORDER BY moment
""",
    draw=_delays,
    note="from the books to the row, seconds",
)
MADE = Tile(
    name="pipeline-made",
    title="Throughput",
    question="How much did each part make? A line at zero beside others that are not stands still.",
    sql="""
WITH steps AS (
    SELECT unnest(generate_series(time_bucket($step, $since), time_bucket($step, $until) - $step, $step)) AS moment
), summed AS (
    SELECT minute AS moment, 'payments' AS flow, count FROM payments_by_minute
    UNION ALL SELECT minute, 'calls to processors', count FROM operations_by_minute
), made AS (
    SELECT recorded_at AS moment, 'verdicts' AS flow FROM verdicts
    UNION ALL SELECT recorded_at, 'messages' FROM notifications
), counted AS (
    SELECT time_bucket($step, moment) AS moment, flow, sum(count)::BIGINT AS count FROM summed
    WHERE moment >= time_bucket($step, $since) AND moment < time_bucket($step, $until) GROUP BY ALL
    UNION ALL
    SELECT time_bucket($step, moment) AS moment, flow, count(*) AS count FROM made
    WHERE moment >= time_bucket($step, $since) AND moment < time_bucket($step, $until) GROUP BY ALL
)
SELECT steps.moment, flow, coalesce(count, 0) AS count
FROM steps CROSS JOIN (VALUES ('payments'), ('verdicts'), ('calls to processors'), ('messages')) flows(flow)
LEFT JOIN counted USING (moment, flow) ORDER BY flow, steps.moment
""",
    draw=_made,
    note="per second, without the step that is not over",
)
LETTERS = Tile(
    name="pipeline-letters",
    title="Dead letters",
    question="Which records could nobody read, and why?",
    sql="""
SELECT topic, reason, count(*) AS records, max(recorded_at) AS newest FROM dead_letters
WHERE recorded_at >= $since AND recorded_at < $until GROUP BY ALL ORDER BY newest DESC LIMIT 50
""",
    draw=_letters,
    note="in this time",
    nothing="Every record could be read in this time.",
)
