"""Labels from a file: read and written a batch at a time, so that memory does not grow with the file."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal

import msgspec
from sqlalchemy import Connection

from gateway.books.audit import Act, record
from gateway.books.engine import Books
from gateway.books.operations import payment_id_of_reference
from gateway.books.payments import PaymentRow, select_payment
from gateway.csv_lines import REFUSED_SHOWN, CsvLine, LineFault
from gateway.payments.label_reports import LabelLine, LineCode, ReportName, read_line
from gateway.payments.labels import LabelAsked, LabelQuotaSpent, take_label
from gateway.policy import Policy

REFERENCE_MAX = 128  # characters

RefusalCode = LineFault | LineCode | Literal["payment_unknown", "source_quota", "merchant_quota"]


class RefusedLabel(msgspec.Struct, frozen=True):
    """A line of a file that is no label, and why."""

    line: int
    code: RefusalCode


class LabelsTaken(msgspec.Struct):
    """What became of a file. `waiting`: how many of those `taken` wait for a person before they are learned.

    `refused` names the first thousand of the `refused_count` lines that were not taken. A line that says what its
    source said of the payment before is taken once more, and changes nothing.
    """

    taken: int = 0
    waiting: int = 0
    refused_count: int = 0
    refused: list[RefusedLabel] = []

    def refuse(self, line: int, code: RefusalCode) -> None:
        """Count a line that is not taken."""
        self.refused_count += 1
        if len(self.refused) < REFUSED_SHOWN:
            self.refused.append(RefusedLabel(line, code))


class LabelImport(msgspec.Struct, frozen=True):
    """Who sends which kind of file. `bounded`: False for who is trusted to send any number of labels."""

    report: ReportName
    by: str
    bounded: bool


async def import_labels(
    books: Books, policy: Policy, asked: LabelImport, batches: AsyncIterator[list[CsvLine]]
) -> LabelsTaken:
    """Take the labels of a file, each batch in a transaction of its own; then record who did, and how many.

    The same file again changes nothing, so one that broke off is sent again. Raises `InvalidFields`.
    """
    done = LabelsTaken()
    async for batch in batches:
        done = await books.write(_take_batch, policy, asked, batch, done)
    await books.write(_record, asked, done)
    return done


def _take_batch(
    conn: Connection, policy: Policy, asked: LabelImport, batch: Sequence[CsvLine], before: LabelsTaken
) -> LabelsTaken:
    done = LabelsTaken(before.taken, before.waiting, before.refused_count, list(before.refused))
    found: list[tuple[PaymentRow, LabelLine]] = []
    for line in batch:
        said = line.fault or read_line(asked.report, line)
        if not isinstance(said, LabelLine):
            done.refuse(line.number, said)
        elif payment := _payment_of(conn, asked.report, said):
            found.append((payment, said))
        else:
            done.refuse(line.number, "payment_unknown")
    # In one order by all who write at once: of two that wait for each other's counts the database refuses one.
    for payment, said in sorted(found, key=lambda pair: (pair[1].source, pair[0].merchant_id, pair[1].number)):
        _take(
            conn, policy, asked, LabelAsked(payment, said.label, said.source, asked.by, asked.bounded), said, done
        )
    return done


def _take(
    conn: Connection, policy: Policy, asked: LabelImport, label: LabelAsked, said: LabelLine, done: LabelsTaken
) -> None:
    try:
        row = take_label(conn, policy, label)
    except LabelQuotaSpent as spent:
        done.refuse(said.number, "source_quota" if spent.whose == "source" else "merchant_quota")
        return
    done.taken += 1
    done.waiting += row.state == "waiting"


def _payment_of(conn: Connection, report: ReportName, said: LabelLine) -> PaymentRow | None:
    for reference in said.references:
        if len(reference) > REFERENCE_MAX:
            continue
        if report == "labels":
            return select_payment(conn, reference)
        if payment_id := payment_id_of_reference(conn, reference):
            return select_payment(conn, payment_id)
    return None


def _record(conn: Connection, asked: LabelImport, done: LabelsTaken) -> None:
    detail = {"report": asked.report, "taken": str(done.taken), "refused": str(done.refused_count)}
    record(conn, Act("labels_imported", asked.by, asked.report, detail))
