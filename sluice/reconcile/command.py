"""The command `sluice reconcile`: books = processors = Kafka = warehouse, to the cent, at one cut."""

import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing

import click
import msgspec
from confluent_kafka import KafkaException

from connectors.kafka_login import Bootstrap
from connectors.record_reader import OffsetGone
from connectors.warehouse import WarehouseAway, WarehouseReader
from gateway.books.opening import check_existing
from gateway.payments.changes import holds_money
from gateway.settings import GatewaySettings
from schemas.settings import load
from sluice.kafka import reach
from sluice.reconcile.balances import Unequal, read_balances, unbalanced, unequal
from sluice.reconcile.ledger import (
    ProcessorRecord,
    differences,
    landed,
    not_in_the_books,
    read_ledger,
    released_by_hand,
)
from sluice.reconcile.money import NOTHING, HeldAndDue, by_processors
from sluice.reconcile.scratch import STORES, AtProcessors, BooksLine, ReconciledPayment, Scratch, Store
from sluice.reconcile.stores import (
    NAMED_MAX,
    Cut,
    SomeIds,
    put_moved,
    read_books,
    read_kafka,
    read_warehouse,
    without_newer,
)

LINES_MAX = 100  # of differences at the processors, printed
PAUSE_S = 0.5

StateTotals = dict[tuple[str, str], tuple[int, int, int, int]]


class MoneyTotals(msgspec.Struct, frozen=True):
    """Held and due by currency, as the books and as the processors have them."""

    books: dict[str, HeldAndDue]
    processors: dict[str, HeldAndDue]


@click.command()
@click.option("--wait", type=float, default=60.0, help="Seconds to wait for what is still under way.")
@click.option("--all", "name_all", is_flag=True, help="Name every difference, not only the first of each kind.")
def reconcile(wait: float, name_all: bool) -> None:
    """Compare books, processors, Kafka and warehouse; exit 0 only if all agree and nothing is in doubt."""
    settings = load(GatewaySettings)
    bootstrap = reach(settings, "operator")
    check_existing(settings.books_url())
    with closing(Scratch()) as scratch:
        named = sys.maxsize if name_all else NAMED_MAX
        try:
            _reconcile(settings, bootstrap, scratch, time.monotonic() + wait, named)
        except (KafkaException, OffsetGone) as error:
            raise click.ClickException(f"Kafka: {error}") from None


def _reconcile(
    settings: GatewaySettings, bootstrap: Bootstrap, scratch: Scratch, give_up: float, named: int
) -> None:
    cut = _settled(settings, scratch, give_up)
    read_kafka(bootstrap, scratch)
    found = [*_store_differences("kafka", scratch, named), *_gaps(scratch, named)]
    wrong = _catch_up(WarehouseReader(settings, "reconcile"), settings, cut, scratch, give_up)
    found += [*_strangers(scratch, named), *_store_differences("warehouse", scratch, named)]
    found += _balance_differences(wrong, named)
    _print_totals({store: totals(scratch.lines(store)) for store in STORES})
    processors = ProcessorComparison(cut, named)
    for payment in scratch.at_processors():
        processors.add(payment)
    _print_money(processors.totals(scratch))
    found += [*_books_differences(cut, scratch, named), *processors.differences(settings, scratch)]
    _conclude(found, cut, scratch)


def _settled(settings: GatewaySettings, scratch: Scratch, give_up: float) -> Cut:
    """The books once the outbox is empty and nothing is in doubt, or as they are at `give_up`.

    With them the processors' records, read just after. An operation that landed late is in doubt until recovery
    has looked it up.
    """
    while True:
        scratch.add_records(read_ledger(settings.url("sandbox"), scratch.last_record()))
        cut = read_books(settings.books_url(), scratch, unsettled=time.monotonic() > give_up)
        if cut is not None:
            scratch.add_records(read_ledger(settings.url("sandbox"), scratch.last_record()))
            return cut
        time.sleep(PAUSE_S)


def _catch_up(
    reader: WarehouseReader, settings: GatewaySettings, cut: Cut, scratch: Scratch, give_up: float
) -> list[Unequal]:
    """Read the warehouse: later changes are left out, missing ones are waited for until `give_up`.

    The balances that differ are returned, the payments are in the scratch file.
    """
    while True:
        try:
            read_warehouse(reader, scratch)
            told = read_balances(reader)
        except WarehouseAway as away:
            if time.monotonic() > give_up:
                raise click.ClickException(f"the warehouse is away: {away}") from None
        else:
            put_moved(settings.books_url(), cut, scratch)
            wrong = unequal(cut.posted, told, settings.books_url())
            agrees = not wrong and next(scratch.differing("warehouse"), None) is None
            if agrees or time.monotonic() > give_up:
                return wrong
        time.sleep(PAUSE_S)


def _store_differences(store: Store, scratch: Scratch, named: int) -> Iterator[str]:
    differing = SomeIds(scratch.differing(store), named)
    if differing.count:
        yield f"{store}: {differing.count} payments differ from the books: {differing}"


def _strangers(scratch: Scratch, named: int) -> Iterator[str]:
    strangers = SomeIds(scratch.strangers(), named)
    if strangers.count:
        yield f"kafka: {strangers.count} payments that the books do not know: {strangers}"


def _balance_differences(wrong: Iterable[Unequal], named: int) -> Iterator[str]:
    differing = SomeIds(map(str, wrong), named)
    if differing.count:
        yield f"warehouse: {differing.count} balances differ from the books: {differing}"


def _gaps(scratch: Scratch, named: int) -> Iterator[str]:
    gaps = SomeIds(scratch.with_gaps(), named)
    if gaps.count:
        yield f"kafka: {gaps.count} payments lack events: {gaps}"


def _books_differences(cut: Cut, scratch: Scratch, named: int) -> Iterator[str]:
    wrong = SomeIds((known.id for known in scratch.posted() if known.posted != _told(known)), named)
    if wrong.count:
        yield f"books: {wrong.count} payments whose postings are not what their amounts say: {wrong}"
    for currency, total in unbalanced(cut.posted).items():
        yield f"books: the postings add up to {total} {currency}, not to zero"
    if cut.unpublished:
        yield f"books: {cut.unpublished} events are not published"
    if cut.untold:
        yield f"books: {cut.untold} operations are on no topic, nor in SQL: `sluice outbox backfill` tells of them"


def _told(known: BooksLine) -> HeldAndDue:
    line = known.line
    held = line.amount - line.amount_captured if holds_money(line.state, known.hold) else 0
    return HeldAndDue(held, line.amount_captured - line.amount_refunded)


class ProcessorComparison:
    """Compares what the processors have with the books, payment by payment."""

    def __init__(self, cut: Cut, named: int) -> None:
        self._lines_max = max(named, LINES_MAX)
        self._cut, self._told, self._with_tasks = cut, cut.told(), cut.with_open_tasks()
        self._lapsed = [id for id, outcome in self._told.items() if outcome == "lapsed"]
        self._by_hand: set[int] = set()  # records of releases past us
        self._lines: list[str] = []
        self._more = 0
        self._wrong = SomeIds(most=named)
        self._theirs: defaultdict[str, HeldAndDue] = defaultdict(HeldAndDue)

    def add(self, payment: AtProcessors) -> None:
        """One more payment, with all that was done for it; an operation that landed late is in doubt."""
        records = self._of_ours(payment)
        theirs = by_processors(payment.operations, records, self._lapsed).get(payment.payment_id, NOTHING)
        currency, at = payment.operations[0].currency, self._cut.at
        self._theirs[currency] = self._theirs[currency].plus(theirs)
        moving = any(o.finished_at is None or o.finished_at > at for o in payment.operations)
        if theirs != payment.posted and not moving and payment.payment_id not in self._with_tasks:
            self._wrong.add(payment.payment_id)
        for line in differences(payment.operations, records, at, self._told):
            self._note(line)
        for operation_id in landed(payment.operations, records):
            self._cut.in_doubt.add(operation_id)

    def _of_ours(self, payment: AtProcessors) -> list[ProcessorRecord]:
        """The records that count: ours, and those of releases by hand. Others may be newer than the cut."""
        ours = {operation.id: operation for operation in payment.operations}
        applied = [record for record in payment.records if record.status == "applied"]
        by_hand = released_by_hand(ours, applied)
        self._by_hand |= by_hand.keys()
        return [record for record in payment.records if record.request_id in ours or record.id in by_hand]

    def totals(self, scratch: Scratch) -> MoneyTotals:
        """Held and due by currency."""
        ours: defaultdict[str, HeldAndDue] = defaultdict(HeldAndDue)
        for known in scratch.posted():
            ours[known.line.currency] = ours[known.line.currency].plus(known.posted)
        return MoneyTotals(dict(ours), dict(self._theirs))

    def differences(self, settings: GatewaySettings, scratch: Scratch) -> Iterator[str]:
        """The differences, one line each."""
        for payment_id in scratch.posted_without_operation():
            self._wrong.add(payment_id)
        wrong = self._wrong
        if wrong.count:
            yield f"processors: {wrong.count} payments of which other amounts are held or due there: {wrong}"
        applied = (row for row in scratch.unknown_records() if row.status == "applied")
        unknown = (row for row in applied if row.id not in self._by_hand)
        for row in without_newer(settings.books_url(), unknown):
            self._note(not_in_the_books(row))
        yield from (f"processors: {line}" for line in self._lines)
        if self._more:
            yield f"processors: {self._more} more"

    def _note(self, line: str) -> None:
        if len(self._lines) < self._lines_max:
            self._lines.append(line)
        else:
            self._more += 1


def totals(lines: Iterable[ReconciledPayment]) -> StateTotals:
    """Count, amount, captured and refunded amount (minor units) per currency and state."""
    sums: dict[tuple[str, str], tuple[int, int, int, int]] = defaultdict(lambda: (0, 0, 0, 0))
    for line in lines:
        count, amount, captured, refunded = sums[line.currency, line.state]
        added = (count + 1, amount + line.amount, captured + line.amount_captured, refunded + line.amount_refunded)
        sums[line.currency, line.state] = added
    return dict(sums)


def _print_totals(summed: dict[str, StateTotals]) -> None:
    amounts = f"{'amount':>18}{'captured':>18}{'refunded':>18}"
    click.echo(f"{'currency':9}{'state':20}{'store':11}{'payments':>10}{amounts}")
    for key in sorted(set().union(*summed.values())):
        for name, rows in summed.items():
            count, amount, captured, refunded = rows.get(key, (0, 0, 0, 0))
            shown = f"{count:>10}{amount:>18}{captured:>18}{refunded:>18}"
            click.echo(f"{key[0]:9}{key[1]:20}{name:11}{shown}")


def _print_money(money: MoneyTotals) -> None:
    stores = msgspec.structs.asdict(money)
    click.echo(f"{'currency':29}{'store':11}{'held':>28}{'due':>18}")
    for currency in sorted(set().union(*stores.values())):
        for name, sums in stores.items():
            found = sums.get(currency, NOTHING)
            click.echo(f"{currency:29}{name:11}{found.held:>28}{found.due:>18}")


def _conclude(found: list[str], cut: Cut, scratch: Scratch) -> None:
    for line in found:
        click.echo(f"DIFFERENCE  {line}")
    if cut.in_doubt.count:
        click.echo(f"IN DOUBT    {cut.in_doubt.count}: {cut.in_doubt}")
    click.echo(
        f"cut at outbox id {cut.outbox_id}: {scratch.count('books')} payments, "
        f"{scratch.count('operations')} operations, {scratch.count('ledger')} rows of the processors' ledgers"
    )
    if found or cut.in_doubt.count:
        raise SystemExit(1)
    click.echo("all agree, nothing is in doubt")
