"""What files of labels look like: our own, and the chargeback reports of processors and banks.

A report names the processor's reference and a reason; it is a label only where the reason is fraud. Reason codes:
Visa Core Rules, condition 10 (and the codes of before 2018); Mastercard Chargeback Guide, fraud.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Literal

import msgspec

from gateway.csv_lines import CsvLine
from gateway.free_text import why_refused
from schemas.fraud import LabelValue

SOURCE_MAX = 64  # characters
HEADING_MAX = 5  # lines before the one with the names of the columns, which tell what the file is

ReportName = Literal["labels", "visa", "mastercard", "paypal", "bank"]
LineCode = Literal["label_unknown", "source_invalid", "reference_missing", "not_fraud"]

VISA_FRAUD = ("10.1", "10.2", "10.3", "10.4", "10.5", "57", "62", "81", "83", "93")
MASTERCARD_FRAUD = ("4837", "4840", "4847", "4849", "4863", "4870", "4871")
CARD_FRAUD = frozenset(VISA_FRAUD + MASTERCARD_FRAUD)


class ReportShape(msgspec.Struct, frozen=True):
    """A kind of report. Names of columns are in lower case.

    `references`: columns that may name the payment, the surest first: by the processor's reference, or by what we
    sent it. `reason`: the column that says why; `fraud`: its values, in lower case, that mean fraud.
    """

    references: tuple[str, ...]
    reason: str
    fraud: frozenset[str]

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that a file has to have."""
        return (self.references[0], self.reason)


SHAPES: dict[str, ReportShape] = {
    # Cybersource, Chargeback and Retrieval report: developer.cybersource.com, reporting fields.
    "visa": ReportShape(("requestid", "merchantreferencenumber"), "chargebackreasoncode", CARD_FRAUD),
    # The gateway names its order (our attempt) and transaction (our operation); acquirers send the reason code.
    "mastercard": ReportShape(("order id", "transaction id"), "reason code", CARD_FRAUD),
    # Case Report and Dispute Detail: developer.paypal.com/docs/reports/sftp-reports.
    "paypal": ReportShape(
        ("transaction id", "transaction invoice id"),
        "case reason",
        frozenset({"unauthorized", "unauthorised", "unauthorized purchase", "unauthorized claim", "fraud"}),
    ),
    "bank": ReportShape(("reference",), "reason_code", CARD_FRAUD | {"fraud"}),
}
OWN = ("payment", "label", "source")


class LabelLine(msgspec.Struct, frozen=True):
    """A line that says what a payment was. `references`: what may name it; of our own files its id."""

    number: int
    references: tuple[str, ...]
    label: LabelValue
    source: str


def required_columns(report: ReportName) -> Sequence[str]:
    """The columns that a file of this kind has to have."""
    return OWN if report == "labels" else SHAPES[report].required


def read_line(report: ReportName, line: CsvLine) -> LabelLine | LineCode:
    """What a readable line says, or why it is no label."""
    fields = {name: text.strip() for name, text in line.fields.items()}
    if report == "labels":
        return _own(line.number, fields)
    shape = SHAPES[report]
    references = tuple(found for name in shape.references if (found := fields.get(name, "")))
    if not references:
        return "reference_missing"
    if fields[shape.reason].casefold().removeprefix("0") not in shape.fraud:
        return "not_fraud"
    return LabelLine(line.number, references, "fraud", report)


async def without_heading(pieces: AsyncIterator[bytes], required: Sequence[str]) -> AsyncIterator[bytes]:
    """A report from the line on that names its columns: processors put one or two before it.

    Lines keep their numbers: those before are replaced by empty ones after it.
    """
    head, found = b"", False
    async for piece in pieces:
        if found:
            yield piece
            continue
        head += piece
        start = _names_at(head, required)
        found = start is not None or head.count(b"\n") > HEADING_MAX or len(head) > 64 * 1024
        if found:
            yield _moved(head, start or 0)
    if not found:
        yield head


def _own(number: int, fields: dict[str, str]) -> LabelLine | LineCode:
    source, said = fields["source"], fields["label"].casefold()
    if not 0 < len(source) <= SOURCE_MAX or not source.isprintable() or why_refused(source):
        return "source_invalid"
    if said == "fraud":
        return LabelLine(number, (fields["payment"],), "fraud", source)
    if said == "good":
        return LabelLine(number, (fields["payment"],), "good", source)
    return "label_unknown"


def _names_at(head: bytes, required: Sequence[str]) -> int | None:
    """Where the line with the names of the columns begins; None where it is not there yet."""
    start = 0
    for line in head.split(b"\n")[:-1]:
        names = {name.strip(' "\r\ufeff').casefold() for name in line.decode(errors="replace").split(",")}
        if set(required) <= names:
            return start
        start += len(line) + 1
    return None


def _moved(head: bytes, start: int) -> bytes:
    end = head.find(b"\n", start) + 1
    return head[start:end] + b"\n" * head[:start].count(b"\n") + head[end:] if start else head
