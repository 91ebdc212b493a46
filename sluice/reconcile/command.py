"""The command `sluice reconcile`: books = processors = Kafka = warehouse, to the cent, at one cut."""

import time
from collections import defaultdict
from collections.abc import Iterator

import click

from connectors.kafka import is_listening
from connectors.warehouse import WarehouseAway, WarehouseReader
from gateway.payments.changes import holds_money
from gateway.settings import GatewaySettings
from schemas.settings import load
from sluice.reconcile.ledger import ProcessorRecord, differences, landed, read_ledger
from sluice.reconcile.money import NOTHING, HeldAndDue, by_processors, per_currency
from sluice.reconcile.stores import (
    Cut,
    ReconciledPayment,
    moved_since,
    operations_since,
    read_books,
    read_kafka,
    read_warehouse,
)

SHOWN_MAX = 20  # ids named per difference
PAUSE_S = 0.5

ById = dict[str, ReconciledPayment]
StateTotals = dict[tuple[str, str], tuple[int, int, int, int]]


@click.command()
@click.option("--wait", type=float, default=60.0, help="Seconds to wait for what is still under way.")
def reconcile(wait: float) -> None:
    """Compare books, processors, Kafka and warehouse; exit 0 only if all agree and nothing is in doubt."""
    settings = load(GatewaySettings)
    if not is_listening(settings.bootstrap()):
        raise click.ClickException(f"Kafka at {settings.bootstrap()} does not answer")
    give_up = time.monotonic() + wait
    cut, ledger = _settled(settings, give_up)
    kafka, gaps = read_kafka(settings.bootstrap(), cut)
    warehouse = _caught_up(WarehouseReader(settings, "reconcile"), settings, cut, give_up)
    _print_totals({"books": cut.lines, "kafka": kafka, "warehouse": warehouse})
    newer = operations_since(settings.books_url(), cut)
    told = cut.told()
    theirs = by_processors(cut.operations, ledger, [id for id, outcome in told.items() if outcome == "lapsed"])
    _print_money(cut, theirs)
    found = list(_found(cut, kafka, gaps, warehouse))
    found += _money_differences(cut, theirs, set(newer.values()))
    found += [f"processors: {line}" for line in differences(cut.operations, ledger, cut.at, set(newer), told)]
    _conclude(found, cut, ledger)


def _settled(settings: GatewaySettings, give_up: float) -> tuple[Cut, list[ProcessorRecord]]:
    """The books once the outbox is empty and nothing is in doubt, or as they are at `give_up`.

    With them the processors' records, read just after. An operation that landed late is in doubt until recovery
    has looked it up.
    """
    while True:
        cut = read_books(settings.books_url())
        ledger = read_ledger(settings.url("sandbox"))
        if not (cut.unpublished or _doubt(cut, ledger)) or time.monotonic() > give_up:
            return cut, ledger
        time.sleep(PAUSE_S)


def _doubt(cut: Cut, ledger: list[ProcessorRecord]) -> list[str]:
    return cut.in_doubt() + landed(cut.operations, ledger)


def _caught_up(reader: WarehouseReader, settings: GatewaySettings, cut: Cut, give_up: float) -> ById:
    """The warehouse at the cut: later changes are left out, missing payments are waited for until `give_up`."""
    while True:
        try:
            lines = read_warehouse(reader)
        except WarehouseAway as away:
            if time.monotonic() > give_up:
                raise click.ClickException(f"the warehouse is away: {away}") from None
            time.sleep(PAUSE_S)
            continue
        moved = moved_since(settings.books_url(), cut)
        at_cut = {id: line for id, line in lines.items() if id not in moved}
        at_cut |= {id: cut.lines[id] for id in moved if id in cut.lines}
        if at_cut == cut.lines or time.monotonic() > give_up:
            return at_cut
        time.sleep(PAUSE_S)


def _found(
    cut: Cut,
    kafka: ById,
    gaps: list[str],
    warehouse: ById,
) -> Iterator[str]:
    for name, lines in (("kafka", kafka), ("warehouse", warehouse)):
        differing = [id for id in cut.lines.keys() | lines.keys() if cut.lines.get(id) != lines.get(id)]
        if differing:
            yield f"{name}: {len(differing)} payments differ from the books: {_some(differing)}"
    if gaps:
        yield f"kafka: {len(gaps)} payments lack events: {_some(gaps)}"
    wrong = [id for id, line in cut.lines.items() if cut.money.get(id, NOTHING) != _told(line)]
    if wrong:
        yield f"books: {len(wrong)} payments whose postings are not what their amounts say: {_some(wrong)}"
    for currency, total in cut.posted.items():
        yield f"books: the postings add up to {total} {currency}, not to zero"
    if cut.unpublished:
        yield f"books: {cut.unpublished} events are not published"


def _told(line: ReconciledPayment) -> HeldAndDue:
    held = line.amount - line.amount_captured if holds_money(line.state) else 0
    return HeldAndDue(held, line.amount_captured - line.amount_refunded)


def _money_differences(cut: Cut, theirs: dict[str, HeldAndDue], moved: set[str]) -> Iterator[str]:
    """Payments at rest whose money is not the same at their processors; those that `moved` since are left out."""
    moving = moved | {o.payment_id for o in cut.operations if o.finished_at is None or o.finished_at > cut.at}
    moving |= {task.payment_id for task in cut.tasks if task.resolved_at is None}  # shown as in doubt
    wrong = [id for id in cut.lines.keys() - moving if cut.money.get(id, NOTHING) != theirs.get(id, NOTHING)]
    if wrong:
        yield f"processors: {len(wrong)} payments of which other amounts are held or due there: {_some(wrong)}"


def totals(lines: ById) -> StateTotals:
    """Count, amount, captured and refunded amount (minor units) per currency and state."""
    sums: dict[tuple[str, str], tuple[int, int, int, int]] = defaultdict(lambda: (0, 0, 0, 0))
    for line in lines.values():
        count, amount, captured, refunded = sums[line.currency, line.state]
        added = (count + 1, amount + line.amount, captured + line.amount_captured, refunded + line.amount_refunded)
        sums[line.currency, line.state] = added
    return dict(sums)


def _print_totals(stores: dict[str, ById]) -> None:
    summed = {name: totals(lines) for name, lines in stores.items()}
    amounts = f"{'amount':>18}{'captured':>18}{'refunded':>18}"
    click.echo(f"{'currency':9}{'state':20}{'store':11}{'payments':>10}{amounts}")
    for key in sorted(set().union(*summed.values())):
        for name, rows in summed.items():
            count, amount, captured, refunded = rows.get(key, (0, 0, 0, 0))
            shown = f"{count:>10}{amount:>18}{captured:>18}{refunded:>18}"
            click.echo(f"{key[0]:9}{key[1]:20}{name:11}{shown}")


def _print_money(cut: Cut, theirs: dict[str, HeldAndDue]) -> None:
    currencies = {id: line.currency for id, line in cut.lines.items()}
    stores = {"books": per_currency(cut.money, currencies), "processors": per_currency(theirs, currencies)}
    click.echo(f"{'currency':29}{'store':11}{'held':>28}{'due':>18}")
    for currency in sorted(set().union(*stores.values())):
        for name, sums in stores.items():
            money = sums.get(currency, NOTHING)
            click.echo(f"{currency:29}{name:11}{money.held:>28}{money.due:>18}")


def _conclude(found: list[str], cut: Cut, ledger: list[ProcessorRecord]) -> None:
    doubt = _doubt(cut, ledger) + [task.id for task in cut.tasks if task.resolved_at is None]
    for line in found:
        click.echo(f"DIFFERENCE  {line}")
    if doubt:
        click.echo(f"IN DOUBT    {len(doubt)}: {_some(doubt)}")
    click.echo(
        f"cut at outbox id {cut.outbox_id}: {len(cut.lines)} payments, "
        f"{len(cut.operations)} operations, {len(ledger)} rows of the processors' ledgers"
    )
    if found or doubt:
        raise SystemExit(1)
    click.echo("all agree, nothing is in doubt")


def _some(ids: list[str]) -> str:
    shown = ", ".join(sorted(ids)[:SHOWN_MAX])
    return shown if len(ids) <= SHOWN_MAX else f"{shown}, …"
