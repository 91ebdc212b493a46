"""`sluice restore --from-kafka`: books that were put back get what came after their copy, in one transaction."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import click
import msgspec
from confluent_kafka import KafkaException
from sqlalchemy import Connection

from connectors.kafka_login import Bootstrap
from connectors.record_reader import OffsetGone
from gateway.books.clock import anchor
from gateway.books.opening import check_existing, run_once
from gateway.books.restored import missing_accounts, missing_cards, oldest_event, put_events
from gateway.books.sole import BooksTaken, held_file
from gateway.books.workers import another_lives, keep_others_away
from gateway.payments.restoring import restore_account, restore_payment
from gateway.payments.retold import WhenAgain
from gateway.policy import SECOND_US
from gateway.settings import GatewaySettings
from schemas.settings import load
from schemas.times import STEADY, now_micros, steady_micros
from sluice.admin import with_data
from sluice.backup.copies import BackupFailed
from sluice.backup.from_kafka import LostEvents
from sluice.kafka import reach

NAMED_MAX = 20
NOT_TOLD = """\
On no topic, and lost: accounts, cards and logins made since the copy (the vault still has the cards); what payers
and merchants wrote; the return addresses of orders at PayPal; who held a review; open tasks; spent caps. Answers
under idempotency keys too: a client that repeats a request of that time pays again. Tell them before you open."""


class BroughtBack(msgspec.Struct):
    """What was written into the books. `unknown_accounts`, `unknown_cards`: named by payments, and not there."""

    payments: int = 0
    new_payments: int = 0
    accounts: int = 0
    events: int = 0
    in_doubt: list[str] = []
    unknown_accounts: set[str] = set()
    unknown_cards: set[str] = set()

    def lines(self) -> list[str]:
        """What is said of it."""
        told = f"{self.payments} payments ({self.new_payments} of them not in the copy), {self.accounts} accounts"
        lines = [f"brought back: {told}, {self.events} events"]
        for ids, what in (
            (self.in_doubt, "payments of which a call may have been out, that no event tells of"),
            (self.unknown_accounts, "accounts that payments name and the books do not know"),
            (self.unknown_cards, "cards that payments name and the books do not know"),
        ):
            if ids:
                lines.append(f"{len(ids)} {what}: {_some(ids)}")
        return lines


def bring_back(data: Path | None) -> None:
    """Read the topics, and write what the books lack, all or nothing. Raises `BackupFailed`."""
    settings = with_data(load(GatewaySettings, checked=False), data)
    check_existing(settings.books_url())
    bootstrap = reach(settings, "operator")
    try:
        with held_file(settings.books_url()), closing(LostEvents()) as lost:
            brought = run_once(settings.books_url(), lambda conn: _bring_back(conn, lost, bootstrap, settings))
    except BooksTaken as taken:
        raise BackupFailed(f"{taken}: no gateway may run") from None
    except (KafkaException, OffsetGone) as error:
        raise BackupFailed(f"Kafka: {error}: nothing is changed") from None
    click.echo("\n".join([*brought.lines(), *lost.lines()]))
    if brought.events:
        click.echo(NOT_TOLD)


def _bring_back(
    conn: Connection, lost: LostEvents, bootstrap: Bootstrap, settings: GatewaySettings
) -> BroughtBack:
    STEADY.offset_us = anchor(conn)
    keep_others_away(conn)
    # Of SQLite's file the lock tells; a copy of it has the lease of who served when it was made.
    if conn.dialect.name == "postgresql" and another_lives(conn, "", steady_micros()):
        raise BackupFailed("a gateway runs on these books: stop it, or wait until its lease has run out")
    lost.read(bootstrap, conn, oldest_event(conn))
    return _write(conn, lost, settings.review_max_s)


def _write(conn: Connection, lost: LostEvents, review_max_s: float) -> BroughtBack:
    brought, now = BroughtBack(), steady_micros()
    again = WhenAgain(now, now + int(review_max_s * SECOND_US))
    account_ids, card_ids = set[str](), set[str]()
    for told in lost.payments():
        became = restore_payment(conn, told, again)
        if became.in_doubt:
            brought.in_doubt.append(told.payment_id)
        if (row := became.row) is None:
            continue
        brought.payments += 1
        brought.new_payments += became.is_new
        account_ids |= {row.customer_id, row.merchant_id}
        card_ids |= {row.card_id} if row.card_id else set()
    brought.accounts = sum(restore_account(conn, data, now_micros()) for data in lost.accounts())
    for page in lost.rows():
        put_events(conn, page)
        brought.events += len(page)
    brought.unknown_accounts = missing_accounts(conn, account_ids)
    brought.unknown_cards = missing_cards(conn, card_ids)
    return brought


def _some(ids: Iterable[str]) -> str:
    first = sorted(ids)
    return ", ".join(first[:NAMED_MAX]) + (", …" if len(first) > NAMED_MAX else "")
