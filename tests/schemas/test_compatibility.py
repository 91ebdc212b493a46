"""A change that breaks a consumer, or leaves old records unread, is named in one line; an addition is none."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from schemas.compatibility import Document, additions, breaks
from schemas.export import asyncapi

Change = Callable[[Document], Any]


def struct(document: Document, name: str) -> Document:
    found: Document = document["components"]["schemas"][name]
    return found


def fields(document: Document, name: str) -> Document:
    found: Document = struct(document, name)["properties"]
    return found


def message(document: Document, type: str) -> Document:
    found: Document = document["components"]["messages"][type]
    return found


def kafka(document: Document, topic: str) -> Document:
    found: Document = document["channels"][topic]["bindings"]["kafka"]
    return found


def rename(document: Document) -> None:
    renamed = fields(document, "Payment")
    renamed["land"] = renamed.pop("country")


def demand(document: Document) -> None:
    fields(document, "Payment")["tax"] = {"type": "integer"}
    struct(document, "Payment")["required"].append("tax")


def retire(document: Document) -> None:
    del document["channels"]["payments.v1"]["messages"]["payment.voided"]
    del document["components"]["messages"]["payment.voided"]


def nullable(document: Document) -> None:
    fields(document, "Payment")["amount"] = {"anyOf": [{"type": "integer"}, {"type": "null"}]}


# what is planted, how, and how the line begins that tells it
PLANTED: dict[str, tuple[Change, str]] = {
    "removal": (lambda d: fields(d, "Payment").pop("country"), "Payment.country: is gone"),
    "rename": (rename, "Payment.country: is gone"),
    "narrowed type": (
        lambda d: fields(d, "Verdict").update(latency_ms={"type": "integer"}),
        'Verdict.latency_ms: was {"type": "number"}, is {"type": "integer"}',
    ),
    "widened type": (
        lambda d: fields(d, "Payment").update(amount={"type": "number"}),
        'Payment.amount: was {"type": "integer"}, is {"type": "number"}',
    ),
    "narrowed by a length": (
        lambda d: fields(d, "Payment")["currency"].update(maxLength=2),
        'Payment.currency: was {"type": "string"}, is {"type": "string", "maxLength": 2}',
    ),
    "narrowed to a choice": (
        lambda d: fields(d, "Payment").update(currency={"enum": ["EUR"]}),
        'Payment.currency: was {"type": "string"}, is {"enum": ["EUR"]}',
    ),
    "object to text": (
        lambda d: fields(d, "Payment").update(method={"type": "string"}),
        'Method: was an object of its own, is {"type": "string"}',
    ),
    "type in a list": (
        lambda d: fields(d, "PaymentReview")["reasons"].update(items={"type": "integer"}),
        "PaymentReview.reasons[]: was",
    ),
    "new required field": (demand, "Payment.tax: is new and required"),
    "new field without default": (
        lambda d: fields(d, "Payment").update(tax={"type": "integer"}),
        "Payment.tax: is new and has no default",
    ),
    "optional became required": (
        lambda d: struct(d, "Payment")["required"].append("country"),
        "Payment.country: could be left out and is required now",
    ),
    "required became optional": (
        lambda d: struct(d, "Payment")["required"].remove("amount"),
        "Payment.amount: was always there and may be left out now",
    ),
    "other default": (
        lambda d: fields(d, "ProcessorOperation")["part"].update(default=0),
        "ProcessorOperation.part: left out meant 1, means 0",
    ),
    "new value": (
        lambda d: fields(d, "Payment")["state"]["enum"].append("paused"),
        "Payment.state: has a new value, paused",
    ),
    "lost value": (
        lambda d: fields(d, "Payment")["state"]["enum"].remove("voided"),
        "Payment.state: lost its value voided",
    ),
    "new value of what may be null": (
        lambda d: fields(d, "Payment")["processor"]["anyOf"][0]["enum"].append("other"),
        "Payment.processor: has a new value, other",
    ),
    "null where none was": (nullable, "Payment.amount: may be null now"),
    "no null where one was": (
        lambda d: fields(d, "Payment").update(country={"type": "string", "default": None}),
        "Payment.country: was null at times",
    ),
    "topic gone": (lambda d: d["channels"].pop("labels.v1"), "labels.v1: the topic is gone"),
    "event type gone": (retire, "payment.voided: the event type is gone from payments.v1"),
    "partitions": (
        lambda d: kafka(d, "payments.v1").update(partitions=12),
        "payments.v1: 6 partitions became 12",
    ),
    "retention": (
        lambda d: kafka(d, "dead_letter.v1")["topicConfiguration"].update({"retention.ms": 1000}),
        "dead_letter.v1: retention.ms was 2592000000, is 1000",
    ),
    "retention for ever": (
        lambda d: kafka(d, "payments.v1")["topicConfiguration"].pop("retention.bytes"),
        "payments.v1: retention.bytes was -1, is None",
    ),
    "compaction": (
        lambda d: kafka(d, "payments.v1")["topicConfiguration"].update({"cleanup.policy": ["compact"]}),
        "payments.v1: cleanup.policy was ['delete'], is ['compact']",
    ),
    "topic key": (
        lambda d: message(d, "risk.verdict")["bindings"]["kafka"]["key"].update(description="merchant"),
        "risk.verdict: the key was “payment id”, is “merchant”",
    ),
    "codec": (lambda d: message(d, "risk.verdict").update(contentType="application/avro"), "risk.verdict: was"),
    "header gone": (
        lambda d: message(d, "risk.verdict")["headers"]["properties"].pop("ce_dataschema"),
        "header.ce_dataschema: is gone",
    ),
    "header demanded": (
        lambda d: message(d, "risk.verdict")["headers"]["required"].append("traceparent"),
        "header.traceparent: could be left out and is required now",
    ),
    "other version of CloudEvents": (
        lambda d: message(d, "risk.verdict")["headers"]["properties"].update(ce_specversion={"const": "2.0"}),
        'header.ce_specversion: was {"const": "1.0"}, is {"const": "2.0"}',
    ),
}


def add_type(document: Document) -> None:
    """A new event type with a type of its own, on a new topic."""
    document["components"]["schemas"]["Payout"] = {
        "type": "object",
        "properties": {"id": {"type": "string"}},
        "required": ["id"],
    }
    document["components"]["messages"]["payout.sent"] = message(document, "risk.verdict") | {
        "name": "payout.sent",
        "payload": {"$ref": "#/components/schemas/Payout"},
    }
    document["channels"]["payouts.v1"] = document["channels"]["risk.v1"] | {"messages": {"payout.sent": {}}}


ALLOWED: dict[str, tuple[Change, list[str]]] = {
    "optional field with default": (
        lambda d: fields(d, "Payment").update(tax={"type": "integer", "default": 0}),
        ["Payment.tax"],
    ),
    "nullable field with default": (
        lambda d: fields(d, "Method").update(
            wallet={"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
        ),
        ["Method.wallet"],
    ),
    "event type on a topic of its own": (add_type, ["payouts.v1", "payout.sent", "Payout.id"]),
    "header that may be left out": (
        lambda d: message(d, "risk.verdict")["headers"]["properties"].update(tracestate={"type": "string"}),
        [],
    ),
    "other words": (lambda d: struct(d, "Payment").update(description="Money on its way."), []),
    "deprecation": (lambda d: fields(d, "Payment")["country"].update(deprecated=True), []),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_break_is_told_in_one_line(name: str) -> None:
    change, told = PLANTED[name]
    changed = deepcopy(asyncapi())
    change(changed)
    (line,) = breaks(asyncapi(), changed)
    assert line.startswith(told)
    assert "; " in line, "and why"
    assert "\n" not in line


@pytest.mark.parametrize("name", ALLOWED)
def test_an_addition_passes_and_is_told(name: str) -> None:
    change, added = ALLOWED[name]
    changed = deepcopy(asyncapi())
    change(changed)
    assert breaks(asyncapi(), changed) == []
    assert additions(asyncapi(), changed) == added
    assert breaks(changed, asyncapi()) or not added, "but what was added stays from then on"


def test_a_topic_that_ended_as_announced_is_missed_by_nobody() -> None:
    changed = deepcopy(asyncapi())
    del changed["channels"]["labels.v1"], changed["components"]["messages"]["label.recorded"]
    assert breaks(asyncapi(), changed, ended=["labels.v1"]) == []
    assert breaks(asyncapi(), changed, ended=["risk.v1"]) != []
