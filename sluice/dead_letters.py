"""`sluice dead-letters`: records that nobody could read, listed, and sent again where they are readable."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import ParamSpec, TypeVar

import click
import msgspec

from connectors.dead_letters import DeadLetters, FoundLetter, KafkaAway, Replayed, ReplayOutcome
from connectors.kafka_login import address, owner_login
from gateway.books.audit import Act, record, sealing
from gateway.books.opening import check_existing, run_once
from gateway.settings import GatewaySettings
from schemas.settings import load
from schemas.times import from_micros
from schemas.topics import DEAD_LETTER
from sluice.books_audit import gateway_key
from sluice.kafka import reach

P = ParamSpec("P")
R = TypeVar("R")

LINES_MAX = 20


class SetAside(msgspec.Struct):
    """A record that was set aside: its newest letter, the ids of all of them, and who wrote them."""

    letter: FoundLetter
    ids: set[str]
    sources: set[str]


class LetterLine(msgspec.Struct, frozen=True):
    """A line of `sluice dead-letters list --json`. `times`: how often it was set aside, by all of `sources`."""

    id: str
    topic: str
    partition: int
    offset: int
    reason: str
    sources: list[str]
    times: int
    recorded_at: str


@click.group()
def dead_letters() -> None:
    """Records that nobody could read; Kafka keeps them for 30 days."""


def filtered(command: Callable[P, R]) -> Callable[P, R]:
    """The options that choose some of them."""
    command = click.option("--reason", metavar="TEXT", help="Only those that were set aside for this.")(command)
    return click.option("--topic", metavar="TOPIC", help="Only those of this topic.")(command)


@dead_letters.command("list")
@filtered
@click.option("--json", "as_json", is_flag=True, help="All of them, as a list of objects.")
def list_letters(topic: str | None, reason: str | None, as_json: bool) -> None:
    """Show what stands where, why nobody could read it, and how many there are."""
    found = _found(topic, reason)
    if as_json:
        click.echo(msgspec.json.encode([_line(each) for each in found]))
        return
    groups = Counter((each.letter.topic, each.letter.reason) for each in found)
    for (of_topic, why), count in groups.most_common():
        click.echo(f"{count:>8}  {of_topic:20} {why}")
    for each in found[:LINES_MAX]:
        line = _line(each)
        place = f"{line.topic}/{line.partition}/{line.offset}"
        click.echo(f"{line.id:16} {line.recorded_at}  {place:32} {line.times}x  {line.reason}")
    if len(found) > LINES_MAX:
        click.echo(f"and {len(found) - LINES_MAX} more: --json shows all")
    if not found:
        click.echo("no dead letters")


@dead_letters.command("replay")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@filtered
@click.option("--all", "every", is_flag=True, help="All there are.")
def replay_letters(ids: tuple[str, ...], topic: str | None, reason: str | None, every: bool) -> None:
    """Send records again that are readable by now, by ID or by topic and reason.

    Each goes to its own topic as it was: whoever has read it drops it, so that twice does no harm.
    """
    if not (ids or topic or reason or every):
        raise click.UsageError("which ones? Give an ID, --topic, --reason or --all")
    settings = load(GatewaySettings)
    check_existing(settings.books_url())
    found = _found(topic, reason)
    chosen = [each.letter for each in (_by_id(ids, found) if ids else found)]
    _record(settings, {"letters": str(len(chosen)), "topic": topic or "", "reason": reason or ""})
    _tell(_connected(settings, lambda letters: [(each, letters.replay(each)) for each in chosen]))


def _tell(done: Iterable[tuple[FoundLetter, Replayed]]) -> None:
    counts: Counter[ReplayOutcome] = Counter()
    for letter, replayed in done:
        counts[replayed.outcome] += 1
        if replayed.outcome != "sent":
            place = f"{letter.topic}/{letter.partition}/{letter.offset}"
            click.echo(f"{letter.id:16} {place:32} {replayed.outcome} {replayed.reason}".rstrip())
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    click.echo(told or "no dead letters")


def _by_id(ids: Iterable[str], known: Iterable[SetAside]) -> list[SetAside]:
    """By the id of any letter of a record: another process may have written a newer one meanwhile."""
    by_id = {letter_id: each for each in known for letter_id in each.ids}
    if unknown := [letter_id for letter_id in ids if letter_id not in by_id]:
        raise click.ClickException(f"no dead letter {unknown[0]}: `sluice dead-letters list --json` has them")
    return list({by_id[letter_id].letter.id: by_id[letter_id] for letter_id in ids}.values())


def _found(topic: str | None, reason: str | None) -> list[SetAside]:
    """The records that were set aside, those of the newest letters first."""
    found: dict[str, SetAside] = {}

    def gather(letters: DeadLetters) -> None:
        for letter in letters.every():
            if topic in (None, letter.topic) and reason in (None, letter.reason):
                _add(found, letter)

    _connected(load(GatewaySettings), gather)
    return sorted(found.values(), key=lambda each: each.letter.timestamp_ms, reverse=True)


def _add(found: dict[str, SetAside], letter: FoundLetter) -> None:
    known = found.setdefault(letter.event_id or letter.id, SetAside(letter, set(), set()))
    known.letter = letter
    known.ids.add(letter.id)
    known.sources.add(letter.source)


def _connected(settings: GatewaySettings, ask: Callable[[DeadLetters], R]) -> R:
    bootstrap = reach(settings, "gateway")
    try:
        with DeadLetters(bootstrap, partial(owner_login, settings)) as letters:
            return ask(letters)
    except KafkaAway:
        raise click.ClickException(f"nobody answers at {address(bootstrap)}") from None


def _record(settings: GatewaySettings, detail: dict[str, str]) -> None:
    """Record that letters are replayed, by whoever runs this command, before any is."""
    act = Act("dead_letter_replayed", f"uid:{os.getuid()}", DEAD_LETTER.name, detail)
    run_once(settings.books_url(), lambda conn: record(conn, act), seal=sealing(gateway_key(settings)))


def _line(each: SetAside) -> LetterLine:
    letter = each.letter
    return LetterLine(
        letter.id,
        letter.topic,
        letter.partition,
        letter.offset,
        letter.reason,
        sorted(each.sources),
        len(each.ids),
        from_micros(letter.timestamp_ms * 1000).isoformat(timespec="seconds"),
    )
