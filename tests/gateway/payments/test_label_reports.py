"""Reports of chargebacks: which columns name a payment, which reasons are fraud, and what may come before them."""

from collections.abc import AsyncIterator

import pytest

from gateway.csv_lines import CsvLine
from gateway.payments.label_reports import LabelLine, ReportName, read_line, required_columns, without_heading

COLUMNS = required_columns("visa")


async def pieces(text: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


@pytest.mark.parametrize(
    ("report", "fields", "found"),
    [
        ("visa", {"requestid": "71", "chargebackreasoncode": "10.4"}, ("71",)),
        ("visa", {"requestid": "", "merchantreferencenumber": "att_1", "chargebackreasoncode": "83"}, ("att_1",)),
        ("mastercard", {"order id": "att_1", "transaction id": "op_1", "reason code": "4837"}, ("att_1", "op_1")),
        ("paypal", {"transaction id": "5Y67", "case reason": "Unauthorized"}, ("5Y67",)),
        ("bank", {"reference": "op_1", "reason_code": "FRAUD"}, ("op_1",)),
    ],
)
def test_a_line_of_a_report_is_a_label(report: ReportName, fields: dict[str, str], found: tuple[str, ...]) -> None:
    assert read_line(report, CsvLine(2, fields)) == LabelLine(2, found, "fraud", report)


def test_a_chargeback_for_another_reason_is_no_label() -> None:
    assert read_line("visa", CsvLine(2, {"requestid": "71", "chargebackreasoncode": "13.1"})) == "not_fraud"
    assert read_line("bank", CsvLine(2, {"reference": " ", "reason_code": "4837"})) == "reference_missing"


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_what_comes_before_the_names_of_the_columns_is_passed_over_and_lines_keep_their_numbers(
    size: int,
) -> None:
    text = b'Chargeback Report,1.0,\n"for",us\nRequestID,"ChargebackReasonCode"\n71,10.4\n'
    read = b"".join([piece async for piece in without_heading(pieces(text, size), COLUMNS)])
    lines = read.split(b"\n")
    assert lines[0] == b'RequestID,"ChargebackReasonCode"'
    assert lines.index(b"71,10.4") == 3


async def test_a_file_that_never_names_them_stays_as_it_is() -> None:
    text = b"a,b\n" * 50
    assert b"".join([piece async for piece in without_heading(pieces(text, 9), COLUMNS)]) == text
